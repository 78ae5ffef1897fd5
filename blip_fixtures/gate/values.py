"""What each metric reads from a record, how its changes are estimated, and what makes a record's numbers doubtful."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.gate import statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.record import Latency, Record

# Metrics of a device's time: the machine's other work shows in them.
TIMED = ("latency", "latency_p90", "time_to_first_token", "model_load")
# A reference product that takes this many times its usual was disturbed; so is a process with a larger share of them.
DISTURBED_FACTOR = 2.0
DISTURBED_SHARE = 0.25


def latency_s(record: Record) -> float | None:
    """The median, seconds a batch."""
    return _of(record["latency"], "median_s")


def latency_p90_s(record: Record) -> float | None:
    """The 90th percentile, seconds a batch."""
    return _of(record["latency"], "p90_s")


def time_to_first_token_s(record: Record) -> float | None:
    """Vision encoder, Q-Former and prefill together, seconds a batch."""
    return _of(record["phases"], "time_to_first_token_s")


def model_load_s(record: Record) -> float | None:
    """Seconds to load the model; the same number in each case of one load."""
    return record.get("model_load_s")


def energy_j(record: Record) -> float | None:
    """Joules a sample of the record's own device."""
    return _of(record["energy"].get(own_domain(record)), "joules_per_sample")


def flops(record: Record) -> float | None:
    """FLOPs a batch."""
    return _of(record["flops"], "total")


def weights_bytes(record: Record) -> float | None:
    """Bytes of the weights."""
    return _of(record["memory"], "weights_bytes")


def peak_bytes(record: Record) -> float | None:
    """Weights and what `generate` takes beyond them."""
    return _of(record["memory"], "peak_bytes")


def has_exact_memory(record: Record) -> bool:
    """Whether the peak is an allocator's count, the same in each process, and no resident set."""
    memory = record["memory"]
    return memory is not None and "cuda_allocator" in (memory["kind"] or "")


def own_domain(record: Record) -> str:
    """The energy domain of the record's device."""
    return "cpu_package" if record["case"]["device"] == "cpu" else "gpu"


def logarithms(metric: str, sides: Sequence[Sequence[Record]]) -> list[Any]:
    """(processes, batches) for each side. One column where a metric has one number for a process, and where the
    records do not have the same batches.
    """
    found = [[_LOGARITHMS[metric](record) for record in records] for records in sides]
    if len({len(row) for rows in found for row in rows}) == 1:
        return [np.array(rows) for rows in found]
    return [levels(metric, records)[:, None] for records in sides]


def levels(metric: str, records: Sequence[Record]) -> Any:
    """(processes,) one logarithm for each: the median over its batches."""
    return np.array([float(np.nanmedian(_LOGARITHMS[metric](record))) for record in records])


def score(record: Record, name: str) -> float | None:
    """A quality metric over the whole dataset."""
    return _of(record["quality"].get(name), "value")


def is_mean(record: Record, name: str) -> bool:
    """Whether a metric is the mean of its samples. Those of a corpus as a whole (`wer`, `bleu4`) are not."""
    found = record["quality"][name]
    each = [value for value in found["per_sample"] if value is not None]
    if found["value"] is None or len(each) < len(found["per_sample"]) or not each:
        return False
    return math.isclose(float(np.mean(each)), found["value"], rel_tol=1e-6, abs_tol=1e-9)


def score_differences(base: Sequence[Record], now: Sequence[Record], name: str) -> Any | None:
    """(samples,) now less base, each the mean over its processes; `None` where the samples are not the same ones."""
    sides = [
        [record["quality"][name]["per_sample"] for record in side if name in record["quality"]] for side in (base, now)
    ]
    if len({len(scores) for side in sides for scores in side}) != 1:
        return None
    was, became = (np.mean(np.array(side, dtype=float), axis=0) for side in sides)
    return became - was


def has(metric: str, record: Record) -> bool:
    """Whether the record has a number for the metric."""
    if metric == "quality":
        return any(is_mean(record, name) for name in record["quality"])
    return (flops if metric == "flops" else NUMBERS[metric])(record) is not None


def part_of(metric: str) -> str:
    """The part of the record that holds a metric, which is also the pass that measures it."""
    return {"time_to_first_token": "phases", "latency_p90": "latency"}.get(metric, metric)


def why_missing(metric: str, record: Record) -> str:
    """The record's own reason for a number that it does not have."""
    if metric == "energy":
        entry = record["energy"].get(own_domain(record))
        return (entry and entry["reason"]) or "energy was not measured"
    reasons = [why for field, why in record["missing"].items() if field.partition(".")[0] == part_of(metric)]
    return reasons[0] if reasons else "its record has no such number"


def _batches(record: Record) -> Any:
    latency = _measured(record)
    batches = _of(record["data"], "batches") or len(latency["rounds_s"])
    return statistics.calibrated(latency, int(batches))


def _p90(record: Record) -> Any:
    return statistics.calibrated(_measured(record), 1, lambda values: np.quantile(values, 0.9))


def _first_token(record: Record) -> Any:
    seconds = time_to_first_token_s(record)
    reference = _measured(record)["reference_s"]
    usual = float(np.median(reference)) if reference else 0.0
    assert seconds is not None
    return np.array([math.log(seconds / usual if usual > 0 else seconds)])


def _plain(read: Callable[[Record], float | None]) -> Callable[[Record], Any]:
    def logarithm(record: Record) -> Any:
        value = read(record)
        assert value is not None
        return np.array([math.log(value) if value > 0 else -math.inf])

    return logarithm


def _measured(record: Record) -> Latency:
    latency = record["latency"]
    assert latency is not None
    return latency


_LOGARITHMS: Mapping[str, Callable[[Record], Any]] = {
    "latency": _batches,
    "latency_p90": _p90,
    "time_to_first_token": _first_token,
    "model_load": _plain(model_load_s),
    "energy": _plain(energy_j),
    "memory": _plain(peak_bytes),
}

# What a metric that varies from process to process is called by, in the units of the record.
NUMBERS: Mapping[str, Callable[[Record], float | None]] = {
    "latency": latency_s,
    "latency_p90": latency_p90_s,
    "time_to_first_token": time_to_first_token_s,
    "model_load": model_load_s,
    "energy": energy_j,
    "memory": peak_bytes,
}


def energy_bound(record: Record) -> float:
    """The bound of reading the counter, as a share of the joules."""
    entry = record["energy"].get(own_domain(record))
    joules, bound = _of(entry, "joules"), _of(entry, "error_bound_j")
    return bound / joules if joules and bound else 0.0


def doubts(metric: str, records: Sequence[Record], others: Sequence[Record]) -> str | None:
    """Why a side's numbers of this metric cannot be judged, or `None`.

    Half of its processes must be doubtful for it; what is usual is seen on both sides together.
    """
    if metric == "energy":
        found = [_energy_flag(record) for record in records]
    elif metric in TIMED:
        usual = _usual_reference_s([*records, *others])
        found = [_hindered(record) or _disturbed(record, usual) for record in records]
    else:
        return None
    flags = [flag for flag in found if flag]
    if 2 * len(flags) < len(records) or not flags:
        return None
    return f"{flags[0]} in {len(flags)} of {len(records)} processes" if len(records) > 1 else flags[0]


def _energy_flag(record: Record) -> str | None:
    entry = record["energy"].get(own_domain(record))
    status = entry["status"] if entry else None
    if entry is None or status in (None, "ok"):
        return None
    return f"{status}: {entry['reason']}"


def _hindered(record: Record) -> str | None:
    """A device that said it was throttled while its energy was read, or a GPU that others used."""
    entry = record["energy"].get(own_domain(record))
    if entry is None or entry["reason"] is None:
        return None
    if entry["status"] == "contended" and record["case"]["device"] != "cpu":
        return f"contended: {entry['reason']}"
    return f"throttled: {entry['reason']}" if "throttl" in entry["reason"] else None


def _disturbed(record: Record, usual_s: float | None) -> str | None:
    latency = record["latency"]
    if latency is None or not latency["reference_s"] or usual_s is None:
        return None
    slow = sum(seconds > DISTURBED_FACTOR * usual_s for seconds in latency["reference_s"]) / len(latency["reference_s"])
    if slow <= DISTURBED_SHARE:
        return None
    return (
        f"contended: the fixed matrix product before the rounds took more than {DISTURBED_FACTOR:.0f} times its usual "
        f"time in {100 * slow:.0f} % of them"
    )


def _usual_reference_s(records: Iterable[Record]) -> float | None:
    """The lower quartile: what the product takes while little else runs."""
    seconds = [value for record in records if record["latency"] for value in record["latency"]["reference_s"]]
    return float(np.quantile(seconds, 0.25)) if seconds else None


def _of(part: Mapping[str, Any] | None, name: str) -> float | None:
    """A number of a part of the record, where both are there."""
    value: float | None = None if part is None else part.get(name)
    return value
