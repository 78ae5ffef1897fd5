"""What may change by how much: ``METRIC:LIMIT``, or ``METRIC:LIMIT@EXPRESSION`` for some cases alone.

Which metrics there are, and in which units their limits stand, is for the gate to say; its rows are loaded when the
first rule is read, and not with the plugin.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from blip_fixtures.spelling import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blip_fixtures.gate.metrics import Metric

PERCENT, ABSOLUTE = "percent", "absolute"
MOST_CHARACTERS = 1_000
# Rules that go together under one name, for ``--fail NAME``. FLOPs, weights and answers are the same in each run of the
# same code, so they are held hard; a process's peak of memory and its latency are not.
PRESETS = {"ci": ("flops:0%", "memory:5%", "quality:1", "latency:10%")}
# A baseline whose run was broken off.
INTERRUPTED = "interrupted"
# What may be otherwise than it should where it is allowed: conditions that differ between two sides, and that.
ALLOWABLE = (
    "machine",
    "threads",
    "torch",
    "transformers",
    "python",
    "driver",
    "prompts",
    "data",
    "new-tokens",
    INTERRUPTED,
)


class Missing(StrEnum):
    """What becomes of a case that was asked for and is gone."""

    FAIL = "fail"
    WARN = "warn"


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
        from blip_fixtures.gate.expressions import matches

        return self.expression is None or matches(self.expression, [case_id])

    @property
    def key(self) -> tuple[str, str | None]:
        """What it is a limit of: two rules of one key cannot both count."""
        return self.metric, self.expression

    @property
    def limit(self) -> str:
        """The limit as it was written, without the metric."""
        return self.text.split("@", 1)[0].partition(":")[2].strip()


def parse_rule(text: str) -> Rule:
    """The rule that `text` spells. Raises `RuleError` in one sentence."""
    if len(text) > MOST_CHARACTERS:
        raise RuleError(f"{shown(text)} has {len(text)} characters; a rule has at most {MOST_CHARACTERS}")
    said, _, expression = (part.strip() for part in text.partition("@"))
    name, colon, limit = (part.strip() for part in said.partition(":"))
    metric = _metric(name, () if colon else PRESETS)
    match = re.fullmatch(r"([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)", limit)
    if match is None:
        raise RuleError(f"the limit {limit!r} is not a number with a unit; give {metric.example}")
    amount, unit = float(match[1]), match[2]
    if amount < 0 or not math.isfinite(amount):
        raise RuleError(
            f"the limit {limit!r} is negative or without bound; give how much worse it may become, {metric.example}"
        )
    if "@" in text:
        _check(expression)
    if unit == "%" and not metric.unit.is_score:
        return Rule(text, name, PERCENT, amount / 100, expression or None)
    if unit not in metric.unit.limits:
        raise RuleError(
            f"the limit {limit!r} has {'the unit ' + repr(unit) if unit else 'no unit'}; {name} takes "
            f"{metric.unit.takes}: {metric.example}"
        )
    return Rule(text, name, ABSOLUTE, amount * metric.unit.limits[unit], expression or None)


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """All rules; a name of `PRESETS` stands for its own, of which a rule that is written out takes the place.

    Raises `RuleError` for the first that cannot be, and where two say the same of the same cases.
    """
    texts = tuple(texts)
    rules = tuple(parse_rule(text) for text in texts if text.strip() not in PRESETS)
    if len({rule.key for rule in rules}) < len(rules):
        twice = next(rule for rule in rules if sum(other.key == rule.key for other in rules) > 1)
        raise RuleError(f"{twice.metric} has two limits for the same cases; give one")
    named = [parse_rule(rule) for text in texts for rule in PRESETS.get(text.strip(), ())]
    return overridden(named, rules)


def overridden(rules: Iterable[Rule], by: Iterable[Rule]) -> tuple[Rule, ...]:
    """Both, without those of the first that `by` has for the same metric and cases."""
    found = {rule.key: rule for rule in rules}
    for rule in by:
        # Of two that name a case the last one counts, so what overrides stands last.
        found.pop(rule.key, None)
        found[rule.key] = rule
    return tuple(found.values())


def rule_for(rules: Iterable[Rule], metric: str, case_id: str) -> Rule | None:
    """The rule of a metric for a case: the last one that names it, else the one for all cases."""
    found = [rule for rule in rules if rule.metric == metric and rule.applies_to(case_id)]
    chosen = [rule for rule in found if rule.expression is not None] or found
    return chosen[-1] if chosen else None


def _metric(name: str, presets: Iterable[str] = ()) -> Metric:
    # Its rows load numpy, which the plugin does not wait for.
    from blip_fixtures.gate.metrics import find_metric, metric_names

    try:
        return find_metric(name)
    except LookupError:
        known = metric_names()
        named = f", or the preset {', '.join(presets)}" if presets else ""
        raise RuleError(
            f"unknown metric {name!r}; choose one of {', '.join(known)}{named}{did_you_mean(name, [*known, *presets])}"
        ) from None


def _check(expression: str) -> None:
    if not expression:
        raise RuleError("there is nothing after @; give words of case ids, such as latency:5%@compile")
    from blip_fixtures.gate.expressions import matches

    try:
        matches(expression, [])
    except SyntaxError as error:
        raise RuleError(f"{shown(expression)} after @ is not an expression as for pytest's -k: {error.msg}") from None
