"""What the gate reads from a record, and its numbers as the statistics take them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.case import kind_of
from blip_fixtures.gate import statistics
from blip_fixtures.reasons import Reason, say_all
from blip_fixtures.words import Domain, MemoryKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.record import Energy, Latency, Record


def latency_s(record: Record) -> float | None:
    """The median, seconds a batch."""
    return record.latency.median_s if record.latency is not None else None


def latency_p90_s(record: Record) -> float | None:
    """The 90th percentile, seconds a batch."""
    return record.latency.p90_s if record.latency is not None else None


def time_to_first_token_s(record: Record) -> float | None:
    """Vision encoder, Q-Former and prefill together, seconds a batch."""
    return record.phases.time_to_first_token_s if record.phases is not None else None


def model_load_s(record: Record) -> float | None:
    """Seconds to load the model; the same number in each case of one load."""
    return record.model_load_s


def own_energy(record: Record) -> Energy | None:
    """What the meter of the record's own device saw."""
    return record.energy.get(Domain.CPU_PACKAGE if kind_of(record.case.device) == "cpu" else Domain.GPU)


def energy_j(record: Record) -> float | None:
    """Joules a sample of the record's own device."""
    entry = own_energy(record)
    return entry.joules_per_sample if entry is not None else None


def energy_bound(record: Record) -> float:
    """The bound of reading the counter, as a share of the joules."""
    entry = own_energy(record)
    if entry is None or not entry.joules or not entry.error_bound_j:
        return 0.0
    return entry.error_bound_j / entry.joules


def why_no_energy(record: Record) -> str:
    """What its own meter says."""
    entry = own_energy(record)
    return say_all(entry.reasons if entry is not None else ()) or Reason.of("energy_not_measured").say()


def flops(record: Record) -> float | None:
    """FLOPs a batch."""
    return record.flops.total if record.flops is not None else None


def weights_bytes(record: Record) -> float | None:
    """Bytes of the weights."""
    return record.memory.weights_bytes if record.memory is not None else None


def peak_bytes(record: Record) -> float | None:
    """Weights and what `generate` takes beyond them."""
    return record.memory.peak_bytes if record.memory is not None else None


def has_exact_memory(record: Record) -> bool:
    """Whether the peak is an allocator's count, the same in each process, and no resident set."""
    return record.memory is not None and record.memory.kind == MemoryKind.CUDA_ALLOCATOR


def calibrated_batches(record: Record) -> Any:
    """(batches,) logarithms of a process's rounds over their reference products."""
    latency = _measured(record)
    batches = (record.data.batches if record.data is not None else None) or len(latency.rounds_s)
    return statistics.calibrated(latency, batches)


def calibrated_p90(record: Record) -> Any:
    """(1,) the 90th percentile of such logarithms."""
    return statistics.calibrated(_measured(record), 1, _p90)


def _p90(rounds: Any) -> Any:
    return np.quantile(rounds, 0.9)


def calibrated_first_token(record: Record) -> Any:
    """(1,) the logarithm of the time to the first token over the usual reference product."""
    seconds = time_to_first_token_s(record)
    latency = _measured(record)
    usual = float(np.median(latency.reference_s)) if statistics.has_references(latency) else 1.0
    assert seconds is not None
    quotient = seconds / usual
    return np.array([math.log(quotient) if quotient > 0 else -math.inf])


def _measured(record: Record) -> Latency:
    latency = record.latency
    assert latency is not None
    return latency


def logarithms(metric: Metric, sides: Sequence[Sequence[Record]]) -> list[Any]:
    """(processes, batches) for each side. One column where a metric has one number for a process, and where the
    records do not have the same batches.
    """
    found = [[metric.logarithms(record) for record in records] for records in sides]
    if len({len(row) for rows in found for row in rows}) == 1:
        return [np.array(rows) for rows in found]
    return [levels(metric, records)[:, None] for records in sides]


def levels(metric: Metric, records: Sequence[Record]) -> Any:
    """(processes,) one logarithm for each: the median over its batches."""
    return np.array([float(np.nanmedian(metric.logarithms(record))) for record in records])


def has_share(metric: Metric, record: Record) -> bool:
    """Whether the record's numbers can be divided by another's: none is 0, and there is one at all."""
    value = metric.read(record)
    if value is None or value <= 0 or (metric.calibrated is not None and record.latency is None):
        return False
    found = metric.logarithms(record)
    return bool(np.isfinite(found).any()) and not np.isinf(found).any()


def is_calibrated(metric: Metric, record: Record) -> bool:
    """Whether the metric's numbers are rounds over their reference products."""
    return metric.calibrated is not None and record.latency is not None and statistics.has_references(record.latency)


def score(record: Record, name: str) -> float | None:
    """A quality metric over the whole dataset."""
    return record.quality[name].value if name in record.quality else None


def mean_scores(record: Record) -> list[str]:
    """The quality metrics that are means of their samples. Those of a corpus as a whole (`wer`, `bleu4`) are not."""
    return [name for name in record.quality if _is_mean(record, name)]


def first_mean_score(record: Record) -> float | None:
    """The first of them."""
    return next((score(record, name) for name in mean_scores(record)), None)


def _is_mean(record: Record, name: str) -> bool:
    found = record.quality[name]
    each = [value for value in found.per_sample if value is not None]
    if found.value is None or len(each) < len(found.per_sample) or not each:
        return False
    return math.isclose(float(np.mean(each)), found.value, rel_tol=1e-6, abs_tol=1e-9)


def score_differences(base: Sequence[Record], now: Sequence[Record], name: str) -> Any | None:
    """(samples,) now less base, each the mean over its processes; `None` where the samples are not the same ones, or
    one has no score.
    """
    sides = [[record.quality[name].per_sample for record in side if name in record.quality] for side in (base, now)]
    if len({len(scores) for side in sides for scores in side}) != 1:
        return None
    if any(value is None for side in sides for scores in side for value in scores):
        return None
    was, became = (np.mean(np.array(side, dtype=float), axis=0) for side in sides)
    return became - was
