"""One plot for a sweep that has one. matplotlib is imported inside functions: the tables do without it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report import figures
from blip_fixtures.report.plots.bars import draw_bars
from blip_fixtures.report.plots.canvas import png
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.plots.page import Page
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.sweeps import SWEEPS, PlotKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Plot

    Draw = Callable[[Sequence[Group], Page, Plot], Figure]


def has_plot(groups: Sequence[Group]) -> bool:
    """Whether these groups of one sweep get a plot: a sweep that has one, with at least one figure in it."""
    prose = load_prose("en")
    records = [record for group in groups if group.sweep.plot is not None for record in group.records]
    return any(figures.latency_s(record, prose).value is not None for record in records)


@dataclass(frozen=True)
class Drawn:
    """PNG images by file name, and why one that there should be could not be drawn."""

    images: Mapping[str, bytes]
    failures: Mapping[str, str]


def draw_plots(selection: Selection, prose: Prose) -> Drawn:
    """One plot for every sweep that has figures, of records whose texts are fit for plots."""
    page = Page(selection, prose)
    images, failures = {}, {}
    for sweep in SWEEPS.values():
        groups = selection.groups(sweep)
        if sweep.plot is not None and has_plot(groups):
            draw = draw_bars if sweep.plot.kind is PlotKind.BARS else draw_lines
            try:
                images[sweep.plot.file] = _png(draw, groups, page, sweep.plot)
            except Exception as error:  # noqa: BLE001  # no picture is worth the tables; the document says what is missing
                failures[sweep.plot.file] = _why(error)
    return Drawn(images, failures)


def _png(draw: Draw, groups: Sequence[Group], page: Page, plot: Plot) -> bytes:
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        return png(draw(groups, page, plot))


def _why(error: Exception) -> str:
    said = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
