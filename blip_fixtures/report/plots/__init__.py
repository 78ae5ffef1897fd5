"""One plot for a sweep that has one. matplotlib is imported inside functions: the tables do without it.

The texts in the plots are English, whatever the document's language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report import figures
from blip_fixtures.report.plots.bars import draw_bars
from blip_fixtures.report.plots.canvas import png
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.sweeps import SWEEPS, PlotKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.report.selection import Group, Selection


def has_plot(groups: Sequence[Group]) -> bool:
    """Whether these groups of one sweep get a plot: a sweep that has one, with at least one figure in it."""
    prose = load_prose("en")
    records = [record for group in groups if group.sweep.plot is not None for record in group.records]
    return any(figures.latency_s(record, prose).value is not None for record in records)


def draw_plots(selection: Selection) -> dict[str, bytes]:
    """PNG images by file name, one for every sweep that has figures."""
    prose = load_prose("en")
    images = {}
    for sweep in SWEEPS.values():
        groups = selection.groups(sweep)
        if sweep.plot is not None and has_plot(groups):
            draw = draw_bars if sweep.plot.kind is PlotKind.BARS else draw_lines
            images[sweep.plot.file] = png(draw(groups, selection, sweep.plot, prose))
    return images
