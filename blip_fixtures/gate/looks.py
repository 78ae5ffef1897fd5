"""Looks at one comparison, one after each pair of processes: what a look has decided stays decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judging import by_samples, exact, logarithm_of_limit
from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.rules import rule_for
from blip_fixtures.gate.sequential import FIRST_LOOK, Design, Look, moderated
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.gate.spreads import KnownSpread, levels_of
from blip_fixtures.gate.values import is_calibrated
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.gate.findings import Finding, Judgement
    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process
    from blip_fixtures.gate.spreads import Bounded
    from blip_fixtures.record import Record


class Looks:
    """At most `most` looks, and what came of those so far."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.design = Design(max(most, FIRST_LOOK))
        self._decided: dict[tuple[Any, ...], Finding] = {}

    def known(self, pairs: Sequence[Pair], history: Sequence[Process]) -> KnownSpread:
        """The spread between processes as this look knows it."""
        return _AtALook(self.design, pairs, history)

    def with_decided(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings, each as an earlier look has decided it."""
        found = {_key(finding): finding for finding in findings}
        return list((found | self._decided).values())

    def decided(self, findings: Sequence[Finding]) -> list[Finding]:
        """The findings, those that this look decides among them; to be kept for the next look."""
        found = [self._decision(finding) for finding in findings]
        found = [_told_by_its_cases(finding, found) for finding in found]
        self._decided |= {_key(finding): finding for finding in found if finding.decided_after is not None}
        return found

    def _decision(self, finding: Finding) -> Finding:
        look = finding.estimate
        if not isinstance(look, Look) or finding.decided_after is not None:
            return finding
        if finding.verdict in (Verdict.REGRESSION, Verdict.PASS):
            return replace(finding, decided_after=look.pairs)
        if not look.is_futile(logarithm_of_limit(finding)):
            return finding
        reason = Reason.of("undecided_at_the_end", pairs=look.pairs)
        if look.pairs < self.design.looks:
            reason = Reason.of("undecided", pairs=look.pairs, most=self.design.looks)
        return replace(finding, decided_after=look.pairs, reason=reason)


def _told_by_its_cases(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """All cases as one need no further look where one of them is a regression, or each has passed."""
    if finding.cases == 1 or finding.decided_after is not None or not isinstance(finding.estimate, Look):
        return finding
    verdicts = {
        other.verdict
        for other in findings
        if other.cases == 1 and (other.metric, other.rule.key) == (finding.metric, finding.rule.key)
    }
    pairs = finding.estimate.pairs
    if Verdict.REGRESSION in verdicts:
        return replace(finding, decided_after=pairs, reason=Reason.of("a_case_regressed"))
    if verdicts == {Verdict.PASS}:
        return replace(finding, decided_after=pairs, verdict=Verdict.PASS, reason=Reason.of("each_case_passes"))
    return finding


def open_findings(judgement: Judgement) -> list[Finding]:
    """What more processes may decide."""
    return [
        finding
        for finding in judgement.findings
        if finding.verdict == Verdict.INCONCLUSIVE
        and finding.decided_after is None
        and find_metric(finding.metric).judged is not by_samples
    ]


def cases_without_doubt(judgement: Judgement, rules: Sequence[Rule]) -> set[str]:
    """Ids of the cases that the next processes need not measure.

    A case stays while a comparison of all cases of its rule is open.
    """
    still = open_findings(judgement)
    together = {(finding.metric, finding.rule.key) for finding in still if finding.cases > 1}
    kept = {finding.case_id for finding in still}
    cases = {finding.case_id for finding in judgement.findings if finding.cases == 1}
    for case_id in cases - kept:
        of_case = ((metric, rule_for(rules, metric, case_id)) for metric, _ in together)
        if any(rule is not None and (metric, rule.key) in together for metric, rule in of_case):
            kept.add(case_id)
    return cases - kept


def expected_pairs(finding: Finding, most: int) -> int:
    """After how many pairs an open finding will be decided, as far as is known; else `most`."""
    if not isinstance(finding.estimate, Look):
        return most
    return finding.estimate.expected_pairs(logarithm_of_limit(finding))


def check_most(most: int, rules: Iterable[Rule]) -> None:
    """Raise `Refusal` where so few pairs decide nothing of a rule, whatever is measured."""
    for rule in rules:
        if most < FIRST_LOOK and find_metric(rule.metric).judged not in (exact, by_samples):
            raise Refusal(
                f"--max-runs {most} is too small to decide {rule.text}: one process a side says nothing of the spread "
                f"between processes; give at least {FIRST_LOOK}"
            )


class _AtALook(KnownSpread):
    """Student's t on the levels of processes, within the bounds of a look."""

    one_process_tells = False

    def __init__(self, design: Design, pairs: Sequence[Pair], history: Sequence[Process]) -> None:
        super().__init__(history)
        self._design = design
        self._pairs = pairs
        self._levels: dict[tuple[Any, ...], list[Any]] = {}

    def estimate(self, metric: Metric, pair: Pair, base: Any, now: Any) -> Bounded | None:
        """Of one case; what other cases of the device say of the spread counts too."""
        like = pair.now[0]
        others = [
            levels
            for other in self._pairs
            if other.key != pair.key and other.now[0].case.device == like.case.device
            for levels in self._of_pair(metric, other, like)
        ]
        return self._look([np.nanmedian(side, axis=1) for side in (base, now)], [*others, *self.earlier(metric, like)])

    def estimate_together(self, metric: Metric, pairs: Sequence[Pair], base: Any, now: Any) -> Bounded | None:
        """Of the mean of cases: its spread is no more than theirs, so theirs may count too."""
        each = [levels for pair in pairs for levels in self._of_pair(metric, pair, pairs[0].now[0])]
        return self._look([base[:, 0], now[:, 0]], each)

    def _of_pair(self, metric: Metric, pair: Pair, like: Record) -> list[Any]:
        """(processes,) logarithms of both sides, computed once for all cases that ask."""
        asked = (metric.name, pair.key, is_calibrated(metric, like))
        if asked not in self._levels:
            self._levels[asked] = levels_of(metric, like, (pair.base, pair.now))
        return self._levels[asked]

    def _look(self, sides: Sequence[Any], others: Sequence[Any]) -> Bounded | None:
        pairs = min(map(len, sides))
        found = moderated(sides, others) if pairs >= FIRST_LOOK else None
        if found is None:
            return None
        variance, degrees = found
        base, now = (float(np.mean(side)) for side in sides)
        return Look(now - base, float(np.sqrt(variance)), degrees, min(pairs, self._design.looks), self._design)


def _key(finding: Finding) -> tuple[Any, ...]:
    """The same comparison at each look; how many cases are judged as one may change."""
    return (finding.case_id if finding.cases == 1 else None, finding.metric, finding.part, finding.rule.key)
