"""How a metric is judged: by the spread between processes, by its samples, or exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from blip_fixtures.gate import statistics, values
from blip_fixtures.gate.doubts import doubt_of
from blip_fixtures.gate.findings import Finding, SideName, Verdict
from blip_fixtures.gate.rules import PERCENT
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.spreads import Bounded, KnownSpread
    from blip_fixtures.record import Record

    Read = Callable[[Record], float | None]

# Of two processes of unchanged code on a shared machine the slower one took at most 1.61 times as long (see
# docs/gate.md). One process on each side, of whose spread nothing is known, proves only more than that.
FAR = 1.61
FAR_BEYOND = math.log(FAR)
# What so many cases share is also judged as one.
_ENOUGH_CASES = 3
# Sums of floats in another order.
_ROUNDING = 1e-9


def varying(metric: Metric, pair: Pair, rule: Rule, known: KnownSpread, part: str = "") -> list[Finding]:
    """One that differs from process to process."""
    sides = [_with_number(records, metric.read) for records in (pair.base, pair.now)]
    finding = _start(metric, pair, rule, metric.read, part)
    if finding.change is None:
        return [finding]
    obstacle = _no_shares(metric, *sides)
    if obstacle is not None:
        return [replace(finding, change=None, reason=obstacle)]
    base, now = values.logarithms(metric, sides)
    center = statistics.center_of(base, now)
    finding = replace(finding, change=statistics.change_of(center))
    doubt = doubt_of(metric, SideName.BASELINE, *sides) or doubt_of(metric, SideName.RUN, *reversed(sides))
    if doubt is not None:
        return [replace(finding, verdict=Verdict.INCONCLUSIVE, reason=doubt)]
    estimate = known.estimate(metric, replace(pair, base=sides[0], now=sides[1]), base, now)
    if estimate is None:
        return [_without_spread(finding, center, tells=known.one_process_tells)]
    slack = sum(max(map(metric.error_bound, side)) for side in sides) if metric.error_bound is not None else 0.0
    return [_within(finding, estimate, logarithm_of_limit(finding), slack)]


def together(metric: Metric, rule: Rule, pairs: Sequence[Pair], known: KnownSpread) -> list[Finding]:
    """All cases of a rule as one: a change of them all shows in their mean though noise hides it in each.

    For the cases whose processes all have the number and are in no doubt, where there are enough of them.
    """
    read = metric.read
    whole = max((min(len(pair.base), len(pair.now)) for pair in pairs), default=0)
    used = [pair for pair in pairs if min(len(pair.base), len(pair.now)) == whole]
    used = [pair for pair in used if all(read(record) is not None for record in (*pair.base, *pair.now))]
    used = [
        pair
        for pair in used
        if _no_shares(metric, pair.base, pair.now) is None
        and doubt_of(metric, SideName.BASELINE, pair.base, pair.now) is None
        and doubt_of(metric, SideName.RUN, pair.now, pair.base) is None
    ]
    if rule.kind != PERCENT or len(used) < _ENOUGH_CASES or len({(len(pair.base), len(pair.now)) for pair in used}) > 1:
        return []
    base, now = (
        np.mean([values.levels(metric, side) for side in sides], axis=0)[:, None]
        for sides in ([pair.base for pair in used], [pair.now for pair in used])
    )
    was, became = (
        math.exp(np.mean([math.log(_median(side, read) or 1.0) for side in sides]))
        for sides in ([pair.base for pair in used], [pair.now for pair in used])
    )
    center = statistics.center_of(base, now)
    finding = Finding(
        f"all {len(used)} cases",
        metric.name,
        rule,
        was,
        became,
        Verdict.INCONCLUSIVE,
        change=statistics.change_of(center),
        cases=len(used),
    )
    estimate = known.estimate_together(metric, used, base, now)
    if estimate is None:
        return []
    slack = 0.0
    if metric.error_bound is not None:
        slack = max(metric.error_bound(record) for pair in used for record in (*pair.base, *pair.now)) * 2
    return [_within(finding, estimate, math.log1p(rule.amount), slack)]


def logarithm_of_limit(finding: Finding) -> float:
    """The logarithm of now over base at the limit of a finding's rule."""
    rule = finding.rule
    return math.log1p(rule.amount if rule.kind == PERCENT else rule.amount / (finding.base or math.inf))


def _without_spread(finding: Finding, center: float, *, tells: bool) -> Finding:
    """One process a side and nothing known of the machine: only a change beyond any spread is judged."""
    limit = logarithm_of_limit(finding)
    if tells and center - limit > FAR_BEYOND:
        return replace(finding, verdict=Verdict.REGRESSION, reason=Reason.of("beyond_any_spread", factor=FAR))
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=Reason.of("one_process_a_side"))


def _within(finding: Finding, estimate: Bounded, limit: float, slack: float) -> Finding:
    """The verdict on an interval: beyond the limit, within it, or across it."""
    low, high = estimate.low - slack, estimate.high + slack
    p = estimate.p_not_beyond(limit + slack)
    finding = replace(finding, low=statistics.change_of(low), high=statistics.change_of(high), p=p, estimate=estimate)
    if low > limit:
        return replace(finding, verdict=Verdict.REGRESSION)
    if high <= limit:
        return replace(finding, verdict=Verdict.PASS)
    needed = statistics.processes_needed(estimate, limit)
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=_straddles(needed), needed=needed)


def _straddles(needed: int | None) -> Reason:
    if needed is None:
        return Reason.of("interval_holds_limit_for_good")
    return Reason.of("interval_holds_limit", needed=needed)


def exact(metric: Metric, pair: Pair, rule: Rule, _known: KnownSpread) -> list[Finding]:
    """One that is the same in every process of the same code."""
    return [_exactly(metric, pair, rule, metric.read)]


def _exactly(metric: Metric, pair: Pair, rule: Rule, read: Read, part: str = "") -> Finding:
    finding = _start(metric, pair, rule, read, part)
    if finding.change is None or finding.base is None or finding.now is None:
        return finding
    most = finding.base * (1 + rule.amount) if rule.kind == PERCENT else finding.base + rule.amount
    verdict = Verdict.REGRESSION if finding.now > most * (1 + _ROUNDING) else Verdict.PASS
    return replace(finding, verdict=verdict, low=finding.change, high=finding.change)


def of_memory(metric: Metric, pair: Pair, rule: Rule, known: KnownSpread) -> list[Finding]:
    """Weights, and with them what `generate` takes: CUDA's allocator is exact, a process's resident set is not."""
    weights = _exactly(metric, pair, rule, values.weights_bytes, "weights")
    if all(map(values.has_exact_memory, (*pair.base, *pair.now))):
        return [weights, _exactly(metric, pair, rule, metric.read, "peak")]
    return [weights, *varying(metric, pair, rule, known, "peak")]


def by_samples(metric: Metric, pair: Pair, rule: Rule, _known: KnownSpread) -> list[Finding]:
    """Each score of the dataset that is a mean, by a paired bootstrap over the samples, which both sides answered."""
    names = values.mean_scores(pair.base[0])
    if not names:
        return [_start(metric, pair, rule, lambda _record: None)]
    return [_score(metric, pair, rule, name) for name in names]


def _score(metric: Metric, pair: Pair, rule: Rule, name: str) -> Finding:
    finding = _start(metric, pair, rule, lambda record: values.score(record, name), name)
    if finding.base is None or finding.now is None:
        return finding
    higher = pair.base[0].quality[name].higher_is_better
    finding = replace(finding, change=finding.now - finding.base, higher_is_better=higher)
    differences = values.score_differences(pair.base, pair.now, name)
    if differences is None:
        return replace(finding, verdict=Verdict.NOT_JUDGED, reason=Reason.of("other_samples"))
    if not differences.any():
        # No sample changed: that cannot be chance, so it is no test that others would have to make up for.
        return replace(finding, verdict=Verdict.PASS, change=0.0, low=0.0, high=0.0)
    draws = statistics.paired_means(differences)
    low, high = (float(np.quantile(draws, share)) for share in (1 - statistics.CONFIDENCE, statistics.CONFIDENCE))
    worst, best = (low, high) if higher else (-high, -low)
    worse = -draws if higher else draws
    p = float((1 + np.count_nonzero(worse <= rule.amount)) / (1 + len(draws)))
    finding = replace(finding, low=low, high=high, p=p)
    if -best > rule.amount:
        return replace(finding, verdict=Verdict.REGRESSION)
    if -worst <= rule.amount:
        return replace(finding, verdict=Verdict.PASS)
    reason = Reason.of("interval_of_samples_holds_limit", samples=len(differences))
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason)


def _start(metric: Metric, pair: Pair, rule: Rule, read: Read, part: str = "") -> Finding:
    """Both sides' medians over their processes; not judged, with the reason, where one of them has no number."""
    base, now = (_median(_with_number(records, read), read) for records in (pair.base, pair.now))
    finding = Finding(pair.case_id, metric.name, rule, base, now, Verdict.NOT_JUDGED, part=part)
    if base is None or now is None:
        side, records = (SideName.BASELINE, pair.base) if base is None else (SideName.RUN, pair.now)
        return replace(finding, reason=Reason.of("no_number", side=side, why=metric.why_missing(records[0])))
    return replace(finding, change=now / base - 1 if base else (0.0 if now == base else math.inf))


def _no_shares(metric: Metric, base: Sequence[Record], now: Sequence[Record]) -> Reason | None:
    """Why the numbers of one side cannot be divided by those of the other, or `None`."""
    for side, records in ((SideName.BASELINE, base), (SideName.RUN, now)):
        if not all(values.has_share(metric, record) for record in records):
            return Reason.of("no_share_of_zero", side=side)
    if len({values.is_calibrated(metric, record) for record in (*base, *now)}) > 1:
        return Reason.of("not_all_calibrated")
    return None


def _with_number(records: Iterable[Record], read: Read) -> list[Record]:
    return [record for record in records if read(record) is not None]


def _median(records: Iterable[Record], read: Read) -> float | None:
    found = [number for record in records if (number := read(record)) is not None]
    return float(np.median(found)) if found else None
