"""How each metric is judged: by the spread between processes, by its samples, or exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.gate import statistics, values
from blip_fixtures.gate.findings import INCONCLUSIVE, NOT_JUDGED, PASS, REGRESSION, Finding
from blip_fixtures.rules import PERCENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.sides import Key, Process
    from blip_fixtures.gate.statistics import Estimate
    from blip_fixtures.record import Record
    from blip_fixtures.rules import Rule

# Of two processes of unchanged code on a shared machine the slower one took at most 1.61 times as long (see
# docs/gate.md). One process on each side, of whose spread nothing is known, proves only more than that.
_FAR = 1.61
FAR_BEYOND = math.log(_FAR)
# What so many cases share is also judged as one.
_ENOUGH_CASES = 3
TOGETHER = ("latency", "latency_p90", "time_to_first_token", "energy")
# Sums of floats in another order.
_ROUNDING = 1e-9
_NO_SPREAD = (
    "one process says nothing about the spread between processes; use `gate ab`, or store runs of unchanged code with "
    "--benchmark-autosave"
)


class KnownSpread:
    """The spread between processes, from earlier runs of the machine."""

    def __init__(self, history: Sequence[Process]) -> None:
        self._history = history

    def of(self, metric: str, like: Record, sides: Sequence[Sequence[Record]]) -> tuple[float | None, int]:
        """(standard deviation of the logarithm, degrees of freedom), pooled over the cases of the device.

        `sides` of more than one process count as well. (`None`, 0) where nothing is known.
        """
        by_case: dict[Key, list[Record]] = {}
        for process in self._history:
            for key, record in process.records.items():
                if record["status"] == "ok" and record["case"]["device"] == like["case"]["device"]:
                    by_case.setdefault(key, []).append(record)
        groups = [_with_number(group, values.NUMBERS[metric]) for group in [*by_case.values(), *sides]]
        levels = [values.levels(metric, group) for group in groups if len(group) > 1]
        # Cases of one process are not independent, so processes count and not cases.
        return statistics.spread_of(levels), max((len(group) - 1 for group in levels), default=0)

    def together(self, metric: str, keys: Sequence[Key]) -> Any:
        """(processes,) the mean over these cases, of the earlier runs that have them all."""
        read, found = values.NUMBERS[metric], []
        for process in self._history:
            records = [process.records[key] for key in keys if key in process.records]
            records = [record for record in records if record["status"] == "ok" and read(record) is not None]
            if len(records) == len(keys):
                found.append(float(values.levels(metric, records).mean()))
        return np.array(found)


def _varying(pair: Pair, rule: Rule, known: KnownSpread, part: str = "") -> list[Finding]:
    """A metric that differs from process to process."""
    read = values.NUMBERS[rule.metric]
    sides = [_with_number(records, read) for records in (pair.base, pair.now)]
    finding = _start(pair, rule, read, part)
    if finding.change is None:
        return [finding]
    base, now = values.logarithms(rule.metric, sides)
    center = statistics.center_of(base, now)
    finding = replace(finding, change=math.expm1(center))
    for name, side, other in (("baseline", sides[0], sides[1]), ("run", sides[1], sides[0])):
        doubt = values.doubts(rule.metric, side, other)
        if doubt is not None:
            return [replace(finding, verdict=INCONCLUSIVE, reason=f"the {name} is {doubt}")]
    if min(map(len, sides)) > 1:
        estimate = statistics.over_processes(base, now)
    else:
        spread, degrees = known.of(rule.metric, sides[1][0], sides)
        if spread is None:
            return [_without_spread(finding, center)]
        estimate = statistics.of_known_spread(base, now, spread, degrees)
    slack = sum(max(map(values.energy_bound, side)) for side in sides) if rule.metric == "energy" else 0.0
    return [_within(finding, estimate, _logarithm_of_limit(finding), slack)]


def together(rule: Rule, pairs: Sequence[Pair], known: KnownSpread) -> list[Finding]:
    """All cases of a rule as one: a change of them all shows in their mean though noise hides it in each.

    For the cases whose processes all have the number and are in no doubt, where there are enough of them.
    """
    read = values.NUMBERS[rule.metric]
    whole = max((min(len(pair.base), len(pair.now)) for pair in pairs), default=0)
    used = [pair for pair in pairs if min(len(pair.base), len(pair.now)) == whole]
    used = [pair for pair in used if all(read(record) is not None for record in (*pair.base, *pair.now))]
    used = [
        pair
        for pair in used
        if not (values.doubts(rule.metric, pair.base, pair.now) or values.doubts(rule.metric, pair.now, pair.base))
    ]
    if rule.kind != PERCENT or len(used) < _ENOUGH_CASES or len({(len(pair.base), len(pair.now)) for pair in used}) > 1:
        return []
    base, now = (
        np.mean([values.levels(rule.metric, side) for side in sides], axis=0)[:, None]
        for sides in ([pair.base for pair in used], [pair.now for pair in used])
    )
    was, became = (
        math.exp(np.mean([math.log(_median(side, read) or 1.0) for side in sides]))
        for sides in ([pair.base for pair in used], [pair.now for pair in used])
    )
    center = statistics.center_of(base, now)
    finding = Finding(f"all {len(used)} cases", rule.metric, rule, was, became, INCONCLUSIVE, change=math.expm1(center))
    if whole > 1:
        estimate = statistics.over_processes(base, now)
    else:
        groups = [known.together(rule.metric, [pair.key for pair in used]), base[:, 0], now[:, 0]]
        spread = statistics.spread_of(groups)
        if spread is None:
            return []
        estimate = statistics.of_known_spread(base, now, spread, max(len(group) - 1 for group in groups))
    slack = 0.0
    if rule.metric == "energy":
        slack = max(values.energy_bound(record) for pair in used for record in (*pair.base, *pair.now)) * 2
    return [_within(finding, estimate, math.log1p(rule.amount), slack)]


def _logarithm_of_limit(finding: Finding) -> float:
    rule = finding.rule
    return math.log1p(rule.amount if rule.kind == PERCENT else rule.amount / (finding.base or math.inf))


def _without_spread(finding: Finding, center: float) -> Finding:
    """One process a side and nothing known of the machine: only a change beyond any spread is judged."""
    limit = _logarithm_of_limit(finding)
    if center - limit > FAR_BEYOND:
        reason = f"one process a side; beyond the limit by more than two processes of one code ever differed ({_FAR})"
        return replace(finding, verdict=REGRESSION, reason=reason)
    return replace(finding, verdict=INCONCLUSIVE, reason=_NO_SPREAD)


def _within(finding: Finding, estimate: Estimate, limit: float, slack: float) -> Finding:
    """The verdict on an interval: beyond the limit, within it, or across it."""
    low, high = estimate.low - slack, estimate.high + slack
    p = estimate.p_not_beyond(limit + slack)
    finding = replace(finding, low=math.expm1(low), high=math.expm1(high), p=p)
    if low > limit:
        return replace(finding, verdict=REGRESSION)
    if high <= limit:
        return replace(finding, verdict=PASS)
    needed = statistics.processes_needed(estimate, limit)
    return replace(finding, verdict=INCONCLUSIVE, reason=_straddles(needed), needed=needed)


def _straddles(needed: int | None) -> str:
    if needed is None:
        return "the interval holds the limit, and a hundred processes a side would not settle it"
    return f"the interval holds the limit; about {needed} processes a side would settle it"


def _exact(pair: Pair, rule: Rule, read: Callable[[Record], float | None], part: str = "") -> list[Finding]:
    """A metric that is the same in every process of the same code."""
    finding = _start(pair, rule, read, part)
    if finding.change is None or finding.base is None or finding.now is None:
        return [finding]
    most = finding.base * (1 + rule.amount) if rule.kind == PERCENT else finding.base + rule.amount
    verdict = REGRESSION if finding.now > most * (1 + _ROUNDING) else PASS
    return [replace(finding, verdict=verdict, low=finding.change, high=finding.change)]


def _memory(pair: Pair, rule: Rule, known: KnownSpread) -> list[Finding]:
    """Weights, and with them what `generate` takes: CUDA's allocator is exact, a process's resident set is not."""
    found = _exact(pair, rule, values.weights_bytes, "weights")
    if all(map(values.has_exact_memory, (*pair.base, *pair.now))):
        return found + _exact(pair, rule, values.peak_bytes, "peak")
    return found + _varying(pair, rule, known, "peak")


def _quality(pair: Pair, rule: Rule, _known: KnownSpread) -> list[Finding]:
    """Each metric of the dataset that is a mean, by a paired bootstrap over the samples, which both sides answered."""
    record = pair.base[0]
    names = [name for name in record["quality"] if values.is_mean(record, name)]
    if not names:
        return [_start(pair, rule, lambda _record: None)]
    return [_score(pair, rule, name) for name in names]


def _score(pair: Pair, rule: Rule, name: str) -> Finding:
    finding = _start(pair, rule, lambda record: values.score(record, name), name)
    if finding.base is None or finding.now is None:
        return finding
    higher = pair.base[0]["quality"][name]["higher_is_better"]
    finding = replace(finding, change=finding.now - finding.base, higher_is_better=higher)
    differences = values.score_differences(pair.base, pair.now, name)
    if differences is None:
        return replace(finding, verdict=NOT_JUDGED, reason="the sides have scores of different samples, or none")
    if not differences.any():
        # No sample changed: that cannot be chance, so it is no test that others would have to make up for.
        return replace(finding, verdict=PASS, change=0.0, low=0.0, high=0.0)
    draws = statistics.paired_means(differences)
    low, high = (float(np.quantile(draws, share)) for share in (1 - statistics.CONFIDENCE, statistics.CONFIDENCE))
    worst, best = (low, high) if higher else (-high, -low)
    worse = -draws if higher else draws
    p = float((1 + np.count_nonzero(worse <= rule.amount)) / (1 + len(draws)))
    finding = replace(finding, low=low, high=high, p=p)
    if -best > rule.amount:
        return replace(finding, verdict=REGRESSION)
    if -worst <= rule.amount:
        return replace(finding, verdict=PASS)
    reason = f"the interval holds the limit; more than these {len(differences)} samples would settle it"
    return replace(finding, verdict=INCONCLUSIVE, reason=reason)


def _start(pair: Pair, rule: Rule, read: Callable[[Record], float | None], part: str = "") -> Finding:
    """Both sides' medians over their processes; not judged, with the reason, where one of them has no number."""
    base, now = (_median(_with_number(records, read), read) for records in (pair.base, pair.now))
    finding = Finding(pair.case_id, rule.metric, rule, base, now, NOT_JUDGED, part=part)
    if base is None or now is None:
        side, records = ("baseline", pair.base) if base is None else ("run", pair.now)
        return replace(finding, reason=f"the {side} has none: {values.why_missing(rule.metric, records[0])}")
    return replace(finding, change=now / base - 1 if base else (0.0 if now == base else math.inf))


def _with_number(records: Iterable[Record], read: Callable[[Record], float | None]) -> list[Record]:
    return [record for record in records if read(record) is not None]


def _median(records: Iterable[Record], read: Callable[[Record], float | None]) -> float | None:
    found = [number for record in records if (number := read(record)) is not None]
    return float(np.median(found)) if found else None


FINDERS: Mapping[str, Callable[[Pair, Rule, KnownSpread], list[Finding]]] = {
    "latency": _varying,
    "latency_p90": _varying,
    "time_to_first_token": _varying,
    "energy": _varying,
    "flops": lambda pair, rule, _known: _exact(pair, rule, values.flops),
    "memory": _memory,
    "quality": _quality,
    "model_load": _varying,
}
