"""Lines over batch size, image size, sequence length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from blip_fixtures.report.plots.canvas import (
    COLOURS,
    GREY,
    GRID,
    LINE_INCHES,
    add_legend,
    captions,
    legend_columns,
    new_figure,
    scaled,
    set_logarithmic,
    tell_numbers,
    write_captions,
)
from blip_fixtures.report.plots.quantities import shown_of
from blip_fixtures.report.plots.series import in_order, series_of
from blip_fixtures.report.selection import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from blip_fixtures.report.plots.page import Page
    from blip_fixtures.report.plots.quantities import Quantity
    from blip_fixtures.report.plots.series import Point, Series
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group
    from blip_fixtures.report.sweeps import Plot

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
# Points nearer to one another than this share of the axis hide each other's markers.
HIDDEN_SHARE = 0.03
# Series stand aside by so many points each, and by so many all together.
_ASIDE_POINTS, _MOST_ASIDE_POINTS = 9.0, 36.0
_MARGIN_ASIDE = 0.1
_LOG_ROOM = 1.5
# Half of a marker, as a share of the axes' height.
_MARK_SHARE = 0.04
_BETWEEN_WORDS_POINTS = 13.0
_WITH_TWO_CAPTIONS_INCHES = 4.4


@dataclass(frozen=True)
class Panel:
    """One pair of axes: what is drawn on it, in which unit, and whether its series stand aside of one another."""

    quantity: Quantity
    series: Sequence[Series]
    scale: float
    unit: str
    is_log: bool
    is_aside: bool

    @classmethod
    def of(cls, quantity: Quantity, all_series: Sequence[Series], *, is_log: bool) -> Panel:
        """Of series that have at least one figure."""
        known = [point.y for series in all_series for point in series.known if point.y is not None]
        scale, unit = scaled(quantity, known)
        return cls(quantity, all_series, scale, unit, is_log, hide_each_other(all_series, is_log=is_log))

    def aside(self, number: int) -> float:
        """By how many points series `number` is drawn to the right of its place."""
        count = len(self.series)
        if not self.is_aside or count < 2:
            return 0.0
        step = min(_ASIDE_POINTS, _MOST_ASIDE_POINTS / (count - 1))
        return step * (number - (count - 1) / 2)


def draw_lines(groups: Sequence[Group], page: Page, plot: Plot) -> Figure:
    """Latency, and energy, quality or throughput; groups that differ in their datasets alone are one."""
    drawn, prose = joined(groups), page.prose
    shown = shown_of(plot.kind, [record for group in drawn for record in group.records], prose)
    panels = []
    for quantity in shown.quantities:
        found = [in_order(series) for series in series_of(drawn, quantity, page.selection, prose)]
        panels.append(Panel.of(quantity, found, is_log=quantity in page.logarithmic))
    labels = [series.label for series in panels[0].series] if len(panels[0].series) > 1 else []
    remarks = [shown.remark, *_without_figures(panels, prose)]
    if any(panel.is_aside for panel in panels):
        remarks.append(prose.say("plot_aside"))
    above = captions(drawn, page.selection, shown.quantities, remarks, prose)
    rows = math.ceil(len(labels) / legend_columns(labels)) if labels else 0
    figure, axes = new_figure(
        len(panels), _WITH_TWO_CAPTIONS_INCHES + LINE_INCHES * (len(above) - 2 + max(rows - 1, 0))
    )
    ticks = sorted({point.x for panel in panels for series in panel.series for point in series.points})
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, ticks, prose)
        key = f"plot_x_{groups[0].sweep.name}"
        label = prose.say(key) if prose.knows(key) else plot.x_label
        ax.set_xlabel(f"{label}, {prose.say('plot_log_scale')}" if plot.is_log2 else label, fontsize=12)
        if panel.is_aside:
            ax.margins(x=_MARGIN_ASIDE)
        _set_x_ticks(ax, ticks, prose, is_log2=plot.is_log2)
    if labels:
        add_legend(figure, axes[0])
    write_captions(figure, above)
    return figure


def hide_each_other(all_series: Sequence[Series], *, is_log: bool) -> bool:
    """Whether markers or error bars of two series lie on one another."""

    def place(y: float) -> float:
        return math.log10(y) if is_log else y

    spans: dict[Any, list[tuple[float, float]]] = {}
    for point in (point for series in all_series for point in series.known):
        low, high = _ends(point)
        if not is_log or low > 0:
            spans.setdefault(point.x, []).append((place(low), place(high)))
    every = [end for found in spans.values() for span in found for end in span]
    if not every:
        return False
    bottom = min(every) if is_log else 0.0
    room = HIDDEN_SHARE * (max(every) - bottom)
    return any(
        one[0] <= other[1] + room and other[0] <= one[1] + room
        for found in spans.values()
        for one, other in combinations(found, 2)
    )


def _ends(point: Point) -> tuple[float, float]:
    """Of what is drawn of a point that has a figure."""
    known = [value for value in (point.y, point.low, point.high) if value is not None]
    return min(known), max(known)


def _without_figures(panels: Sequence[Panel], prose: Prose) -> list[str]:
    """In a line each, series that one of the panels lacks altogether."""
    said = []
    for panel in panels:
        for series in panel.series:
            if not series.known:
                words = "; ".join(dict.fromkeys(point.word for point in series.points))
                said.append(
                    prose.say("plot_none_of", title=panel.quantity.title(prose), name=series.label, words=words)
                )
    return said


def _draw_panel(ax: Axes, panel: Panel, ticks: Sequence[float], prose: Prose) -> None:
    from matplotlib.transforms import offset_copy

    ax.set_title(panel.quantity.title(prose), fontsize=13, loc="left")
    ax.set_ylabel(panel.quantity.axis(prose, panel.unit, is_log=panel.is_log), fontsize=11)
    ends = [end * panel.scale for series in panel.series for point in series.known for end in _ends(point)]
    # The end of an error bar needs room as its point does.
    if panel.is_log:
        set_logarithmic(ax, "y", min(ends) / _LOG_ROOM, max(ends) * _LOG_ROOM)
    else:
        ax.set_ylim(bottom=0, top=max(ends) * 1.12 or 1)
    for number, series in enumerate(panel.series):
        aside = offset_copy(ax.transData, ax.figure, x=panel.aside(number), units="points")  # type: ignore[arg-type]
        _draw_series(ax, series, panel.scale, aside)
    tell_numbers(ax, "y", prose)
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    for tick in ticks:
        _mark_gaps(ax, panel, tick)


def _draw_series(ax: Axes, series: Series, scale: float, transform: Any) -> None:
    """A point without a figure breaks the line."""
    colour, marker = COLOURS[series.colour % len(COLOURS)], MARKERS[series.colour % len(MARKERS)]
    has_bars = any(point.low is not None for point in series.points)
    container = ax.errorbar(
        [float(point.x) for point in series.points],
        [math.nan if point.y is None else point.y * scale for point in series.points],
        yerr=[_arms(series, scale, upper=False), _arms(series, scale, upper=True)] if has_bars else None,
        label=series.label,
        color=colour,
        marker=marker,
        markersize=5.5,
        linewidth=1.5,
        linestyle=LINES[series.line % len(LINES)],
        capsize=4,
        capthick=1.5,
        elinewidth=1.5,
        transform=transform,
    )
    # A point at zero lies on the axis, and is seen in full.
    for artist in container.get_children():
        artist.set_clip_on(False)


def _arms(series: Series, scale: float, *, upper: bool) -> list[float]:
    """The length of an error bar's arm; 0 where there is none."""
    arms = []
    for point in series.points:
        end = point.high if upper else point.low
        arms.append(0.0 if end is None or point.y is None else max(0.0, (end - point.y) * (1 if upper else -1)) * scale)
    return arms


def _set_x_ticks(ax: Axes, ticks: Sequence[float], prose: Prose, *, is_log2: bool) -> None:
    from matplotlib.ticker import NullLocator

    if is_log2:
        ax.set_xscale("log", base=2)
    # A value without a figure gets the margin that those with one have.
    ax.update_datalim([(tick, 0) for tick in ticks], updatey=False)
    ax.autoscale_view(scaley=False)
    ax.set_xticks(ticks, [prose.number(f"{tick:g}") for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _mark_gaps(ax: Axes, panel: Panel, tick: float) -> None:
    """A cross for the series that have no figure at `tick`, and the word for it, where the axes have most room.

    A word that is that of all series stands there once.
    """
    from matplotlib.transforms import offset_copy

    missing = [
        (point.word, series.colour)
        for series in panel.series
        for point in series.points
        if point.x == tick and point.y is None and series.known
    ]
    is_one = len({word for word, _ in missing}) == 1 and len(missing) == len(panel.series)
    gaps = [(missing[0][0], GREY)] if is_one else [(word, COLOURS[at % len(COLOURS)]) for word, at in missing]
    mark = _free_from(ax, panel, tick) + _MARK_SHARE
    for place, (word, colour) in enumerate(distinct := list(dict.fromkeys(gaps))):
        aside = _BETWEEN_WORDS_POINTS * (place - (len(distinct) - 1) / 2)
        foot = offset_copy(ax.get_xaxis_transform(), ax.figure, x=aside, units="points")  # type: ignore[arg-type]
        ax.plot([tick], [mark], marker="x", markersize=7, color=colour, transform=foot, linestyle="none", zorder=4)
        ax.text(
            tick,
            mark + _MARK_SHARE,
            word,
            transform=foot,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=10,
            color=colour,
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        )


def _free_from(ax: Axes, panel: Panel, tick: float) -> float:
    """Where the largest empty stretch of the axes begins above `tick`, as a share of their height."""
    spans = []
    for series in panel.series:
        for point in (point for point in series.known if point.x == tick):
            places = ax.transScale.transform([(tick, end * panel.scale) for end in _ends(point)])
            low, high = ax.transLimits.transform(places)[:, 1]
            spans.append((float(low) - _MARK_SHARE, float(high) + _MARK_SHARE))
    begin, begins = 0.0, []
    for low, high in [*sorted(spans), (1.0, 1.0)]:
        begins.append((low - begin, begin))
        begin = max(begin, high)
    # The lowest of several that are as large.
    return max(begins, key=lambda found: round(found[0], 2))[1]
