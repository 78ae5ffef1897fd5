"""Two runs side by side: the gate's verdicts, with the limits that stand beside each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.gate import show
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.rules import INTERRUPTED, Missing, parse_rules
from blip_fixtures.gate.sides import Process, Refusal
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.gate.findings import Finding, Verdict
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.report.page.history import StoredRun
    from blip_fixtures.report.page.points import Plain
    from blip_fixtures.report.prose import Prose

RULES = ("latency:10%", "energy:10%", "flops:0%", "memory:5%", "quality:1")
# What a history is there to show the effect of; another machine, other data or prompts are another question.
ALLOWED = ("torch", "transformers", "python", "driver", "threads", INTERRUPTED)
# Of the runs before the last so many of the latest are judged against it.
MOST_PAIRS = 4
# So many of the latest tell the spread between processes.
MOST_HISTORY = 10


def pairs_of(runs: Sequence[StoredRun], ids: Sequence[str], prose: Prose) -> list[Plain]:
    """The last of `runs` against each of the latest before it, the nearest first.

    A row names its case by the place in `ids`, where it stands there.
    """
    processes = [Process.of(run.name, run.records) for run in runs]
    places = {name: place for place, name in enumerate(ids)}
    last = len(runs) - 1
    bases = range(last - 1, max(-1, last - 1 - MOST_PAIRS), -1)
    return [{"base": base, "now": last, **_judged(base, last, processes, places, prose)} for base in bases]


def _judged(base: int, now: int, processes: Sequence[Process], places: Mapping[str, int], prose: Prose) -> Plain:
    """The verdicts, or the sentence of a refusal. The other runs tell the spread between processes."""
    sides = [processes[base]], [processes[now]]
    history = [process for place, process in enumerate(processes) if place != now][-MOST_HISTORY:]
    rules = [rule for rule in parse_rules(RULES) if _can_be_judged(rule, *sides[0], *sides[1])]
    try:
        judgement = judge(*sides, rules, history=history, allowed=ALLOWED, missing=Missing.WARN)
    except Refusal as refusal:
        return {"refused": foreign.plain(str(refusal)), "rows": [], "remarks": [], "sentence": ""}
    verdicts = dict.fromkeys(finding.verdict for finding in judgement.findings)
    counts = [f"{judgement.count(verdict)} {_said(verdict, prose)}" for verdict in verdicts]
    return {
        "refused": "",
        "rows": [_row(finding, places) for finding in judgement.findings],
        "remarks": show.remarks(judgement, foreign.plain),
        "sentence": ", ".join(counts),
    }


def _can_be_judged(rule: Rule, base: Process, now: Process) -> bool:
    """Whether a case of both sides has the number: the gate refuses a rule that says nothing of any case."""
    metric = find_metric(rule.metric)
    pairs = ((record, now.records.get(key)) for key, record in base.records.items())
    return any(
        record.status == Status.OK
        and other is not None
        and other.status == Status.OK
        and metric.has_number(record)
        and metric.has_number(other)
        for record, other in pairs
    )


def _said(verdict: Verdict, prose: Prose) -> str:
    return prose.say(f"page_verdict_{verdict.name.lower()}")


def _row(finding: Finding, places: Mapping[str, int]) -> list[str | int]:
    """The gate's own table; the page says the verdict in its language."""
    case_id = foreign.plain(finding.case_id)
    return [
        places.get(case_id, case_id),
        foreign.plain(finding.name),
        show.number(finding.metric, finding.base),
        show.number(finding.metric, finding.now),
        show.change(finding),
        foreign.plain(finding.rule.limit),
        finding.verdict.name.lower(),
    ]
