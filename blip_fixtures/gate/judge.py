"""Records of both sides and rules -> a verdict on every case and metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from blip_fixtures.gate import statistics, values
from blip_fixtures.gate.sides import Refusal, check_comparable
from blip_fixtures.rules import FAIL, PERCENT, Rule, rule_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.gate.sides import Key, Process
    from blip_fixtures.gate.statistics import Estimate
    from blip_fixtures.record import Record

# In the order in which they are shown.
VERDICTS = (REGRESSION, INCONCLUSIVE, NOT_JUDGED, PASS) = ("regression", "inconclusive", "not judged", "pass")
# Of two processes of unchanged code on a shared machine the slower one took at most 1.61 times as long (see
# docs/gate.md). One process on each side, of whose spread nothing is known, proves only more than that.
_FAR = 1.61
FAR_BEYOND = math.log(_FAR)
# Sums of floats in another order.
_ROUNDING = 1e-9
_NO_SPREAD = (
    "one process says nothing about the spread between processes; use `gate ab`, or store runs of unchanged code with "
    "--benchmark-autosave"
)


@dataclass(frozen=True)
class Finding:
    """One metric of one case on both sides.

    `base` and `now` are in the record's units. `change`, `low` and `high` are shares of the baseline, for quality
    differences of the score; the bounds are one-sided, 95 % each. `p` is how likely the change is within the limit.
    """

    case_id: str
    metric: str
    rule: Rule
    base: float | None
    now: float | None
    verdict: str
    change: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    needed: int | None = None
    p: float | None = None
    part: str = ""
    higher_is_better: bool = False

    @property
    def name(self) -> str:
        """``latency``, ``memory (weights)``, ``quality (cider)``."""
        return f"{self.metric} ({self.part})" if self.part else self.metric

    @property
    def worsening(self) -> float:
        """The change, so that more is worse."""
        return (-1 if self.higher_is_better else 1) * (self.change or 0.0)


@dataclass(frozen=True)
class Lost:
    """A case of the baseline that was asked for and has no numbers now."""

    case_id: str
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All verdicts, worst first. `hypotheses` is how many of them were tested together."""

    findings: tuple[Finding, ...]
    lost: tuple[Lost, ...] = ()
    new: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: str = FAIL
    hypotheses: int = 0
    sources: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def regressed(self) -> bool:
        """Whether the change must not go on."""
        return any(finding.verdict == REGRESSION for finding in self.findings) or bool(
            self.lost and self.missing == FAIL
        )

    def count(self, verdict: str) -> int:
        """Findings of one verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)


@dataclass(frozen=True)
class _Pair:
    """The records of one case on both sides, those that ran to their end."""

    case_id: str
    base: Sequence[Record]
    now: Sequence[Record]


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
    pairs, lost, new = _match(base, now)
    known = _KnownSpread([process for process in history if _is_comparable(process, now, allowed)])
    findings = []
    for rule_metric, find in _FINDERS.items():
        seen = set()
        for pair in pairs:
            rule = rule_for(rules, rule_metric, pair.case_id)
            load = (pair.now[0]["case"]["device"], pair.now[0]["case"]["optimization"])
            # One load is that of all cases of a device and an optimization.
            if rule is None or (rule_metric == "model_load" and load in seen):
                continue
            seen.add(load)
            findings += find(pair, rule, known)
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


def _match(base: Sequence[Process], now: Sequence[Process]) -> tuple[list[_Pair], list[Lost], list[str]]:
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
            pairs.append(_Pair(case_id, records, became[key]))
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


class _KnownSpread:
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


def _varying(pair: _Pair, rule: Rule, known: _KnownSpread, part: str = "") -> list[Finding]:
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


def _exact(pair: _Pair, rule: Rule, read: Callable[[Record], float | None], part: str = "") -> list[Finding]:
    """A metric that is the same in every process of the same code."""
    finding = _start(pair, rule, read, part)
    if finding.change is None or finding.base is None or finding.now is None:
        return [finding]
    most = finding.base * (1 + rule.amount) if rule.kind == PERCENT else finding.base + rule.amount
    verdict = REGRESSION if finding.now > most * (1 + _ROUNDING) else PASS
    return [replace(finding, verdict=verdict, low=finding.change, high=finding.change)]


def _memory(pair: _Pair, rule: Rule, known: _KnownSpread) -> list[Finding]:
    """Weights, and with them what `generate` takes: CUDA's allocator is exact, a process's resident set is not."""
    found = _exact(pair, rule, values.weights_bytes, "weights")
    if all(map(values.has_exact_memory, (*pair.base, *pair.now))):
        return found + _exact(pair, rule, values.peak_bytes, "peak")
    return found + _varying(pair, rule, known, "peak")


def _quality(pair: _Pair, rule: Rule, _known: _KnownSpread) -> list[Finding]:
    """Each metric of the dataset that is a mean, by a paired bootstrap over the samples, which both sides answered."""
    record = pair.base[0]
    names = [name for name in record["quality"] if values.is_mean(record, name)]
    if not names:
        return [_start(pair, rule, lambda _record: None)]
    return [_score(pair, rule, name) for name in names]


def _score(pair: _Pair, rule: Rule, name: str) -> Finding:
    finding = _start(pair, rule, lambda record: values.score(record, name), name)
    if finding.base is None or finding.now is None:
        return finding
    higher = pair.base[0]["quality"][name]["higher_is_better"]
    finding = replace(finding, change=finding.now - finding.base, higher_is_better=higher)
    differences = values.score_differences(pair.base, pair.now, name)
    if differences is None:
        return replace(finding, verdict=NOT_JUDGED, reason="the sides have scores of different samples, or none")
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


_FINDERS: Mapping[str, Callable[[_Pair, Rule, _KnownSpread], list[Finding]]] = {
    "latency": _varying,
    "latency_p90": _varying,
    "time_to_first_token": _varying,
    "energy": _varying,
    "flops": lambda pair, rule, _known: _exact(pair, rule, values.flops),
    "memory": _memory,
    "quality": _quality,
    "model_load": _varying,
}


def _start(pair: _Pair, rule: Rule, read: Callable[[Record], float | None], part: str = "") -> Finding:
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
