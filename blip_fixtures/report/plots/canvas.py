"""What the plots have in common: colours, axes, captions, and how a missing figure is shown."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

from blip_fixtures.report import figures
from blip_fixtures.report.sweeps import PlotKind, axis_caption
from blip_fixtures.report.tables.spread import quartiles_s
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Plot

# Okabe and Ito's colours, told apart under every common colour blindness; yellow is left out, it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
GRID = "#DDDDDD"
WIDTH_INCHES = 10.0  # 1000 px at 100 dpi, so a point of text is its size there
DOTS_PER_INCH = 160
MOST_IN_A_LABEL = 60
# A dollar that is no formula has one before it.
_ESCAPE = "\\"


def png(figure: Figure) -> bytes:
    """The image file."""
    buffer = io.BytesIO()
    # No creation date or version: the same records give the same bytes.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(panels: int, height_inches: float, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """An empty figure with that many panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # type: ignore[union-attr,call-arg]
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, sharey=share_y, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=11)
        ax.set_axisbelow(True)
    return figure, list(axes)


def add_legend(figure: Figure, ax: Axes) -> None:
    """Below the panels, what the labels of one of them say."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False, fontsize=11)


def write_captions(figure: Figure, groups: Sequence[Group], selection: Selection, plot: Plot) -> None:
    """Above the panels: what is held, and what the error bars mean."""
    caption = _held_title(groups, selection)
    if any(quartiles_s(record) for group in groups for record in group.records):
        caption += "\nMedian latency; error bars span the 25th to the 75th percentile of the rounds"
        if plot.kind is PlotKind.LATENCY_AND_ENERGY and any(
            figures.energy_bound_j(record) is not None for group in groups for record in group.records
        ):
            caption += ", for energy its error bound"
    figure.suptitle(caption, fontsize=11, color=GREY)


def why_empty(
    what: str, groups: Sequence[Group], figure: Callable[[Record, Prose], figures.Figure], prose: Prose
) -> str:
    """The sentence an empty panel shows: what is missing and the first reasons."""
    records = [record for group in groups for record in group.records]
    ran = [record for record in records if record.status == Status.OK] or records
    reasons = [reason for reason in dict.fromkeys(figure(record, prose).reason for record in ran) if reason]
    return "\n".join([f"{what}:", *(textwrap.fill(reason, 46, break_on_hyphens=False) for reason in reasons[:2])])


def write_empty(ax: Axes, text: str) -> None:
    """A panel without marks, with a sentence in its middle."""
    ax.set_xticks([])
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11, color=GREY)


def short(label: str) -> str:
    """A label that leaves room for the axes."""
    return label if len(label) <= MOST_IN_A_LABEL else f"{label[: MOST_IN_A_LABEL - 3].rstrip(_ESCAPE)}..."


def group_names(groups: Sequence[Group], selection: Selection) -> list[str]:
    """What tells a group from the others: the held axes that differ; the device for a single group."""
    values = _held_values(groups, selection)
    differing = [axis for axis, found in values.items() if len(set(found)) > 1] or ["device"]
    return [
        ", ".join(axis_caption(axis, values[axis][index]) for axis in differing if axis in values)
        for index in range(len(groups))
    ]


def _held_title(groups: Sequence[Group], selection: Selection) -> str:
    """The held axes that are the same in every group."""
    values = _held_values(groups, selection)
    return ",  ".join(axis_caption(axis, found[0]) for axis, found in values.items() if len(set(found)) == 1)


def _held_values(groups: Sequence[Group], selection: Selection) -> dict[str, list[str]]:
    """Per held axis, the value of every group."""
    cases = [group.records[0].case for group in groups]
    return {axis: [short(selection.value(case, axis)) for case in cases] for _, axis in groups[0].sweep.held}
