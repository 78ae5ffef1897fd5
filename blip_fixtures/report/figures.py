"""One figure of a record: its value, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.case import kind_of
from blip_fixtures.formats import is_known, quantile
from blip_fixtures.words import Domain, EnergyStatus, Status

if TYPE_CHECKING:
    from blip_fixtures.record import Energy, Record
    from blip_fixtures.report.prose import Prose

ENERGY_DOMAINS = {"cuda": Domain.GPU, "cpu": Domain.CPU_PACKAGE}


@dataclass(frozen=True)
class Figure:
    """`value` with what weakens it (`caveat`), or None with the `reason`."""

    value: float | None
    reason: str = ""
    caveat: str = ""


def latency_s(record: Record, prose: Prose) -> Figure:
    """Median seconds per batch; the mean where only that is known, with a caveat."""
    latency = record.latency
    if latency is not None:
        if is_known(latency.median_s):
            return Figure(latency.median_s)
        if latency.rounds_s:
            return Figure(quantile(latency.rounds_s, 0.5))
        if is_known(latency.mean_s):
            why = why_missing(record, "latency.median_s", prose)
            return Figure(latency.mean_s, caveat=prose.say("mean_only", reason=why))
    return Figure(None, why_missing(record, "latency.median_s", prose))


def energy_domain(device: str) -> Domain | None:
    """The meter domain that belongs to a device: a row never shows another domain's joules."""
    return ENERGY_DOMAINS.get(kind_of(device))


def energy_j(record: Record, prose: Prose) -> Figure:
    """Joules per sample in the domain of the record's device."""
    domain = energy_domain(record.case.device)
    if domain is None:
        return Figure(None, prose.say("no_meter", device=record.case.device))
    entry = record.energy.get(domain)
    if entry is None:
        return Figure(None, why_missing(record, f"energy.{domain}.joules_per_sample", prose))
    if is_known(entry.joules_per_sample):
        return Figure(entry.joules_per_sample, caveat=energy_remark(entry, prose))
    return Figure(None, energy_remark(entry, prose) or why_missing(record, f"energy.{domain}.joules_per_sample", prose))


def own_energy(record: Record) -> Energy | None:
    """What the meter domain of the record's own device saw."""
    domain = energy_domain(record.case.device)
    return None if domain is None else record.energy.get(domain)


def energy_bound_j(record: Record) -> float | None:
    """The error bound of `energy_j`, joules per sample; `None` where that has no value or no bound."""
    entry = own_energy(record)
    return None if entry is None or entry.joules_per_sample is None else bound_per_sample_j(entry)


def bound_per_sample_j(entry: Energy) -> float | None:
    """A meter domain's error bound, which is of all its windows, in joules per sample."""
    bound_j, samples = entry.error_bound_j, entry.samples
    return bound_j / samples if bound_j is not None and samples else None


def energy_remark(entry: Energy, prose: Prose) -> str:
    """What a meter domain has to say about itself: its status unless ok, and its reasons. Empty when all is well."""
    status = "" if entry.status == EnergyStatus.OK else prose.energy_status(entry.status)
    return "; ".join(part for part in (status, *map(prose.say_reason, entry.reasons)) if part)


def samples_rate(record: Record) -> float | None:
    """Samples per second over all timed rounds; of a record that does not say it, its rounds tell: batches are full."""
    throughput, rounds_s = record.throughput, record.latency.rounds_s if record.latency is not None else ()
    if throughput is not None and is_known(throughput.samples_per_s):
        return throughput.samples_per_s
    return record.case.batch_size * len(rounds_s) / sum(rounds_s) if sum(rounds_s) > 0 else None


def samples_per_s(record: Record, prose: Prose) -> Figure:
    """As `samples_rate`, with the reason why there is none."""
    rate = samples_rate(record)
    return Figure(rate) if rate is not None else Figure(None, why_missing(record, "throughput.samples_per_s", prose))


def flops_total(record: Record, prose: Prose) -> Figure:
    """FLOPs per batch."""
    flops = record.flops
    if flops is not None and is_known(flops.total):
        return Figure(flops.total)
    return Figure(None, why_missing(record, "flops.total", prose))


def word_error_rate(record: Record, prose: Prose) -> Figure:
    """Word error rate over the dataset, a ratio."""
    return metric_value(record, "wer", prose)


def median_s(record: Record) -> float | None:
    """The latency's median, seconds per batch."""
    return record.latency.median_s if record.latency is not None else None


def answers_differing(first: Record, record: Record) -> float | None:
    """The share of samples whose answer is not that of the `first` record; `None` where the two do not pair."""
    known, answers = first.predictions, record.predictions
    if not len(answers) == len(known) > 0 or _questions(record) != _questions(first):
        return None
    return sum(one != other for one, other in zip(known, answers, strict=True)) / len(known)


def _questions(record: Record) -> tuple[object, ...]:
    """Which samples a case answered: their source, its revision, and how many were taken."""
    data = record.data
    return () if data is None else (data.revision, data.samples, data.skipped)


def metric_value(record: Record, metric: str, prose: Prose) -> Figure:
    """A quality metric over the dataset."""
    entry = record.quality.get(metric)
    if entry is not None and is_known(entry.value):
        return Figure(entry.value)
    return Figure(None, why_missing(record, f"quality.{metric}", prose))


def why_missing(record: Record, path: str, prose: Prose) -> str:
    """Why the field at `path` is null: the case's own fate first, then the most exact entry under `missing`."""
    if record.status != Status.OK:
        return case_fate(record, prose)
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        reason = record.missing.get(".".join(parts[:length]))
        if reason is not None:
            return prose.say_reason(reason)
    return prose.say("no_reason")


def case_fate(record: Record, prose: Prose) -> str:
    """``out of memory; CUDA out of memory ...``: the status of a case that did not finish, with its reason."""
    reason = prose.say("no_reason") if record.reason is None else prose.say_reason(record.reason)
    return f"{prose.case_status(record.status)}; {reason}"
