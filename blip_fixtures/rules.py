"""What may change by how much: ``METRIC:LIMIT``, or ``METRIC:LIMIT@EXPRESSION`` for some cases alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _pytest.mark.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PERCENT, ABSOLUTE = "percent", "absolute"
# What becomes of a case that was asked for and is gone.
MISSING = (FAIL, WARN) = ("fail", "warn")
# Conditions of a measurement that may differ between two sides where they are allowed to.
ALLOWABLE = ("machine", "threads", "torch", "transformers", "python", "driver", "prompts", "data", "new-tokens")

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_JOULES = {"mJ": 1e-3, "J": 1.0, "kJ": 1e3}
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_OPERATIONS = {"M": 1e6, "G": 1e9, "T": 1e12}
# A score of 0.42 is 42 points.
_POINTS = {"": 1e-2}

# The units in which an absolute limit of each metric may stand, in the units of the records.
METRICS: Mapping[str, Mapping[str, float]] = {
    "latency": _SECONDS,
    "latency_p90": _SECONDS,
    "time_to_first_token": _SECONDS,
    "energy": _JOULES,
    "flops": _OPERATIONS,
    "memory": _BYTES,
    "quality": _POINTS,
    "model_load": _SECONDS,
}
# Metrics made of rounds, each divided by the reference product that was timed before it.
CALIBRATED = ("latency", "latency_p90", "time_to_first_token")
_EXAMPLES = {
    "energy": "energy:10% or energy:0.5J",
    "flops": "flops:0% or flops:1G",
    "memory": "memory:5% or memory:200MB",
    "quality": "quality:1 (points)",
}


class RuleError(ValueError):
    """A rule that cannot be; the message says why and what can."""


@dataclass(frozen=True)
class Rule:
    """`metric` may become worse by `amount`: a share of the baseline (`percent`), or in the record's units.

    For `quality` a unit is a whole score, so one point is 0.01. `expression` narrows it as pytest's `-k` does.
    """

    text: str
    metric: str
    kind: str
    amount: float
    expression: str | None = None

    def applies_to(self, case_id: str) -> bool:
        """Whether the case is one of those that the expression names; without one every case is."""
        return self.expression is None or matches(self.expression, [case_id])

    @property
    def limit(self) -> str:
        """The limit as it was written, without the metric."""
        return self.text.split("@", 1)[0].partition(":")[2].strip()


def parse_rule(text: str) -> Rule:
    """The rule that `text` spells. Raises `RuleError` in one sentence."""
    said, _, expression = (part.strip() for part in text.partition("@"))
    metric, _, limit = (part.strip() for part in said.partition(":"))
    if metric not in METRICS:
        raise RuleError(f"unknown metric {metric!r}; choose one of {', '.join(METRICS)}")
    example = _EXAMPLES.get(metric, f"{metric}:10% or {metric}:5ms")
    match = re.fullmatch(r"([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)", limit)
    if match is None:
        raise RuleError(f"the limit {limit!r} is not a number with a unit; give {example}")
    amount, unit = float(match[1]), match[2]
    if amount < 0 or not math.isfinite(amount):
        raise RuleError(
            f"the limit {limit!r} is negative or without bound; give how much worse it may become, {example}"
        )
    if "@" in text:
        _check(expression)
    if unit == "%" and metric != "quality":
        return Rule(text, metric, PERCENT, amount / 100, expression or None)
    if unit not in METRICS[metric]:
        units = [name for name in METRICS[metric] if name] + ["%"] * (metric != "quality")
        known = f"{metric} takes {', '.join(units)}" if metric != "quality" else "quality takes points, without a unit"
        raise RuleError(
            f"the limit {limit!r} has {'the unit ' + repr(unit) if unit else 'no unit'}; {known}: {example}"
        )
    return Rule(text, metric, ABSOLUTE, amount * METRICS[metric][unit], expression or None)


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """All rules. Raises `RuleError` for the first that cannot be, and where two say the same of the same cases."""
    rules = tuple(parse_rule(text) for text in texts)
    seen = set()
    for rule in rules:
        key = rule.metric, rule.expression
        if key in seen:
            raise RuleError(f"{rule.metric} has two limits for the same cases; give one")
        seen.add(key)
    return rules


def rule_for(rules: Iterable[Rule], metric: str, case_id: str) -> Rule | None:
    """The rule of a metric for a case: the last one that names it, else the one for all cases."""
    found = [rule for rule in rules if rule.metric == metric and rule.applies_to(case_id)]
    chosen = [rule for rule in found if rule.expression is not None] or found
    return chosen[-1] if chosen else None


def matches(expression: str, names: Iterable[str]) -> bool:
    """Pytest's `-k`: each word is looked for inside the names, upper and lower case alike."""
    lowered = [name.lower() for name in names]

    def is_in_one(word: str, /, **_: str | int | bool | None) -> bool:
        return any(word.lower() in name for name in lowered)

    return Expression.compile(expression).evaluate(is_in_one)


def _check(expression: str) -> None:
    if not expression:
        raise RuleError("there is nothing behind @; give words of case ids, such as latency:5%@compile")
    try:
        matches(expression, [])
    except SyntaxError as error:
        raise RuleError(f"{expression!r} behind @ is not an expression as for pytest's -k: {error}") from None
