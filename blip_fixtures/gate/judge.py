"""Records of both sides and rules -> a verdict on every case and metric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from blip_fixtures.gate import statistics, values
from blip_fixtures.gate.findings import INCONCLUSIVE, NOT_JUDGED, REGRESSION, VERDICTS, Judgement
from blip_fixtures.gate.matching import match
from blip_fixtures.gate.metrics import FINDERS, TOGETHER, KnownSpread, together
from blip_fixtures.gate.sides import Refusal, check_comparable
from blip_fixtures.rules import FAIL, PERCENT, rule_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.gate.findings import Finding
    from blip_fixtures.gate.sides import Process
    from blip_fixtures.rules import Rule


def judge(
    base: Sequence[Process],
    now: Sequence[Process],
    rules: Sequence[Rule],
    *,
    history: Sequence[Process] = (),
    allowed: Iterable[str] = (),
    missing: str = FAIL,
) -> Judgement:
    """Every metric that a rule names, on every case of both sides.

    `history` are earlier runs of this machine, for the spread between processes where a side is one process. Raises
    `Refusal` where the sides cannot be compared, and where a rule can be judged nowhere.
    """
    allowed = tuple(allowed)
    notes = check_comparable(base, now, allowed)
    pairs, lost, new = match(base, now)
    known = KnownSpread([process for process in history if _is_comparable(process, now, allowed)])
    findings = []
    for rule_metric, find in FINDERS.items():
        seen = set()
        for pair in pairs:
            rule = rule_for(rules, rule_metric, pair.case_id)
            load = (pair.now[0]["case"]["device"], pair.now[0]["case"]["optimization"])
            # One load is that of all cases of a device and an optimization.
            if rule is None or (rule_metric == "model_load" and load in seen):
                continue
            seen.add(load)
            findings += find(pair, rule, known)
    for rule in rules:
        if rule.metric in TOGETHER:
            findings += together(
                rule, [pair for pair in pairs if rule_for(rules, rule.metric, pair.case_id) is rule], known
            )
    _refuse_empty_rules(rules, findings)
    tested = [index for index, finding in enumerate(findings) if finding.p is not None]
    falls = statistics.holm([findings[index].p or 0.0 for index in tested])
    for index, fallen in zip(tested, falls, strict=True):
        if findings[index].verdict == REGRESSION and not fallen:
            reason = f"beyond the limit taken alone, but not among {len(tested)} comparisons (Holm)"
            findings[index] = replace(findings[index], verdict=INCONCLUSIVE, reason=reason)
    rank = {verdict: place for place, verdict in enumerate(VERDICTS)}
    findings.sort(key=lambda finding: (rank[finding.verdict], -_over(finding)))
    return Judgement(
        findings=tuple(findings),
        lost=tuple(lost),
        new=tuple(new),
        notes=tuple(notes),
        missing=missing,
        hypotheses=len(tested),
        sources=(tuple(process.source for process in base), tuple(process.source for process in now)),
    )


def check_rules(base: Sequence[Process], rules: Iterable[Rule]) -> None:
    """Raise `Refusal` for a rule that no case of the baseline has a number for: it would pass whatever happened."""
    records = [record for process in base for record in process.records.values() if record["status"] == "ok"]
    for rule in rules:
        of_rule = [record for record in records if rule.applies_to(record["case_id"])]
        if not of_rule:
            raise Refusal(f"no case of the baseline {base[0].source} matches {rule.text}; leave it out")
        if not any(values.has(rule.metric, record) for record in of_rule):
            why = values.why_missing(rule.metric, of_rule[0])
            raise Refusal(f"{rule.text} cannot be judged, the baseline {base[0].source} has no such number: {why}")


def _is_comparable(process: Process, now: Sequence[Process], allowed: Sequence[str]) -> bool:
    try:
        check_comparable([process], now, allowed)
    except Refusal:
        return False
    return True


def _refuse_empty_rules(rules: Iterable[Rule], findings: Sequence[Finding]) -> None:
    """A rule that nothing was judged by would pass whatever happened."""
    for rule in rules:
        own = [finding for finding in findings if finding.rule is rule]
        if any(finding.verdict != NOT_JUDGED for finding in own):
            continue
        why = own[0].reason if own else f"no case of both sides matches {rule.expression!r}"
        raise Refusal(f"{rule.text} can be judged in no case: {why}; leave it out, or measure what it needs")


def _over(finding: Finding) -> float:
    """How far a change is beyond its limit, for the order of the table."""
    limit = finding.rule.amount
    if finding.rule.kind != PERCENT and finding.metric != "quality":
        limit = limit / finding.base if finding.base else 0.0
    return finding.worsening - limit
