"""The cases of both sides, matched: those with numbers on both, those that lost theirs, those that are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.gate.findings import Lost

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
        case_id = records[0]["case_id"]
        failed = [process.records[key] for process in now if key in process.records]
        failed = [record for record in failed if record["status"] != "ok"]
        if failed:
            among = f" in {len(failed)} of {len(now)} processes" if len(now) > 1 else ""
            lost.append(Lost(case_id, f"{failed[0]['status']}{among}: {failed[0]['reason']}"))
        if became.get(key):
            pairs.append(Pair(key, case_id, records, became[key]))
        elif not failed and _was_selected(base, now, key):
            lost.append(
                Lost(case_id, "in the baseline, asked for by this run, and not among its cases: gone or renamed")
            )
    new = [records[0]["case_id"] for key, records in became.items() if records and not was.get(key)]
    return pairs, lost, new


def _keys(side: Iterable[Process]) -> dict[Key, None]:
    return dict.fromkeys(key for process in side for key in process.records)


def _numbers(side: Iterable[Process], key: Key) -> list[Record]:
    found = [process.records[key] for process in side if key in process.records]
    return [record for record in found if record["status"] == "ok"]


def _was_selected(base: Sequence[Process], now: Sequence[Process], key: Key) -> bool:
    """Whether any process of the run asked for a case that none of them has. A file that cannot tell asked for all."""
    node_id = next((process.node_ids[key] for process in base if key in process.node_ids), None)
    return any(process.selected is None or process.selected.has(node_id) for process in now)
