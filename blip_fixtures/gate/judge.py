"""Records of both sides and rules -> a verdict on every case and metric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from blip_fixtures.gate import statistics
from blip_fixtures.gate.findings import Judgement, Verdict
from blip_fixtures.gate.judging import together
from blip_fixtures.gate.matching import match
from blip_fixtures.gate.metrics import find_metric, metric_names
from blip_fixtures.gate.rules import PERCENT, Missing, rule_for
from blip_fixtures.gate.sides import Refusal, check_comparable
from blip_fixtures.gate.spreads import KnownSpread
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blip_fixtures.gate.findings import Finding
    from blip_fixtures.gate.looks import Looks
    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process


def judge(
    base: Sequence[Process],
    now: Sequence[Process],
    rules: Sequence[Rule],
    *,
    history: Sequence[Process] = (),
    allowed: Iterable[str] = (),
    missing: Missing = Missing.FAIL,
    looks: Looks | None = None,
) -> Judgement:
    """Every metric that a rule names, on every case of both sides.

    `history` are earlier runs of this machine, for the spread between processes where a side is one process. With
    `looks` this is one look of several, which knows what earlier ones decided. Raises `Refusal` where the sides cannot
    be compared, and where a rule can be judged nowhere.
    """
    allowed = tuple(allowed)
    notes = check_comparable(base, now, allowed)
    pairs, lost, new = match(base, now)
    history = [process for process in history if _is_comparable(process, now, allowed)]
    known = KnownSpread(history) if looks is None else looks.known(pairs, history)
    findings = [
        finding
        for metric in map(find_metric, metric_names())
        for pair, rule in _judged_by(metric, pairs, rules)
        for finding in metric.judged(metric, _of_metric(metric, pair), rule, known)
    ]
    for rule in rules:
        metric = find_metric(rule.metric)
        if metric.is_judged_together:
            own = [pair for pair in pairs if rule_for(rules, rule.metric, pair.case_id) is rule]
            findings += together(metric, rule, own, known)
    _refuse_empty_rules(rules, findings)
    if looks is None:
        findings, tested = _as_a_family(findings)
    else:
        findings, tested = _as_a_family(looks.with_decided(findings))
        findings = looks.decided(findings)
    rank = {verdict: place for place, verdict in enumerate(Verdict)}
    findings.sort(key=lambda finding: (rank[finding.verdict], -_over(finding)))
    return Judgement(
        findings=tuple(findings),
        lost=tuple(lost),
        new=tuple(new),
        notes=tuple(notes),
        missing=missing,
        hypotheses=tested,
        interrupted=any(process.interrupted for process in base),
        tests=_tests(now),
        sources=(tuple(process.source for process in base), tuple(process.source for process in now)),
    )


def _tests(side: Sequence[Process]) -> dict[str, str]:
    """The first pytest id of each case that has one."""
    return {
        process.records[key].case_id: names[0]
        for process in side
        for key, names in process.node_ids.items()
        if names and key in process.records
    }


def _judged_by(metric: Metric, pairs: Sequence[Pair], rules: Sequence[Rule]) -> Iterator[tuple[Pair, Rule]]:
    """The cases that a metric is judged on, each with its rule."""
    loads = set()
    for pair in pairs:
        rule = rule_for(rules, metric.name, pair.case_id)
        load = (pair.now[0].case.device, pair.now[0].case.optimization)
        # One load is that of all cases of a device and an optimization.
        if rule is None or (metric.is_once_a_load and load in loads):
            continue
        loads.add(load)
        yield pair, rule


def _of_metric(metric: Metric, pair: Pair) -> Pair:
    """Without the processes that have no number of it, such as those that timed alone, where another one has."""
    base, now = ([record for record in side if metric.has_number(record)] or side for side in (pair.base, pair.now))
    return replace(pair, base=base, now=now)


def _as_a_family(findings: Sequence[Finding]) -> tuple[list[Finding], int]:
    """The findings, without regressions that many comparisons explain, and how many were tested together."""
    judged = list(findings)
    tested = [index for index, finding in enumerate(judged) if finding.p is not None]
    # What an earlier look has called a regression has fallen.
    falls = statistics.holm([0.0 if judged[index].has_fallen else judged[index].p or 0.0 for index in tested])
    for index, fallen in zip(tested, falls, strict=True):
        if judged[index].verdict == Verdict.REGRESSION and not fallen:
            reason = Reason.of("not_among_comparisons", comparisons=len(tested))
            judged[index] = replace(judged[index], verdict=Verdict.INCONCLUSIVE, reason=reason)
    return judged, len(tested)


def check_rules(base: Sequence[Process], rules: Iterable[Rule]) -> None:
    """Raise `Refusal` for a rule that no case of the baseline has a number for: it would pass whatever happened."""
    records = [record for process in base for record in process.records.values() if record.status == Status.OK]
    for rule in rules:
        of_rule = [record for record in records if rule.applies_to(record.case_id)]
        if not of_rule:
            raise Refusal(f"no case of the baseline {base[0].source} matches {rule.text}; leave it out")
        metric = find_metric(rule.metric)
        if not any(metric.has_number(record) for record in of_rule):
            why = metric.why_missing(of_rule[0])
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
        if any(finding.verdict != Verdict.NOT_JUDGED for finding in own):
            continue
        why = own[0].reason if own else f"no case of both sides matches {rule.expression!r}"
        raise Refusal(f"{rule.text} can be judged in no case: {why}; leave it out, or measure what it needs")


def _over(finding: Finding) -> float:
    """How far a change is beyond its limit, for the order of the table."""
    limit = finding.rule.amount
    if finding.rule.kind != PERCENT and not find_metric(finding.metric).unit.is_score:
        limit = limit / finding.base if finding.base else 0.0
    return finding.worsening - limit
