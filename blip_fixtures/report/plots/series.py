"""The points that line plots join."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report import figures
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.plots.canvas import group_names, why_empty
from blip_fixtures.report.sweeps import PlotKind
from blip_fixtures.report.tables.spread import quartiles_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection


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


def panels_of(groups: Sequence[Group], selection: Selection, kind: PlotKind, prose: Prose) -> tuple[Panel, ...]:
    """What is drawn side by side over the axis of the groups' sweep."""
    if kind is PlotKind.LATENCY_AND_QUALITY:
        return _quality_panels(groups, selection, prose)
    return _energy_panels(groups, selection, prose)


def _energy_panels(groups: Sequence[Group], selection: Selection, prose: Prose) -> tuple[Panel, ...]:
    axis = groups[0].sweep.axis
    names = group_names(groups, selection)
    latency, energy = [], []
    for index, (group, name) in enumerate(zip(groups, names, strict=True)):
        latency.append(Series(name, _latency_points(group.records, axis, prose), index))
        energy.append(Series(name, _energy_points(group.records, axis, prose), index))
    why = why_empty("No energy figures", groups, figures.energy_j, prose)
    return (
        Panel("Latency per batch", "s", tuple(latency), ""),
        Panel("Energy per sample", "J", tuple(energy), why),
    )


def _quality_panels(groups: Sequence[Group], selection: Selection, prose: Prose) -> tuple[Panel, ...]:
    """Colour and marker stand for the dataset, the line's dashes for the group."""
    sweep = groups[0].sweep
    names = group_names(groups, selection)
    datasets = dict.fromkeys([*sweep.datasets, *(record.case.dataset for group in groups for record in group.records)])
    latency, quality = [], []
    for line, (group, name) in enumerate(zip(groups, names, strict=True)):
        for colour, dataset in enumerate(datasets):
            records = [record for record in group.records if record.case.dataset == dataset]
            if not records:
                continue
            label = ", ".join(part for part in (dataset_label(dataset), name if len(groups) > 1 else "") if part)
            latency.append(Series(label, _latency_points(records, sweep.axis, prose), colour, line))
            rates = _points(records, sweep.axis, figures.word_error_rate, prose)
            quality.append(Series(label, rates, colour, line))
    why = why_empty("No word error rates", groups, figures.word_error_rate, prose)
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
    return float(getattr(record.case, axis))
