"""Whether a row of a table is faster than its first row, the same, or cannot be told from it.

The gate's own statistics, on rows that the same processes timed: process by process and batch by batch each row is
compared with the first one; the spread of these differences between processes says how sure they are (Student's t).
One process says nothing of the spread
between processes, so it tells only what is further apart than two processes of one code ever were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from blip_fixtures.gate import statistics
from blip_fixtures.gate.doubts import of_time, usual_reference_s
from blip_fixtures.gate.judging import FAR, FAR_BEYOND
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.statistics import Estimate
    from blip_fixtures.record import Record

# Rows whose whole interval lies within this share are the same.
SAME_WITHIN = 0.05
# As many processes as the gate's study had on a side.
FEWEST_PROCESSES = 3
# The normal quantile of a two-sided interval of 95 %.
_TWO_SIDED = 1.96
_MOST_NEEDED = 100


@dataclass(frozen=True)
class Trust:
    """How a row stands to the first one. Shares: 0.1 is a tenth more time a sample, -0.5 half of it.

    `low` and `high` bound the change with 90 % (each side with 95 %), where several processes know them. `within` is
    the share in which a row is the `SAME`; `needed` how many processes would tell what cannot be told, where that is
    known.
    """

    mark: Mark
    change: float
    processes: int
    low: float | None = None
    high: float | None = None
    within: float | None = None
    needed: int | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class _Compared:
    trust: Trust
    estimate: Estimate | None = None


def compared(first: Sequence[Record], rows: Sequence[Sequence[Record]]) -> list[Trust | None]:
    """Of each row, whose records are those of the processes that timed it, how it stands to the first row.

    `None` where one of both has no latency. What many comparisons explain is not told (Holm 1979).
    """
    found = [_compared(first, row) for row in rows]
    told = [each for each in found if each is not None and each.estimate is not None]
    falls = dict(zip(map(id, told), statistics.holm([_p(each.estimate) for each in told]), strict=True))
    return [None if each is None else _as_a_family(each, is_told=falls.get(id(each), True)) for each in found]


def _compared(first: Sequence[Record], row: Sequence[Record]) -> _Compared | None:
    ours, theirs = _by_process(row), _by_process(first)
    shared = [number for number in ours if number in theirs]
    if not shared:
        return None
    pairs = [(theirs[number], ours[number]) for number in shared]
    differences = _differences(pairs)
    if np.isnan(differences).all(axis=1).any():
        return None
    change = statistics.center_of(np.zeros_like(differences), differences)
    unknown = Trust(Mark.UNKNOWN, statistics.change_of(change), len(pairs))
    if _is_in_doubt(pairs):
        return _Compared(replace(unknown, reason=Reason.of("rows_disturbed")))
    if len(pairs) == 1:
        return _Compared(_of_one_process(unknown, change))
    return _of_processes(unknown, differences)


def _of_one_process(unknown: Trust, change: float) -> Trust:
    if abs(change) > FAR_BEYOND:
        return replace(unknown, mark=Mark.SLOWER if change > 0 else Mark.FASTER)
    reason = Reason.of("within_one_process", factor=FAR, processes=FEWEST_PROCESSES)
    return replace(unknown, needed=FEWEST_PROCESSES, reason=reason)


def _of_processes(unknown: Trust, differences: Any) -> _Compared:
    estimate = statistics.paired_processes(differences)
    low, high = (statistics.change_of(bound) for bound in (estimate.low, estimate.high))
    found = replace(unknown, change=statistics.change_of(estimate.center), low=low, high=high)
    if estimate.low > 0 or estimate.high < 0:
        mark = Mark.SLOWER if estimate.low > 0 else Mark.FASTER
        return _Compared(replace(found, mark=mark), estimate)
    within = max(abs(low), abs(high))
    if within <= SAME_WITHIN:
        return _Compared(replace(found, mark=Mark.SAME, within=within), estimate)
    needed = _needed(estimate, len(differences))
    return _Compared(replace(found, needed=needed, reason=Reason.of("interval_holds_none")), estimate)


def _as_a_family(each: _Compared, *, is_told: bool) -> Trust:
    """A difference that is none among all comparisons of the table cannot be told."""
    trust = each.trust
    if each.estimate is None or is_told or trust.mark not in (Mark.FASTER, Mark.SLOWER):
        return trust
    return replace(trust, mark=Mark.UNKNOWN, reason=Reason.of("rows_not_among_comparisons"))


def _p(estimate: Estimate | None) -> float:
    """How likely so large a difference is where there is none, in either direction."""
    assert estimate is not None
    mirrored = statistics.Estimate(-estimate.center, -estimate.draws)
    return min(1.0, 2 * min(estimate.p_not_beyond(0.0), mirrored.p_not_beyond(0.0)))


def _by_process(records: Sequence[Record]) -> dict[int, Record]:
    return {record.process: record for record in records if record.latency is not None and record.latency.rounds_s}


def _differences(pairs: Sequence[tuple[Record, Record]]) -> Any:
    """(processes, batches) logarithms of a row's time a sample over that of the first row.

    Rows that were timed in turns with the same first row are compared by that, pair by pair. Else batches are paired
    where both rows have the same ones; else there is one number, of all rounds. What a side has no
    number for, such as a round of 0 s, is NaN.
    """
    in_turns = [_in_turns(was, now) for was, now in pairs]
    if all(found is not None and found.shape == in_turns[0].shape for found in in_turns):
        return np.array(in_turns)
    first, row = pairs[0]
    calibrated = first.case.device == row.case.device and all(map(_has_references, (*pairs[0], *pairs[-1])))
    same = first.case.batch_size == row.case.batch_size and _batches(first) == _batches(row)
    batches = _batches(row) if same else 1
    sides = [
        np.array([_logarithms(record, batches, calibrated=calibrated) for record in side])
        for side in zip(*pairs, strict=True)
    ]
    was, now = (np.where(np.isfinite(side), side, np.nan) for side in sides)
    return now - was


def _in_turns(was: Record, now: Record) -> Any:
    """(pairs,) how both stand to the first row that they were timed in turns with; `None` where they were not."""
    names = {record.turns.first for record in (was, now) if record.turns is not None}
    if len(names) != 1:
        return None
    sides = [_to_first(record, *names) for record in (was, now)]
    if any(side is None for side in sides) or len({side.size for side in sides if side.ndim}) != 1:
        return None
    return sides[1] - sides[0]


def _to_first(record: Record, first: str) -> Any:
    """(pairs,) logarithms of its rounds over those of the first row; 0 for that row itself."""
    if record.turns is None:
        return np.zeros(()) if record.case_id == first else None
    if not len(record.turns.own_s) == len(record.turns.first_s) > 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(np.asarray(record.turns.own_s)) - np.log(np.asarray(record.turns.first_s))
    return np.where(np.isfinite(found), found, np.nan)


def _logarithms(record: Record, batches: int, *, calibrated: bool) -> Any:
    """(batches,) of one process, a sample."""
    latency = record.latency
    assert latency is not None
    if not calibrated:
        latency = msgspec.structs.replace(latency, reference_s=())
    return statistics.calibrated(latency, batches) - math.log(record.case.batch_size)


def _has_references(record: Record) -> bool:
    return record.latency is not None and statistics.has_references(record.latency)


def _batches(record: Record) -> int:
    assert record.latency is not None
    return (record.data.batches if record.data is not None else None) or len(record.latency.rounds_s)


def _is_in_doubt(pairs: Sequence[tuple[Record, Record]]) -> bool:
    """Whether in half of the processes one of both was disturbed, or slowed down."""
    records = [record for pair in pairs for record in pair]
    usual_s = usual_reference_s(records)
    doubtful = sum(any(of_time(record, usual_s) is not None for record in pair) for pair in pairs)
    return 2 * doubtful >= len(pairs)


def _needed(estimate: Estimate, processes: int) -> int | None:
    """Processes whose interval would leave out no change, if the estimate is right; `None` beyond any number."""
    if not estimate.center or estimate.spread is None:
        return None
    needed = math.ceil((_TWO_SIDED * estimate.spread / estimate.center) ** 2)
    return max(needed, FEWEST_PROCESSES, processes + 1) if needed <= _MOST_NEEDED else None
