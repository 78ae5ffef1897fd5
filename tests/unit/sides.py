"""Hand-made processes for tests of the gate: noise whose truth is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.gate.sides import Process
from blip_fixtures.record import as_plain
from blip_fixtures.words import Status
from tests.unit.records import make_latency, make_metric, make_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Record

SAMPLES = 32
DATASETS = ("textvqa", "scienceqa")
# Of the logarithm: between processes, and between the rounds of one.
PROCESS_SPREAD, ROUND_SPREAD = 0.03, 0.05


def noisy_record(
    rng: np.random.Generator, *, slower: float = 1.0, machine: float = 1.0, rounds: int = 15, **overrides: Any
) -> Record:
    """One case in one process: 0.2 s a round times `slower`; what `machine` does falls on the reference product too."""
    own = float(np.exp(rng.normal(0, PROCESS_SPREAD)))
    shared = machine * np.exp(rng.normal(0, ROUND_SPREAD, size=rounds))
    scores = overrides.pop("scores", [1.0, 0.0] * (SAMPLES // 2))
    fields: dict[str, Any] = {
        "dataset": "textvqa",
        "batch_size": 16,
        "latency": make_latency(
            [float(value) for value in 0.2 * slower * own * shared],
            reference_s=[float(value) for value in 0.002 * shared],
        ),
        "data": {"samples": SAMPLES, "batches": 2},
        "quality": {"vqa_accuracy": make_metric(float(np.mean(scores)), per_sample=list(scores))},
    }
    return make_record(**{**fields, **overrides})


def noisy_process(seed: int, *, source: str = "", datasets: Sequence[str] = DATASETS, **overrides: Any) -> Process:
    """A run of some cases."""
    rng = np.random.default_rng(seed)
    records = [noisy_record(rng, dataset=dataset, **overrides) for dataset in datasets]
    return Process.of(source or f"run-{seed}", records)


def noisy_side(first: int, count: int = 3, **overrides: Any) -> list[Process]:
    """Several runs of one code."""
    return [noisy_process(first + number, **overrides) for number in range(count)]


def as_document(records: Sequence[Record], beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What pytest-benchmark writes, as far as the gate reads it."""
    ran = [as_plain(record) for record in records if record.status == Status.OK and not record.again]
    return {
        "benchmarks": _benchmarks(ran),
        "blip": {
            "not_run": [as_plain(record) for record in records if record.status != Status.OK],
            "again": [as_plain(record) for record in records if record.again],
            **(beside or {}),
        },
    }


def _benchmarks(plain: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"fullname": f"benchmarks/test_it.py::test_it[{record['case_id']}]", "extra_info": {"blip": record}}
        for record in plain
    ]


def as_first_schema(record: Record, *, energy_reason: str) -> dict[str, Any]:
    """The record as releases with schema version 1 wrote it, where its meter said `energy_reason`."""
    plain = {**as_plain(record), "schema_version": 1}
    del plain["again"]
    for entry in plain["energy"].values():
        del entry["further_reasons"]
        entry |= {"status": "degraded", "reason": energy_reason}
    return plain


def write_plain(path: Path, plain: Sequence[Mapping[str, Any]]) -> Path:
    """A `records.json` of records as JSON has them."""
    path.write_text(json.dumps({"benchmarks": _benchmarks(plain)}))
    return path


def write_run(path: Path, records: Sequence[Record], beside: Mapping[str, Any] | None = None) -> Path:
    """A `records.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_document(records, beside)))
    return path
