"""Bars over values that are no numbers, as optimizations are: each with its figure and the change to the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.formats import fixed, significant
from blip_fixtures.report.plots.canvas import (
    COLOURS,
    GREY,
    GRID,
    LINE_INCHES,
    add_legend,
    captions,
    new_figure,
    scaled,
    set_logarithmic,
    short,
    tell_numbers,
    write_captions,
)
from blip_fixtures.report.plots.quantities import shown_of
from blip_fixtures.report.plots.series import series_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from blip_fixtures.report.plots.page import Page
    from blip_fixtures.report.plots.quantities import Quantity
    from blip_fixtures.report.plots.series import Point, Series
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group
    from blip_fixtures.report.sweeps import Plot

THICKNESS = 0.72
MOST_IN_A_LINE = 20
_FONT_SIZE = 11
# On a logarithmic axis a length says nothing, so there are points, whose axis begins below the least of them.
_BELOW_LEAST = 0.7
_ROOM_AT_END = 0.02


def draw_bars(groups: Sequence[Group], page: Page, plot: Plot) -> Figure:
    """A panel of latency and one of energy or throughput, which share the values of the axis."""
    sweep, prose = groups[0].sweep, page.prose
    records = [record for group in groups for record in group.records]
    label_of = {
        getattr(record.case, sweep.axis): in_lines(short(page.selection.value(record.case, sweep.axis)))
        for record in records
    }
    shown = shown_of(plot.kind, records, prose)
    above = captions(groups, page.selection, shown.quantities, [shown.remark], prose)
    lines = sum(max(len(groups) * 1.6 + 0.9, 1.2 * label.count("\n") + 1.6) for label in label_of.values())
    figure, axes = new_figure(len(shown.quantities), 1.5 + LINE_INCHES * (len(above) + max(lines, 5)), share_y=True)
    places = {value: place for place, value in enumerate(label_of)}
    beside = []
    for ax, quantity in zip(axes, shown.quantities, strict=True):
        all_series = series_of(groups, quantity, page.selection, prose)
        is_log = quantity in page.logarithmic
        panel = _Panel(ax, quantity, all_series, places, prose, is_log=is_log, has_baseline=sweep.shares)
        beside.append(panel.draw())
        ax.tick_params(axis="y", left=ax is axes[0])
    axes[0].set_yticks(range(len(label_of)), list(label_of.values()))
    axes[0].set_ylim(len(label_of) - 0.5, -0.5)
    if len(groups) > 1:
        add_legend(figure, axes[0])
    write_captions(figure, above)
    # Where the texts end is known when all else has its place.
    figure.draw_without_rendering()
    for ax, texts in zip(axes, beside, strict=True):
        _make_room(ax, texts)
    return figure


def in_lines(label: str) -> str:
    """A long name in several lines, which break after a ``+`` or a blank."""
    lines = [""]
    for part in label.replace("+", "+\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > MOST_IN_A_LINE:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


class _Panel:
    """One pair of axes with the bars of all groups."""

    def __init__(
        self,
        ax: Axes,
        quantity: Quantity,
        all_series: Sequence[Series],
        places: Mapping[Any, int],
        prose: Prose,
        *,
        is_log: bool,
        has_baseline: bool,
    ) -> None:
        self._ax = ax
        self._series = all_series
        self._places = places
        self._prose = prose
        self._is_log = is_log
        self._has_baseline = has_baseline
        known = [point.y for series in all_series for point in series.known if point.y is not None]
        self._scale, self._unit = scaled(quantity, known)
        self._thickness = THICKNESS / len(all_series)
        ax.set_title(quantity.title(prose), fontsize=13, loc="left")
        ax.set_xlabel(quantity.axis(prose, self._unit, is_log=is_log), fontsize=12)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        top = self._scale * max(
            end for series in all_series for point in series.known for end in (point.y, point.high) if end is not None
        )
        if is_log:
            set_logarithmic(ax, "x", min(known) * self._scale * _BELOW_LEAST, top)
        else:
            ax.set_xlim(0, top or 1)
        tell_numbers(ax, "x", prose)

    def draw(self) -> list[Text]:
        """The texts beside the bars."""
        texts = []
        for number, series in enumerate(self._series):
            first = series.points[0] if self._has_baseline else None
            if first is not None and first.y is not None:
                self._draw_baseline(first, number, COLOURS[series.colour % len(COLOURS)])
            for point in series.points:
                texts.append(self._draw_point(point, number, series, first))
        return texts

    def _height(self, point: Point, number: int) -> float:
        """The middle of a bar on the shared axis."""
        return self._places[point.x] - THICKNESS / 2 + self._thickness * (number + 0.5)

    def _draw_baseline(self, first: Point, number: int, colour: str) -> None:
        """A line from the first bar down, along which the others are compared."""
        assert first.y is not None
        ends = [self._height(first, number) - self._thickness / 2, len(self._places) - 0.5]
        line = GREY if len(self._series) == 1 else colour
        self._ax.plot([first.y * self._scale] * 2, ends, color=line, linestyle=(0, (4, 3)), linewidth=1.2, zorder=1.5)

    def _draw_point(self, point: Point, number: int, series: Series, first: Point | None) -> Text:
        y, ax, colour = self._height(point, number), self._ax, COLOURS[series.colour % len(COLOURS)]
        if point.y is None:
            return self._beside(ax.get_xlim()[0], y, f"× {point.word}", GREY)
        value, ends = point.y * self._scale, [end * self._scale for end in (point.low, point.high) if end is not None]
        label = series.label if point is series.known[0] else None
        arms = [[max(0.0, value - ends[0])], [max(0.0, ends[1] - value)]] if ends else None
        looks: dict[str, Any] = {"capsize": 3, "ecolor": "#222222", "elinewidth": 1.4}
        if self._is_log:
            ax.errorbar([value], [y], xerr=arms, fmt="o", color=colour, label=label, **looks)
        else:
            ax.barh(y, value, height=self._thickness * 0.9, color=colour, xerr=arms, error_kw=looks, label=label)
        return self._beside(max([value, *ends]), y, self._said(point, first))

    def _beside(self, x: float, y: float, said: str, colour: str = "black") -> Text:
        """A text right of a bar, over the line of the baseline. It takes no part in the layout: the axis makes room."""
        text = self._ax.annotate(
            said,
            (x, y),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=_FONT_SIZE,
            color=colour,
            annotation_clip=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        text.set_in_layout(False)
        return text

    def _said(self, point: Point, first: Point | None) -> str:
        """``55.4 ms, -87 %``; the first one says that it is what the others are compared with."""
        assert point.y is not None
        shown = self._prose.number(significant(point.y * self._scale, 3))
        shown = self._prose.say(f"plot_value_{self._unit}", value=shown) if self._unit else shown
        if point is first:
            return f"{shown}, {self._prose.say('plot_baseline')}"
        if first is None or not first.y:
            return shown
        percent = fixed(100 * (point.y / first.y - 1), 0)
        sign = "" if percent.startswith("-") or percent == "0" else "+"
        return f"{shown}, {sign}{percent} %"


def _make_room(ax: Axes, texts: Sequence[Text]) -> None:
    """Let the axis end where the longest text beside a bar does."""
    box = ax.get_window_extent()
    ends = [text.get_window_extent() for text in texts]
    # A text keeps its width in pixels while the axis grows: its bar must end that much before the axis does.
    wide = [min(end.width / box.width + _ROOM_AT_END, 0.9) for end in ends]
    at = [(end.x0 - box.x0) / box.width for end in ends]
    most = max([1.0, *(place / (1 - share) for place, share in zip(at, wide, strict=True))])
    left, right = ax.transData.inverted().transform([(box.x0, 0), (box.x0 + most * box.width, 0)])[:, 0]
    ax.set_xlim(left, right)
