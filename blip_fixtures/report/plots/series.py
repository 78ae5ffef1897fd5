"""The points that plots join, and those that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.plots.canvas import group_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.plots.quantities import Quantity
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection


@dataclass(frozen=True)
class Point:
    """One figure on an axis value between the ends of its error bar, or the `word` for its absence."""

    x: Any
    y: float | None
    low: float | None = None
    high: float | None = None
    word: str = ""


@dataclass(frozen=True)
class Series:
    """Points joined by one line. `colour` and `line` are indices into the palettes."""

    label: str
    points: tuple[Point, ...]
    colour: int
    line: int = 0

    @property
    def known(self) -> list[Point]:
        """Those that have a figure."""
        return [point for point in self.points if point.y is not None]


def series_of(groups: Sequence[Group], quantity: Quantity, selection: Selection, prose: Prose) -> list[Series]:
    """One for each group and dataset, each with a point for every value of the axis that one of them has.

    Where a group has several datasets, colour and marker stand for the dataset and the line's dashes for the group.
    """
    sweep = groups[0].sweep
    names = group_names(groups, selection, prose)
    datasets = dict.fromkeys([*sweep.datasets, *(record.case.dataset for group in groups for record in group.records)])
    in_a_group = [{record.case.dataset for record in group.records} for group in groups]
    by_dataset = bool(sweep.datasets) or any(len(found) > 1 for found in in_a_group)
    values = dict.fromkeys(getattr(record.case, sweep.axis) for group in groups for record in group.records)
    all_series = []
    for number, (group, name) in enumerate(zip(groups, names, strict=True)):
        for place, dataset in enumerate(datasets):
            records = {
                getattr(record.case, sweep.axis): record for record in group.records if record.case.dataset == dataset
            }
            if not records:
                continue
            points = tuple(_point(value, records.get(value), quantity, prose) for value in values)
            if not by_dataset:
                all_series.append(Series(name, points, number))
                continue
            label = ", ".join([dataset_label(dataset), *([name] if len(groups) > 1 else [])])
            all_series.append(Series(label, points, place, number))
    return all_series


def in_order(series: Series) -> Series:
    """With its points from left to right."""
    return Series(series.label, tuple(sorted(series.points, key=lambda point: point.x)), series.colour, series.line)


def _point(value: Any, record: Record | None, quantity: Quantity, prose: Prose) -> Point:
    if record is None:
        return Point(value, None, word=prose.say("plot_not_run"))
    y = quantity.figure(record, prose).value
    if y is None:
        return Point(value, None, word=quantity.gap_word(record, prose))
    low, high = quantity.ends(record) or (None, None)
    return Point(value, y, low, high)
