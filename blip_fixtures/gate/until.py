"""Pairs of processes until every comparison is decided: a look after each pair, and cases without doubt leave."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.gate.ab import BASE, NOW, order
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.looks import cases_without_doubt, expected_pairs, open_findings
from blip_fixtures.gate.show import change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.findings import Finding, Judgement
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process

    # One process of a side: its name, its number from 0, and the pytest ids that it need not measure.
    Run = Callable[[str, int, Sequence[str]], Process]
    # What a look says, and by which rules.
    Judged = Callable[[Sequence[Process], Sequence[Process]], tuple[Judgement, Sequence[Rule]]]

_SHOWN = 3


@dataclass(frozen=True)
class Decided:
    """What came of it, and of how many processes on each side."""

    judgement: Judgement
    pairs: int


def until_decided(run: Run, judged: Judged, most: int, say: Callable[[str], None]) -> Decided:
    """At most `most` pairs in turn (A B B A ...). Raises what `run` and `judged` raise."""
    sides: dict[str, list[Process]] = {BASE: [], NOW: []}
    left: dict[str, set[str]] = {BASE: set(), NOW: set()}
    turns = order(most)
    for pair in range(most):
        start_s = time.monotonic()
        for side, number in turns[2 * pair : 2 * pair + 2]:
            sides[side].append(run(side, number, sorted(left[side])))
        judgement, rules = judged(sides[BASE], sides[NOW])
        seconds = time.monotonic() - start_s
        still = open_findings(judgement)
        say(_progress(judgement, pair + 1, most, seconds))
        if not still:
            break
        done = cases_without_doubt(judgement, rules)
        for side, processes in sides.items():
            left[side] = node_ids(processes, done)
    return Decided(judgement, pair + 1)


def node_ids(processes: Sequence[Process], cases: set[str]) -> set[str]:
    """The pytest ids of these cases."""
    return {
        node_id
        for process in processes
        for key, record in process.records.items()
        if record.case_id in cases
        for node_id in process.node_ids.get(key, ())
    }


def _progress(judgement: Judgement, pair: int, most: int, seconds: float) -> str:
    """``[pair 3 of at most 30, 95 s] 2 of 7 comparisons open: ...; about 4 more pairs, 380 s``."""
    still = open_findings(judgement)
    counts = ", ".join(f"{judgement.count(kind)} {kind}" for kind in Verdict if judgement.count(kind))
    begun = f"[pair {pair} of at most {most}, {seconds:.0f} s]"
    if not still:
        return f"{begun} decided: {counts}"
    more = max(min(max(expected_pairs(finding, most) for finding in still), most) - pair, 0)
    shown = ", ".join(map(_said, still[:_SHOWN])) + (f" and {len(still) - _SHOWN} more" if len(still) > _SHOWN else "")
    if pair == 1:
        return f"{begun} {len(still)} of {len(judgement.findings)} open, one pair says nothing of the spread: {shown}"
    return (
        f"{begun} {len(still)} of {len(judgement.findings)} open: {shown}; "
        f"about {more} more {'pair' if more == 1 else 'pairs'}, at most {more * seconds:.0f} s"
        if more
        else f"{begun} {len(still)} of {len(judgement.findings)} open: {shown}; no pair is left"
    )


def _said(finding: Finding) -> str:
    return foreign.terminal(f"{finding.case_id} {finding.name} {change(finding)}")
