"""A case that several processes timed, as one record: its figures over all of them."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Latency, Record, Throughput

Key = TypeVar("Key")


def by_process(
    records: Sequence[Record], key: Callable[[Record], Key]
) -> tuple[list[Record], dict[Key, tuple[Record, ...]]]:
    """The records without those of further processes, and for each case all that timed it, the first process first.

    A case that no other process timed has its own record alone. Of several measurements of a case each has the further
    processes that follow it, and the last counts.
    """
    own: list[Record] = []
    timed: dict[Key, list[Record]] = defaultdict(list)
    for record in records:
        if record.process == 1:
            own.append(record)
            if not record.again:
                timed[key(record)] = [record]
        elif record.status == Status.OK and record.latency is not None and timed[key(record)]:
            timed[key(record)].append(record)
    return own, {case: tuple(found) for case, found in timed.items() if found}


def over_processes(record: Record, timed: Sequence[Record]) -> Record:
    """The record with the figures of all processes that timed it.

    The median is that of the processes' medians, so that no process counts more than another; rounds stand one process
    after the other. The rates are those of all rounds: each process ran the same batches.
    """
    first = record.latency
    latencies = [each.latency for each in timed if each.latency is not None]
    if first is None or len(latencies) < 2:
        return record
    rounds_s = tuple(second for latency in latencies for second in latency.rounds_s)
    medians = [latency.median_s for latency in latencies if latency.median_s is not None]
    joined = replace(
        first,
        mean_s=sum(rounds_s) / len(rounds_s),
        median_s=median(medians) if medians else None,
        rounds_s=rounds_s,
        reference_s=tuple(second for latency in latencies for second in latency.reference_s),
    )
    return replace(record, latency=joined, throughput=_rates(record.throughput, first, joined))


def _rates(first: Throughput | None, of_first: Latency, of_all: Latency) -> Throughput | None:
    if first is None or not sum(of_first.rounds_s) or not sum(of_all.rounds_s):
        return first
    faster = (len(of_all.rounds_s) / sum(of_all.rounds_s)) / (len(of_first.rounds_s) / sum(of_first.rounds_s))
    samples, tokens = first.samples_per_s, first.tokens_per_s
    return replace(
        first,
        samples_per_s=None if samples is None else samples * faster,
        tokens_per_s=None if tokens is None else tokens * faster,
    )
