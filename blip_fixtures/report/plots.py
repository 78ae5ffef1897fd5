"""The four plots. matplotlib is imported inside functions: the tables do without it."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.report import figures
from blip_fixtures.report.formats import significant
from blip_fixtures.report.labels import (
    DATASET_LABELS,
    HELD_LINES,
    axis_value,
    optimization_label,
)
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.spread import quartiles_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from blip_fixtures.record import Record
    from blip_fixtures.report.selection import Group, Selection

PLOT_FILES = {
    "batch_size": "latency_energy_plot.png",
    "image_size": "latency_img_size_plot.png",
    "sequence_length": "latency_seq_plot.png",
    "optimization": "optimization_bar_plot.png",
}
PLOT_TITLES = {
    "batch_size": "Batch Size plot",
    "image_size": "Image Size plot",
    "sequence_length": "Sequence length plot",
    "optimization": "Optimization plot",
}
# Okabe and Ito's colours, told apart under every common colour blindness; yellow is left out, it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
GREY = "#666666"
WIDTH_INCHES = 10.0  # 1000 px at 100 dpi, so a point of text is its size there
DOTS_PER_INCH = 160
# Above this ratio of the greatest value to the least, a linear axis flattens the small series onto zero.
LOG_RATIO = 10.0


@dataclass(frozen=True)
class Point:
    """One figure on an axis value: `y` is None for a gap; `low` and `high` are quartiles or an error bound."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points joined by one line. `colour` and `line` are indices into the palettes."""

    label: str
    points: tuple[Point, ...]
    colour: int
    line: int = 0


@dataclass(frozen=True)
class Panel:
    """One pair of axes; `empty` says why there is nothing to draw."""

    title: str
    y_label: str
    series: tuple[Series, ...]
    empty: str


def has_plot(groups: Sequence[Group]) -> bool:
    """Whether these groups of one sweep get a plot: a sweep that has one, with at least one figure in it."""
    prose = load_prose("en")
    records = [record for group in groups if group.sweep in PLOT_FILES for record in group.records]
    return any(figures.latency_s(record, prose).value is not None for record in records)


def draw_plots(selection: Selection) -> dict[str, bytes]:
    """PNG images by file name, one for every sweep that has figures."""
    prose = load_prose("en")
    images = {}
    for sweep, name in PLOT_FILES.items():
        groups = selection.groups(sweep)
        if has_plot(groups):
            draw = _draw_optimizations if sweep == "optimization" else _draw_lines
            images[name] = _png(draw(groups, selection, prose))
    return images


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No creation date or version: the same records give the same bytes.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _new_figure(panels: int, height_inches: float, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
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


# Lines over batch size, image size, sequence length


def _draw_lines(groups: Sequence[Group], selection: Selection, prose: Prose) -> Figure:
    sweep = groups[0].sweep
    panels = (
        _batch_panels(groups, selection, prose) if sweep == "batch_size" else _size_panels(groups, selection, prose)
    )
    figure, axes = _new_figure(len(panels), 4.4)
    ticks = sorted({point.x for panel in panels for series in panel.series for point in series.points})
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, ticks, sweep)
    handles, labels = axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False, fontsize=11
        )
    _write_captions(figure, groups, selection)
    return figure


_X_LABELS = {
    "batch_size": "Batch size (samples)",
    "image_size": "Image size (pixels a side)",
    "sequence_length": "Limit on text tokens",
}


def _batch_panels(groups: Sequence[Group], selection: Selection, prose: Prose) -> tuple[Panel, ...]:
    names = _group_names(groups, selection)
    latency, energy = [], []
    for index, (group, name) in enumerate(zip(groups, names, strict=True)):
        latency.append(Series(name, _latency_points(group.records, "batch_size", prose), index))
        energy.append(Series(name, _energy_points(group.records, "batch_size", prose), index))
    return (
        Panel("Latency per batch", "s", tuple(latency), ""),
        Panel(
            "Energy per sample", "J", tuple(energy), _why_empty("No energy figures", groups, figures.energy_j, prose)
        ),
    )


def _size_panels(groups: Sequence[Group], selection: Selection, prose: Prose) -> tuple[Panel, ...]:
    """Colour and marker stand for the dataset, the line's dashes for the group."""
    sweep = groups[0].sweep
    names = _group_names(groups, selection)
    latency, quality = [], []
    for line, (group, name) in enumerate(zip(groups, names, strict=True)):
        for colour, dataset in enumerate(sorted(DATASET_LABELS, key=DATASET_LABELS.__getitem__)):
            records = [record for record in group.records if record["case"]["dataset"] == dataset]
            if not records:
                continue
            label = ", ".join(part for part in (DATASET_LABELS[dataset], name if len(groups) > 1 else "") if part)
            latency.append(Series(label, _latency_points(records, sweep, prose), colour, line))
            quality.append(Series(label, _points(records, sweep, figures.word_error_rate, prose), colour, line))
    why = _why_empty("No word error rates", groups, figures.word_error_rate, prose)
    return (
        Panel("Latency per batch", "s", tuple(latency), ""),
        Panel("Word error rate (lower is better)", "", tuple(quality), why),
    )


def _latency_points(records: Sequence[Record], axis: str, prose: Prose) -> tuple[Point, ...]:
    points = []
    for record in sorted(records, key=lambda each: _axis_number(each, axis)):
        _, low, high = quartiles_s(record) or (None, None, None)
        points.append(Point(_axis_number(record, axis), figures.latency_s(record, prose).value, low, high))
    return tuple(points)


def _energy_points(records: Sequence[Record], axis: str, prose: Prose) -> tuple[Point, ...]:
    """Joules per sample, between the ends of the error bound where the record has one."""
    points = []
    for record in sorted(records, key=lambda each: _axis_number(each, axis)):
        joules = figures.energy_j(record, prose).value
        bound = figures.energy_bound_j(record)
        known = joules is not None and bound is not None
        low, high = (joules - bound, joules + bound) if known else (None, None)  # type: ignore[operator]
        points.append(Point(_axis_number(record, axis), joules, low, high))
    return tuple(points)


def _points(
    records: Sequence[Record], axis: str, figure: Callable[[Record, Prose], figures.Figure], prose: Prose
) -> tuple[Point, ...]:
    ordered = sorted(records, key=lambda record: _axis_number(record, axis))
    return tuple(Point(_axis_number(record, axis), figure(record, prose).value) for record in ordered)


def _axis_number(record: Record, axis: str) -> float:
    return float(axis_value(record["case"], axis, ""))


def _why_empty(
    what: str, groups: Sequence[Group], figure: Callable[[Record, Prose], figures.Figure], prose: Prose
) -> str:
    """The sentence an empty panel shows: what is missing and the first reasons."""
    records = [record for group in groups for record in group.records]
    ran = [record for record in records if record["status"] == "ok"] or records
    reasons = [reason for reason in dict.fromkeys(figure(record, prose).reason for record in ran) if reason]
    return "\n".join([f"{what}:", *(textwrap.fill(reason, 46, break_on_hyphens=False) for reason in reasons[:2])])


def _draw_panel(ax: Axes, panel: Panel, ticks: Sequence[float], sweep: str) -> None:
    ax.set_title(panel.title, fontsize=13, loc="left")
    if not any(point.y is not None for series in panel.series for point in series.points):
        _write_empty(ax, panel.empty)
        return
    scale, unit = _scale(panel)
    for series in panel.series:
        _draw_series(ax, series, scale)
    if panel.y_label:
        ax.set_ylabel(f"{panel.title} ({unit})", fontsize=12)
    else:
        ax.set_ylabel("Word error rate", fontsize=12)
    ax.set_xlabel(_X_LABELS[sweep], fontsize=12)
    if sweep == "batch_size":
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
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.8)


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


def _write_empty(ax: Axes, text: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11, color=GREY)


# Bars over optimizations


def _draw_optimizations(groups: Sequence[Group], selection: Selection, prose: Prose) -> Figure:
    labels = list(dict.fromkeys(record["case"]["optimization"] for group in groups for record in group.records))
    names = _group_names(groups, selection)
    height = 1.9 + max(len(labels), 2) * (0.25 + 0.32 * len(groups))
    figure, axes = _new_figure(2, height, share_y=True)
    panels: tuple[tuple[str, str, Any], ...] = (
        ("Latency per batch", "s", figures.latency_s),
        ("Energy per sample", "J", figures.energy_j),
    )
    for ax, (title, unit, read) in zip(axes, panels, strict=True):
        values = [read(record, prose).value for group in groups for record in group.records]
        known = [value for value in values if value is not None]
        ax.set_title(title, fontsize=13, loc="left")
        if not known:
            _write_empty_bars(ax, _why_empty("No energy figures", groups, read, prose))
            continue
        scale, shown_unit = (1000.0, "ms") if unit == "s" and max(known) < 1 else (1.0, unit)
        for index, group in enumerate(groups):
            _draw_bars(ax, group, labels, read, prose, scale=scale, slot=(index, len(groups)), name=names[index])
        ax.set_xlabel(f"{title} ({shown_unit})", fontsize=12)
        ax.set_xlim(0, max(known) * scale * 1.25)
        ax.grid(axis="x", color="#DDDDDD", linewidth=0.8)
    axes[0].set_yticks(range(len(labels)), [optimization_label(label) for label in labels])
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    axes[1].tick_params(axis="y", left=False)
    if len(groups) > 1:
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=min(len(texts), 3), frameon=False, fontsize=11)
    _write_captions(figure, groups, selection)
    return figure


def _draw_bars(
    ax: Axes,
    group: Group,
    labels: Sequence[str],
    read: Callable[[Record, Prose], figures.Figure],
    prose: Prose,
    *,
    scale: float,
    slot: tuple[int, int],
    name: str,
) -> None:
    """One bar per optimization with its value behind it; a case without a figure keeps its place and a `-`."""
    index, count = slot
    thickness = 0.72 / count
    colour = COLOURS[index % len(COLOURS)]
    is_latency = read is figures.latency_s
    first = True
    for record in group.records:
        y = labels.index(record["case"]["optimization"]) - 0.36 + thickness * (index + 0.5)
        value = read(record, prose).value
        if value is None:
            _mark_missing_bar(ax, y, record, prose)
            continue
        arms, end = None, value
        quartiles = quartiles_s(record) if is_latency else None
        if quartiles is not None:
            _, low, high = quartiles
            arms, end = [[max(0.0, value - low) * scale], [max(0.0, high - value) * scale]], max(value, high)
        ax.barh(
            y,
            value * scale,
            height=thickness * 0.9,
            color=colour,
            xerr=arms,
            error_kw={"capsize": 4, "ecolor": "#222222", "elinewidth": 1.4},
            label=name if first else None,
        )
        ax.text(end * scale, y, f"  {significant(value * scale, 3)}", va="center", fontsize=11)
        first = False


def _mark_missing_bar(ax: Axes, y: float, record: Record, prose: Prose) -> None:
    """A `-` and, for a case that did not run, what became of it."""
    fate = "" if record["status"] == "ok" else f"  {prose.case_status(record['status'])}"
    ax.text(0, y, f" -{fate}", va="center", fontsize=11, color=GREY)


def _write_empty_bars(ax: Axes, text: str) -> None:
    """As `_write_empty`, but the optimization names shared with the other panel stay."""
    ax.set_xticks([])
    ax.tick_params(left=False)
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11, color=GREY)


# What the panels have in common


def _write_captions(figure: Figure, groups: Sequence[Group], selection: Selection) -> None:
    """Above the panels: what is held, and what the error bars mean."""
    caption = _held_title(groups, selection)
    if any(quartiles_s(record) for group in groups for record in group.records):
        caption += "\nMedian latency; error bars span the 25th to the 75th percentile of the rounds"
        if groups[0].sweep == "batch_size" and any(
            figures.energy_bound_j(record) is not None for group in groups for record in group.records
        ):
            caption += ", for energy its error bound"
    figure.suptitle(caption, fontsize=11, color=GREY)


def _held_axes(groups: Sequence[Group]) -> list[str]:
    return [axis for _, axis in HELD_LINES[groups[0].sweep]]


def _held_values(groups: Sequence[Group], selection: Selection) -> dict[str, list[str]]:
    """Per held axis, the value of every group."""
    cases = [group.records[0]["case"] for group in groups]
    return {
        axis: [axis_value(case, axis, selection.device_label(case)) for case in cases] for axis in _held_axes(groups)
    }


def _group_names(groups: Sequence[Group], selection: Selection) -> list[str]:
    """What tells a group from the others: the held axes that differ; the device for a single group."""
    values = _held_values(groups, selection)
    differing = [axis for axis, found in values.items() if len(set(found)) > 1] or ["device"]
    return [
        ", ".join(_with_axis(axis, values[axis][index]) for axis in differing if axis in values)
        for index in range(len(groups))
    ]


def _held_title(groups: Sequence[Group], selection: Selection) -> str:
    """The held axes that are the same in every group."""
    values = _held_values(groups, selection)
    return ",  ".join(_with_axis(axis, found[0]) for axis, found in values.items() if len(set(found)) == 1)


def _with_axis(axis: str, value: str) -> str:
    names = {"batch_size": "batch {}", "image_size": "{} px", "sequence_length": "limit {} tokens"}
    return names.get(axis, "{}").format(value)
