"""Runs as pytest-benchmark stores them, made from one whose truth is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from tests.unit.sides import write_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.record import Record

SLOWER = 1.25
_SPREAD = 0.015


def store_runs(
    folder: Path, records: Sequence[Record], *, count: int, slower_until: int = 0, seed: int = 1
) -> list[Path]:
    """`count` runs, one a day and two of each commit; those before number `slower_until` take 1.25 times as long."""
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        of_run = float(np.exp(rng.normal(0, _SPREAD))) * (SLOWER if number < slower_until else 1.0)
        changed = [_slower(record, of_run, number) for record in records if not record.again]
        paths.append(write_run(folder / "Linux-CPython-3.11-64bit" / f"{number + 1:04d}_run.json", changed))
    return paths


def _slower(record: Record, factor: float, number: int) -> Record:
    environment = {
        **record.environment,
        "commit": f"{number // 2:02d}c0ffee" * 5,
        "started_at": f"2026-10-{number + 1:02d}T10:00:00+00:00",
    }
    if record.latency is None:
        return replace(record, environment=environment)
    latency = record.latency
    rounds_s = tuple(seconds * factor for seconds in latency.rounds_s)
    median_s = None if latency.median_s is None else latency.median_s * factor
    return replace(record, environment=environment, latency=replace(latency, rounds_s=rounds_s, median_s=median_s))
