"""A TOML file of rules: limits of metrics, of some cases alone, of some machines alone, each with room for a comment.

::

    preset = "ci"                  # rules to start from
    [limits]
    latency = "7.5%"
    "latency@compile" = "5%"       # cases, as with pytest's -k
    [machine."H200"]               # words of a device's, processor's or host's name, as with -k
    latency = "3%"

What stands further down counts before what stands above, and a machine's limits before those of all machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.toml import read_table
from blip_fixtures.gate.expressions import matches
from blip_fixtures.gate.rules import MOST_CHARACTERS, PRESETS, RuleError, overridden, parse_rule, parse_rules
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.whole_files import BadFileError, why

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process

_KEYS = ("preset", "limits", "machine")


@dataclass(frozen=True)
class RuleSet:
    """Rules of all machines, and those of some: (expression, rules), which count there before the others."""

    rules: tuple[Rule, ...]
    of_machines: tuple[tuple[str, tuple[Rule, ...]], ...] = ()

    def on(self, processes: Iterable[Process]) -> tuple[Rule, ...]:
        """The rules for the machine of these processes. Raises `RuleError` where there are none."""
        names = _machine_names(processes)
        rules = self.rules
        for expression, own in self.of_machines:
            if matches(expression, names):
                rules = overridden(rules, own)
        if not rules:
            known = ", ".join(expression for expression, _ in self.of_machines)
            raise RuleError(f"no rule is for this machine ({', '.join(names)}); it has rules for {known}")
        return rules

    def under(self, rules: Sequence[Rule]) -> RuleSet:
        """With rules that count before its own, on every machine."""
        of_machines = tuple((expression, overridden(own, rules)) for expression, own in self.of_machines)
        return RuleSet(overridden(self.rules, rules), of_machines)


def read_rules(path: Path) -> RuleSet:
    """The rules of a TOML file. Raises `RuleError` in one sentence that names the file."""
    try:
        return _rule_set(read_table(path))
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {why(error)}") from None
    except (BadFileError, RuleError) as error:
        raise RuleError(f"{path} cannot be used: {error}") from None


def _rule_set(table: Mapping[str, Any]) -> RuleSet:
    for key in table:
        if key not in _KEYS:
            raise RuleError(f"it has {shown(key)}; it may have {', '.join(_KEYS)}{did_you_mean(key, _KEYS)}")
    rules = overridden(_preset(table.get("preset")), _limits("limits", table.get("limits", {})))
    machines = table.get("machine", {})
    if not isinstance(machines, dict):
        raise RuleError('machine is no table; give limits under a machine\'s words, such as [machine."H200"]')
    of_machines = tuple(
        (_expression(name), _limits(f"machine {shown(name)}", limits)) for name, limits in machines.items()
    )
    if not rules and not any(own for _, own in of_machines):
        raise RuleError('it has no limit; give one, such as latency = "10%" under [limits]')
    return RuleSet(rules, of_machines)


def _preset(value: Any) -> tuple[Rule, ...]:
    if value is None:
        return ()
    if not isinstance(value, str) or value not in PRESETS:
        raise RuleError(f"preset is {shown(value)}; choose of {', '.join(PRESETS)}")
    return parse_rules([value])


def _limits(where: str, table: Any) -> tuple[Rule, ...]:
    """One rule for each ``"METRIC" = "LIMIT"`` or ``"METRIC@EXPRESSION" = "LIMIT"``."""
    if not isinstance(table, dict):
        raise RuleError(f'{where} is no table; give a limit in each line, such as latency = "10%"')
    rules = []
    for name, limit in table.items():
        if not isinstance(limit, str):
            raise RuleError(f'{where} has {shown(limit)} for {shown(name)}; give a text, such as latency = "10%"')
        metric, sign, expression = name.partition("@")
        rules.append(parse_rule(f"{metric.strip()}:{limit}{sign}{expression}"))
    return overridden((), rules)


def _expression(text: str) -> str:
    try:
        matches(text, [])
    except SyntaxError as error:
        raise RuleError(f"machine {shown(text)} is not an expression as for pytest's -k: {error.msg}") from None
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise RuleError(f"machine {shown(text)}: give at least a word, and at most {MOST_CHARACTERS} characters")
    return text


def _machine_names(processes: Iterable[Process]) -> list[str]:
    """What the records call their devices, their processor and their host."""
    found: dict[str, None] = {}
    for process in processes:
        for record in process.records.values():
            said = (
                record.case.device_name,
                record.environment.get("cpu_model"),
                record.environment.get("host"),
            )
            found |= {str(name): None for name in said if name}
    return list(found)
