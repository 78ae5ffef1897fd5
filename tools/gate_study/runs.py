"""Runs drawn from recorded ones: how their cases differ from process to process, and a change of known size."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.sides import Process, read_process
from blip_fixtures.gate.values import levels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Record

# A round over its reference product; what it is does not matter.
_REFERENCE_S = 0.01


class Recorded:
    """Unchanged code in several processes: (processes, cases) logarithms of calibrated rounds, each less its mean.

    With `spread` they are drawn together or apart until one case differs by that much between processes on average
    (the root of the mean variance), and keep their shape: which cases go together, and how far outliers lie.
    """

    def __init__(self, folder: Path, spread: float | None = None) -> None:
        runs = [read_process(path) for path in sorted(folder.glob("[0-9]*-unchanged/*/records.json"))]
        if len(runs) < 2:
            raise SystemExit(f"{folder} holds {len(runs)} runs of unchanged code; make some with tools.gate_study.pool")
        keys = list(runs[0].records)
        metric = find_metric("latency")
        found = np.array([levels(metric, [run.records[key] for key in keys]) for run in runs])
        found -= found.mean(axis=0)
        self.spread = float(np.sqrt((found**2).sum(axis=0).mean() / (len(found) - 1)))
        self.runs, self.cases = found.shape
        self._levels = found * (1 if spread is None else spread / self.spread)
        self._like = [runs[0].records[key] for key in keys]

    @property
    def case_ids(self) -> list[str]:
        """Of the cases, in their order."""
        return [record.case_id for record in self._like]

    def drawn(self, rng: np.random.Generator) -> Any:
        """(cases,) logarithms of one process."""
        return self._levels[rng.integers(self.runs)]

    def process(self, name: str, logarithms: Any, cases: Sequence[int]) -> Process:
        """A run of some of the cases, whose calibrated rounds have these logarithms."""
        records = [_with_level(self._like[case], float(logarithms[case])) for case in cases]
        return Process.of(name, records, _names(tuple(record.case_id for record in records)))


@cache
def _names(case_ids: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {case_id: (case_id,) for case_id in case_ids}


def _with_level(record: Record, logarithm: float) -> Record:
    assert record.latency is not None
    second = float(_REFERENCE_S * np.exp(logarithm))
    latency = msgspec.structs.replace(record.latency, rounds_s=(second,), reference_s=(_REFERENCE_S,), median_s=second)
    return msgspec.structs.replace(record, latency=latency)
