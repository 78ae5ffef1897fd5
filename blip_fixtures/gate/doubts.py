"""What makes a side's numbers doubtful: a device that slowed down, other work, a counter that others moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from blip_fixtures.case import kind_of
from blip_fixtures.gate.values import own_energy
from blip_fixtures.reasons import Reason, say_all
from blip_fixtures.reasons.groups import THROTTLED
from blip_fixtures.words import EnergyStatus, PassName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.gate.findings import SideName
    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.record import Record

# A reference product that takes this many times its usual was disturbed; so is a process with a larger share of them.
DISTURBED_FACTOR = 2.0
DISTURBED_SHARE = 0.25


@dataclass(frozen=True)
class Flagged:
    """The side that is in doubt, and how many of its processes are."""

    side: SideName
    flagged: int
    processes: int


# Why one process is in doubt: says it of its side.
Doubt = Callable[[Flagged], Reason]


def doubt_of(metric: Metric, side: SideName, records: Sequence[Record], others: Sequence[Record]) -> Reason | None:
    """Why a side's numbers of this metric cannot be judged, or `None`.

    Half of its processes must be doubtful for it; what is usual is seen on both sides together.
    """
    if metric.doubt is None:
        return None
    usual_s = usual_reference_s([*records, *others])
    found = [doubt for record in records if (doubt := metric.doubt(record, usual_s)) is not None]
    if not found or 2 * len(found) < len(records):
        return None
    return found[0](Flagged(side, len(found), len(records)))


def of_energy(record: Record, _usual_s: float | None) -> Doubt | None:
    """A counter whose number the record itself calls weak."""
    entry = own_energy(record)
    if entry is None or entry.status == EnergyStatus.OK:
        return None
    return partial(_flagged, entry.status, say_all(entry.reasons))


def of_time(record: Record, usual_s: float | None) -> Doubt | None:
    """A device that was slowed down or used by others, and rounds among other work."""
    return _hindered(record) or _disturbed(record, usual_s)


def _hindered(record: Record) -> Doubt | None:
    """A GPU that others used, or a device that said it was slowed down in the rounds, or while its energy was read."""
    entry = own_energy(record)
    if entry is not None and entry.status == EnergyStatus.CONTENDED and kind_of(record.case.device) != "cpu":
        return partial(_flagged, entry.status, say_all(entry.reasons))
    said = (*(note for note in record.notes if note.scope == PassName.LATENCY), *(entry.reasons if entry else ()))
    slowed = {reason.code: reason for reason in said if reason.code in THROTTLED}
    return partial(_throttled, say_all(tuple(slowed.values()))) if slowed else None


def _disturbed(record: Record, usual_s: float | None) -> Doubt | None:
    latency = record.latency
    if latency is None or not latency.reference_s or usual_s is None:
        return None
    slow = sum(seconds > DISTURBED_FACTOR * usual_s for seconds in latency.reference_s) / len(latency.reference_s)
    return partial(_slow_references, slow) if slow > DISTURBED_SHARE else None


def usual_reference_s(records: Iterable[Record]) -> float | None:
    """The lower quartile: what the product takes while little else runs."""
    seconds = [value for record in records if record.latency is not None for value in record.latency.reference_s]
    return float(np.quantile(seconds, 0.25)) if seconds else None


def _throttled(why: str, of: Flagged) -> Reason:
    if of.processes == 1:
        return Reason.of("side_throttled", side=of.side, why=why)
    return Reason.of("side_throttled_in_some", side=of.side, why=why, flagged=of.flagged, processes=of.processes)


def _flagged(status: EnergyStatus, why: str, of: Flagged) -> Reason:
    if of.processes == 1:
        return Reason.of("side_flagged", side=of.side, status=status, why=why)
    return Reason.of(
        "side_flagged_in_some", side=of.side, status=status, why=why, flagged=of.flagged, processes=of.processes
    )


def _slow_references(share: float, of: Flagged) -> Reason:
    factor, percent = DISTURBED_FACTOR, 100 * share
    if of.processes == 1:
        return Reason.of("side_disturbed", side=of.side, factor=factor, percent=percent)
    return Reason.of(
        "side_disturbed_in_some",
        side=of.side,
        factor=factor,
        percent=percent,
        flagged=of.flagged,
        processes=of.processes,
    )
