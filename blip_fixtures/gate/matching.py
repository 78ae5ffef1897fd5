"""The cases of both sides, matched: those with numbers on both, those that lost theirs, those that are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.gate.findings import Lost
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.gate.sides import Key, Process
    from blip_fixtures.record import Record


@dataclass(frozen=True)
class Pair:
    """The records of one case on both sides, those that ran to their end."""

    key: Key
    case_id: str
    base: Sequence[Record]
    now: Sequence[Record]


def match(base: Sequence[Process], now: Sequence[Process]) -> tuple[list[Pair], list[Lost], list[str]]:
    """Cases with numbers on both sides, those that lost theirs, and ids of those that are new."""
    was = {key: _numbers(base, key) for key in _keys(base)}
    became = {key: _numbers(now, key) for key in _keys(now)}
    pairs, lost = [], []
    for key, records in was.items():
        if not records:
            continue
        case_id = records[0].case_id
        failed = [process.records[key] for process in now if key in process.records]
        failed = [record for record in failed if record.status != Status.OK]
        if failed:
            lost.append(Lost(case_id, _why_lost(failed, len(now))))
        if became.get(key):
            pairs.append(Pair(key, case_id, records, became[key]))
        elif not failed and _was_selected(base, now, key):
            lost.append(Lost(case_id, Reason.of("gone_or_renamed")))
    new = [records[0].case_id for key, records in became.items() if records and not was.get(key)]
    return pairs, lost, new


def _why_lost(failed: Sequence[Record], processes: int) -> Reason:
    status, why = failed[0].status, str(failed[0].reason)
    if processes == 1:
        return Reason.of("no_longer_runs", status=status, why=why)
    return Reason.of("no_longer_runs_in_some", status=status, why=why, failed=len(failed), processes=processes)


def _keys(side: Iterable[Process]) -> dict[Key, None]:
    return dict.fromkeys(key for process in side for key in process.records)


def _numbers(side: Iterable[Process], key: Key) -> list[Record]:
    found = [process.records[key] for process in side if key in process.records]
    return [record for record in found if record.status == Status.OK]


def _was_selected(base: Sequence[Process], now: Sequence[Process], key: Key) -> bool:
    """Whether any process of the run asked for a case that none of them has. A file that cannot tell asked for all."""
    node_ids = next((process.node_ids[key] for process in base if key in process.node_ids), ())
    return any(
        process.selected is None or any(process.selected.has(node_id) for node_id in node_ids) for process in now
    )
