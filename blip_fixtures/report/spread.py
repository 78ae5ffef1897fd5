"""How far the rounds of a case lie apart: median, quartiles, 90th percentile, number of rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.formats import MISSING, interval, milliseconds, quantile
from blip_fixtures.report.grid import grid
from blip_fixtures.report.labels import DATASET_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record


def rounds_s(record: Record) -> list[float]:
    """The raw rounds, seconds per batch; empty where none were kept."""
    return record["latency"]["rounds_s"] if record["latency"] is not None else []


def quartiles_s(record: Record) -> tuple[float, float, float] | None:
    """Median, 25th and 75th percentile of the rounds in seconds."""
    rounds = rounds_s(record)
    return (quantile(rounds, 0.5), quantile(rounds, 0.25), quantile(rounds, 0.75)) if rounds else None


def spread_table(header: str, rows: Sequence[tuple[str, Record]], *, by_dataset: bool = False) -> str:
    """A Markdown table of the spread, or nothing when no record kept its rounds."""
    if not any(rounds_s(record) for _, record in rows):
        return ""
    if by_dataset:
        return _dataset_spread(header, rows)
    headers = [header, "Latency: median [25 %, 75 %]", "90 % (ms)", "rounds"]
    return grid(headers, [[label, *_spread_cells(record)] for label, record in rows])


def _spread_cells(record: Record) -> list[str]:
    rounds, quartiles = rounds_s(record), quartiles_s(record)
    if quartiles is None:
        return [MISSING, MISSING, MISSING]
    return [interval(*quartiles), milliseconds(quantile(rounds, 0.9)), str(len(rounds))]


def _dataset_spread(header: str, rows: Sequence[tuple[str, Record]]) -> str:
    """A row per size and a column per dataset; the number of rounds stands behind each interval."""
    datasets = sorted({DATASET_LABELS[record["case"]["dataset"]] for _, record in rows})
    cells: dict[str, dict[str, str]] = {}
    for label, record in rows:
        quartiles = quartiles_s(record)
        text = f"{interval(*quartiles)}, {len(rounds_s(record))} rounds" if quartiles else MISSING
        cells.setdefault(label, {})[DATASET_LABELS[record["case"]["dataset"]]] = text
    headers = [header, *(f"{dataset} latency: median [25 %, 75 %]" for dataset in datasets)]
    return grid(headers, [[label, *(by.get(dataset, MISSING) for dataset in datasets)] for label, by in cells.items()])
