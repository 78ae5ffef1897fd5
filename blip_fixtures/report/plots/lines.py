"""Lines over batch size, image size, sequence length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.plots.canvas import COLOURS, GRID, add_legend, new_figure, write_captions, write_empty
from blip_fixtures.report.plots.series import panels_of
from blip_fixtures.report.selection import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from blip_fixtures.report.plots.series import Panel, Series
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Plot

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
# Above this ratio of the greatest value to the least, a linear axis flattens the small series onto zero.
LOG_RATIO = 10.0


def draw_lines(groups: Sequence[Group], selection: Selection, plot: Plot, prose: Prose) -> Figure:
    """A panel of latency and one of energy or quality; groups that differ in their datasets alone are one."""
    drawn = joined(groups)
    panels = panels_of(drawn, selection, plot.kind, prose)
    figure, axes = new_figure(len(panels), 4.4)
    ticks = sorted({point.x for panel in panels for series in panel.series for point in series.points})
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, ticks, plot)
    if len(axes[0].get_legend_handles_labels()[1]) > 1:
        add_legend(figure, axes[0])
    write_captions(figure, drawn, selection, plot)
    return figure


def _draw_panel(ax: Axes, panel: Panel, ticks: Sequence[float], plot: Plot) -> None:
    ax.set_title(panel.title, fontsize=13, loc="left")
    if not any(point.y is not None for series in panel.series for point in series.points):
        write_empty(ax, panel.empty)
        ax.set_yticks([])
        return
    scale, unit = _scale(panel)
    for series in panel.series:
        _draw_series(ax, series, scale)
    if panel.y_label:
        ax.set_ylabel(f"{panel.title} ({unit})", fontsize=12)
    else:
        ax.set_ylabel("Word error rate", fontsize=12)
    ax.set_xlabel(plot.x_label, fontsize=12)
    if plot.is_log2:
        ax.set_xscale("log", base=2)
    _set_x_ticks(ax, ticks)
    drawn = [point for series in panel.series for point in series.points if point.y is not None]
    # The end of an error bar needs room as its point does.
    _set_y_range(ax, [value * scale for point in drawn for value in (point.y, point.high) if value is not None])
    _mark_gaps(ax, panel.series)


def _scale(panel: Panel) -> tuple[float, str]:
    """Latencies that all lie below a second are drawn in ms."""
    values = [point.y for series in panel.series for point in series.points if point.y is not None]
    return (1000.0, "ms") if panel.y_label == "s" and max(values) < 1 else (1.0, panel.y_label)


def _draw_series(ax: Axes, series: Series, scale: float) -> None:
    colour, marker = COLOURS[series.colour % len(COLOURS)], MARKERS[series.colour % len(MARKERS)]
    xs = [point.x for point in series.points]
    ys = [float("nan") if point.y is None else point.y * scale for point in series.points]
    has_quartiles = any(point.low is not None for point in series.points)
    ax.errorbar(
        xs,
        ys,
        yerr=[_arm(series, scale, upper=False), _arm(series, scale, upper=True)] if has_quartiles else None,
        label=series.label,
        color=colour,
        marker=marker,
        markersize=5.5,
        linewidth=1.5,
        linestyle=LINES[series.line % len(LINES)],
        capsize=7,
        capthick=1.5,
        elinewidth=1.5,
    )


def _arm(series: Series, scale: float, *, upper: bool) -> list[float]:
    """The length of an error bar's arm, from the median to a quartile; 0 where there are no rounds."""
    arms = []
    for point in series.points:
        end = point.high if upper else point.low
        arms.append(0.0 if end is None or point.y is None else abs(end - point.y) * scale)
    return arms


def _set_x_ticks(ax: Axes, ticks: Sequence[float]) -> None:
    from matplotlib.ticker import NullLocator

    # A value without a figure gets the margin that those with one have.
    ax.update_datalim([(tick, 0) for tick in ticks], updatey=False)
    ax.autoscale_view(scaley=False)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color=GRID, linewidth=0.8)


def _set_y_range(ax: Axes, values: Sequence[float]) -> None:
    """From zero, so that heights compare; logarithmic where the series lie far apart."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if min(values) > 0 and max(values) / min(values) > LOG_RATIO:
        ax.set_yscale("log")
        ax.set_ylabel(f"{ax.get_ylabel()} (log scale)")
        ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        top = max(values) * 1.12 or 1
        # A point at zero needs room for its marker.
        ax.set_ylim(bottom=0 if min(values) > 0 else -0.03 * top, top=top)


def _mark_gaps(ax: Axes, all_series: Sequence[Series]) -> None:
    """A `-` at the foot of the axis for every point that has no figure."""
    for series in all_series:
        for point in series.points:
            if point.y is None:
                colour = COLOURS[series.colour % len(COLOURS)]
                place = ax.get_xaxis_transform()
                ax.text(point.x, 0.03, "-", transform=place, ha="center", fontsize=15, fontweight="bold", color=colour)
