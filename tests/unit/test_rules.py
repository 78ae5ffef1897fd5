"""METRIC:LIMIT, with its units and its narrowing to some cases."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blip_fixtures.gate.metrics import find_metric, metric_names
from blip_fixtures.gate.rules import ALLOWABLE, INTERRUPTED, RuleError, parse_rule, parse_rules, rule_for
from blip_fixtures.gate.sides import CONDITIONS


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("latency:10%", "percent", 0.10),
        ("latency:7.5%", "percent", 0.075),
        ("latency_p90: 0 %", "percent", 0.0),
        ("latency:5ms", "absolute", 0.005),
        ("time_to_first_token:250us", "absolute", 250e-6),
        ("model_load:2s", "absolute", 2.0),
        ("memory:200MB", "absolute", 200e6),
        ("memory:1.5 GiB", "absolute", 1.5 * 2**30),
        ("energy:0.5J", "absolute", 0.5),
        ("energy:20mJ", "absolute", 0.02),
        ("flops:0%", "percent", 0.0),
        ("flops:1G", "absolute", 1e9),
        ("quality:1", "absolute", 0.01),
        ("quality:0.5", "absolute", 0.005),
    ],
)
def test_limits(text: str, kind: str, amount: float) -> None:
    rule = parse_rule(text)
    assert (rule.kind, rule.expression) == (kind, None)
    assert rule.amount == pytest.approx(amount)
    assert rule.limit in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed:3%", "unknown metric 'speed'; choose one of latency, latency_p90, "),
        ("latancy:3%", "flops, memory, quality, model_load; did you mean latency?"),
        ("time_to_first:3%", "; did you mean time_to_first_token?"),
        ("latency", "the limit '' is not a number with a unit; give latency:10% or latency:5ms"),
        ("latency:fast", "the limit 'fast' is not a number with a unit"),
        ("latency:-3%", "the limit '-3%' is negative or without bound"),
        ("latency:1e400%", "the limit '1e400%' is negative or without bound"),
        ("latency:5", "the limit '5' has no unit; latency takes us, ms, s, %"),
        ("latency:5J", "the limit '5J' has the unit 'J'; latency takes us, ms, s, %"),
        ("memory:5ms", "the limit '5ms' has the unit 'ms'; memory takes B, "),
        ("quality:1%", "quality takes points, without a unit"),
        ("latency:5%@", "there is nothing after @"),
        ("latency:5%@(int8", "'(int8' after @ is not an expression as for pytest's -k"),
    ],
)
def test_a_rule_that_cannot_be_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_narrower_rule_counts() -> None:
    rules = parse_rules(["latency:10%", "latency:5%@compile and not int4", "flops:0%"])
    chosen = {
        name: rule_for(rules, "latency", f"textvqa-cpu-{name}-batch01-image0224-seq200")
        for name in ("fp16", "compile", "bf16+compile+int4")
    }
    assert {name: rule and rule.text for name, rule in chosen.items()} == {
        "fp16": "latency:10%",
        "compile": "latency:5%@compile and not int4",
        "bf16+compile+int4": "latency:10%",
    }
    assert rule_for(rules, "energy", "textvqa-cpu-fp16-batch01-image0224-seq200") is None
    only = parse_rules(["latency:5%@compile"])
    assert rule_for(only, "latency", "textvqa-cpu-fp16-batch01-image0224-seq200") is None


def test_two_limits_for_the_same_cases() -> None:
    with pytest.raises(RuleError, match="latency has two limits for the same cases; give one"):
        parse_rules(["latency:10%", "latency:5ms"])


def test_every_metric_has_an_example_that_parses() -> None:
    for metric in metric_names():
        example, *_ = find_metric(metric).example.split()
        assert parse_rule(example).metric == metric
        assert parse_rule(f"{metric}:1" if metric == "quality" else f"{metric}:1%").metric == metric


def test_nothing_like_it_is_suggested_for_a_name_from_nowhere() -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule("speed:3%")
    assert str(raised.value).endswith("quality, model_load")


def test_what_may_be_allowed_is_what_is_compared() -> None:
    assert (*CONDITIONS, INTERRUPTED) == ALLOWABLE


def test_rules_load_nothing_heavy() -> None:
    """The module is imported with the plugin; what judges is loaded for the first rule."""
    heavy = ("numpy", "msgspec", "torch", "pytest", "_pytest", "blip_fixtures.gate.metrics")
    code = (
        "import sys; from blip_fixtures.gate import rules; "
        f"print([name for name in {heavy!r} if name in sys.modules]); "
        "rules.parse_rules([]); print('numpy' in sys.modules); "
        "rules.parse_rules(['latency:10%']); print('torch' in sys.modules, 'pytest' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n") == ["[]", "False", "False False", ""]
