"""Bars of latency and energy over values that are no numbers, as optimizations are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.formats import significant
from blip_fixtures.report import figures
from blip_fixtures.report.plots.canvas import (
    COLOURS,
    GREY,
    GRID,
    add_legend,
    group_names,
    new_figure,
    short,
    why_empty,
    write_captions,
    write_empty,
)
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


def draw_bars(groups: Sequence[Group], selection: Selection, plot: Plot, prose: Prose) -> Figure:
    """A panel of latency and one of energy, which share the values of the axis."""
    axis = groups[0].sweep.axis
    label_of = {
        getattr(record.case, axis): short(selection.value(record.case, axis))
        for group in groups
        for record in group.records
    }
    names = group_names(groups, selection)
    height = 1.9 + max(len(label_of), 2) * (0.25 + 0.32 * len(groups))
    figure, axes = new_figure(2, height, share_y=True)
    panels: tuple[tuple[str, str, Callable[[Record, Prose], figures.Figure]], ...] = (
        ("Latency per batch", "s", figures.latency_s),
        ("Energy per sample", "J", figures.energy_j),
    )
    for ax, (title, unit, read) in zip(axes, panels, strict=True):
        values = [read(record, prose).value for group in groups for record in group.records]
        known = [value for value in values if value is not None]
        ax.set_title(title, fontsize=13, loc="left")
        if not known:
            write_empty(ax, why_empty("No energy figures", groups, read, prose))
            # The names on the axis are shared with the other panel and stay.
            ax.tick_params(left=False)
            continue
        scale, shown_unit = (1000.0, "ms") if unit == "s" and max(known) < 1 else (1.0, unit)
        for index, group in enumerate(groups):
            slot = (index, len(groups))
            _draw_group(ax, group, list(label_of), read, prose, scale=scale, slot=slot, name=names[index])
        ax.set_xlabel(f"{title} ({shown_unit})", fontsize=12)
        ax.set_xlim(0, max(known) * scale * 1.25)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
    axes[0].set_yticks(range(len(label_of)), list(label_of.values()))
    axes[0].set_ylim(len(label_of) - 0.5, -0.5)
    axes[1].tick_params(axis="y", left=False)
    if len(groups) > 1:
        add_legend(figure, axes[0])
    write_captions(figure, groups, selection, plot)
    return figure


def _draw_group(
    ax: Axes,
    group: Group,
    values: Sequence[object],
    read: Callable[[Record, Prose], figures.Figure],
    prose: Prose,
    *,
    scale: float,
    slot: tuple[int, int],
    name: str,
) -> None:
    """One bar per value of the axis with its figure behind it; a case without one keeps its place and a `-`."""
    index, count = slot
    thickness = 0.72 / count
    is_latency = read is figures.latency_s
    first = True
    for record in group.records:
        y = values.index(getattr(record.case, group.sweep.axis)) - 0.36 + thickness * (index + 0.5)
        value = read(record, prose).value
        if value is None:
            _mark_missing(ax, y, record, prose)
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
            color=COLOURS[index % len(COLOURS)],
            xerr=arms,
            error_kw={"capsize": 4, "ecolor": "#222222", "elinewidth": 1.4},
            label=name if first else None,
        )
        ax.text(end * scale, y, f"  {significant(value * scale, 3)}", va="center", fontsize=11)
        first = False


def _mark_missing(ax: Axes, y: float, record: Record, prose: Prose) -> None:
    """A `-` and, for a case that did not run, what became of it."""
    fate = "" if record.status == Status.OK else f"  {prose.case_status(record.status)}"
    ax.text(0, y, f" -{fate}", va="center", fontsize=11, color=GREY)
