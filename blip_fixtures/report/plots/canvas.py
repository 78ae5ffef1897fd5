"""What the plots have in common: colours, axes, captions, numbers in the document's language."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

from blip_fixtures.report.plots.quantities import ENERGY, LATENCY, WORD_ERROR_RATE
from blip_fixtures.report.sweeps import axis_caption

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from blip_fixtures.record import Record
    from blip_fixtures.report.plots.quantities import Quantity
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection

# Okabe and Ito's colours, told apart under every common colour blindness; yellow is left out, it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
GRID = "#DDDDDD"
WIDTH_INCHES = 10.0  # 1000 px at 100 dpi, so a point of text is its size there
DOTS_PER_INCH = 160
CAPTION_SIZE = 11
MOST_IN_A_LABEL = 60
# Letters of the captions' size that fit beside one another.
_LETTERS_IN_A_LINE = 105
_MOST_COLUMNS = 3
_BESIDE_A_LABEL = 10
LINE_INCHES = 0.2
_MOST_WITH_ALL_TICKS = 30.0
# A dollar that is no formula has one before it.
_ESCAPE = "\\"
# Whose error bars the captions explain.
_WITH_BARS = (LATENCY, ENERGY, WORD_ERROR_RATE)


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


def legend_columns(labels: Sequence[str]) -> int:
    """As many beside one another as the width has room for."""
    longest = max(map(len, labels), default=0) + _BESIDE_A_LABEL
    return max(1, min(len(labels), _MOST_COLUMNS, _LETTERS_IN_A_LINE // longest))


def add_legend(figure: Figure, ax: Axes) -> None:
    """Below the panels, what the labels of one of them say."""
    handles, labels = ax.get_legend_handles_labels()
    columns = legend_columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=CAPTION_SIZE)


def captions(
    groups: Sequence[Group],
    selection: Selection,
    quantities: Sequence[Quantity],
    remarks: Sequence[str],
    prose: Prose,
) -> list[str]:
    """The lines above the panels: what is held, what the error bars mean, and what else a reader must know."""
    records = [record for group in groups for record in group.records]
    return [
        line
        for text in (_held_title(groups, selection, prose), _bars_mean(records, quantities, prose), *remarks)
        if text
        for line in textwrap.wrap(text, _LETTERS_IN_A_LINE, break_on_hyphens=False)
    ]


def write_captions(figure: Figure, lines: Sequence[str]) -> None:
    """Above the panels."""
    figure.suptitle("\n".join(lines), fontsize=CAPTION_SIZE, color=GREY)


def _bars_mean(records: Sequence[Record], quantities: Sequence[Quantity], prose: Prose) -> str:
    shown = [
        prose.say(f"plot_bars_{quantity.name}")
        for quantity in _WITH_BARS
        if quantity in quantities
        and any(quantity.figure(record, prose).value is not None and quantity.ends(record) for record in records)
    ]
    return prose.say("plot_bars", kinds=", ".join(shown)) if shown else ""


def tell_numbers(ax: Axes, axis: str, prose: Prose) -> None:
    """Let the numbers along an axis (``x`` or ``y``) be those of the document's language."""
    from matplotlib.ticker import FuncFormatter

    show: Callable[[float, int], str] = lambda value, _place: prose.number(f"{value:g}")  # noqa: E731  # typed here
    (ax.xaxis if axis == "x" else ax.yaxis).set_major_formatter(FuncFormatter(show))


def set_logarithmic(ax: Axes, axis: str, low: float, high: float) -> None:
    """An axis (``x`` or ``y``) from `low` to `high`, with 1, 2 and 5 of each power of ten where they have room."""
    from matplotlib.ticker import LogLocator, NullFormatter

    is_wide = axis == "x" and high / low > _MOST_WITH_ALL_TICKS
    which = ax.xaxis if axis == "x" else ax.yaxis
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    (ax.set_xlim if axis == "x" else ax.set_ylim)(low, high)
    which.set_major_locator(LogLocator(base=10, subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
    which.set_minor_formatter(NullFormatter())


def scaled(quantity: Quantity, values: Sequence[float]) -> tuple[float, str]:
    """What the values are multiplied by, and the unit then: latencies that all lie below a second are drawn in ms."""
    return (1000.0, "ms") if quantity is LATENCY and max(values) < 1 else (1.0, quantity.unit)


def short(label: str) -> str:
    """A label that leaves room for the axes."""
    return label if len(label) <= MOST_IN_A_LABEL else f"{label[: MOST_IN_A_LABEL - 3].rstrip(_ESCAPE)}..."


def group_names(groups: Sequence[Group], selection: Selection, prose: Prose) -> list[str]:
    """What tells a group from the others: the held axes that differ; the device for a single group."""
    values = _held_values(groups, selection)
    differing = [axis for axis, found in values.items() if len(set(found)) > 1] or ["device"]
    return [
        ", ".join(_caption(axis, values[axis][index], prose) for axis in differing if axis in values)
        for index in range(len(groups))
    ]


def _held_title(groups: Sequence[Group], selection: Selection, prose: Prose) -> str:
    """The held axes that are the same in every group."""
    values = _held_values(groups, selection)
    return ", ".join(_caption(axis, found[0], prose) for axis, found in values.items() if len(set(found)) == 1)


def _held_values(groups: Sequence[Group], selection: Selection) -> dict[str, list[str]]:
    """Per held axis, the value of every group."""
    cases = [group.records[0].case for group in groups]
    return {axis: [short(selection.value(case, axis)) for case in cases] for _, axis in groups[0].sweep.held}


def _caption(axis: str, value: str, prose: Prose) -> str:
    """A value of a held axis: ``limit 200 tokens``; of an axis from outside as its sweep says it."""
    key = f"plot_held_{axis}"
    return prose.say(key, value=value) if prose.knows(key) else axis_caption(axis, value)
