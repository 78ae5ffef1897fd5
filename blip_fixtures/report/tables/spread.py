"""How far the rounds of a case lie apart: median, quartiles, 90th percentile, number of rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.formats import MISSING, interval, milliseconds, quantile
from blip_fixtures.report.blocks import Cell, Head, Table
from blip_fixtures.report.labels import dataset_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record


def rounds_s(record: Record) -> tuple[float, ...]:
    """The raw rounds, seconds per batch; empty where none were kept."""
    return record.latency.rounds_s if record.latency is not None else ()


def quartiles_s(record: Record) -> tuple[float, float, float] | None:
    """Median, 25th and 75th percentile of the rounds in seconds."""
    rounds = rounds_s(record)
    return (quantile(rounds, 0.5), quantile(rounds, 0.25), quantile(rounds, 0.75)) if rounds else None


def spread_table(header: str, rows: Sequence[tuple[str, Record]]) -> Table | None:
    """A table of the spread, or nothing when no record kept its rounds."""
    if not any(rounds_s(record) for _, record in rows):
        return None
    heads = (Head(header), Head("Latency: median [25 %, 75 %]", "s"), Head("90 % (ms)", "s"), Head("rounds"))
    return Table(heads, tuple((Cell(label), *_spread_cells(record)) for label, record in rows))


def _spread_cells(record: Record) -> list[Cell]:
    rounds, quartiles = rounds_s(record), quartiles_s(record)
    if quartiles is None:
        return [Cell(MISSING), Cell(MISSING), Cell(MISSING)]
    high = quantile(rounds, 0.9)
    return [
        Cell(interval(*quartiles), quartiles[0]),
        Cell(milliseconds(high), high),
        Cell(str(len(rounds)), len(rounds)),
    ]


def dataset_spread_table(header: str, rows: Sequence[tuple[str, Record]]) -> Table | None:
    """A row per size and a column per dataset; the number of rounds stands behind each interval."""
    if not any(rounds_s(record) for _, record in rows):
        return None
    datasets = sorted({dataset_label(record.case.dataset) for _, record in rows})
    cells: dict[str, dict[str, Cell]] = {}
    for label, record in rows:
        quartiles = quartiles_s(record)
        cell = (
            Cell(f"{interval(*quartiles)}, {len(rounds_s(record))} rounds", quartiles[0])
            if quartiles
            else Cell(MISSING)
        )
        cells.setdefault(label, {})[dataset_label(record.case.dataset)] = cell
    heads = (Head(header), *(Head(f"{dataset} latency: median [25 %, 75 %]", "s") for dataset in datasets))
    return Table(
        heads,
        tuple((Cell(label), *(by.get(dataset, Cell(MISSING)) for dataset in datasets)) for label, by in cells.items()),
    )
