"""A metric that is no part of the package, whole in this file: a rule names it, and the gate judges and shows it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.judging import exact
from blip_fixtures.gate.metrics import BYTES, Metric, metric_names, register_metric
from blip_fixtures.gate.rules import RuleError, parse_rules
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.record import Record
from blip_fixtures.words import PassName
from tests.unit.sides import noisy_process, noisy_side, write_run

MIB = 2**20


def weights_bytes(record: Record) -> float | None:
    return record.memory.weights_bytes if record.memory is not None else None


WEIGHTS = Metric(name="weights", unit=BYTES, read=weights_bytes, judged=exact, measured_by=PassName.MEMORY)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    remove = register_metric(WEIGHTS)
    yield
    remove()
    assert "weights" not in metric_names()


def run(tmp_path: Path, name: str, weights: int) -> str:
    records = noisy_process(0, memory={"weights_bytes": weights}).records.values()
    return str(write_run(tmp_path / f"{name}.json", list(records)))


def test_rules(tmp_path: Path) -> None:
    share, absolute = parse_rules(["weights:5%", "weights:200MB@int8"])
    assert (share.metric, share.kind) == ("weights", "percent")
    assert share.amount == pytest.approx(0.05)
    assert (absolute.kind, absolute.amount) == ("absolute", 200e6)
    with pytest.raises(RuleError, match=r"weights takes B, .*GiB, %: weights:5% or weights:200MB"):
        parse_rules(["weights:5ms"])
    with pytest.raises(RuleError, match=r"quality, model_load, weights; did you mean weights\?"):
        parse_rules(["wieghts:5%"])


def test_the_command_judges_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, larger = run(tmp_path, "base", 8 * MIB), run(tmp_path, "larger", 9 * MIB)
    sides = ["compare", "--base", base, "--now", larger, "--fail", "weights:5%", "--out", str(tmp_path / "out")]
    assert main(sides) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if " weights " in line]
    shown = ["weights", "8.0", "MiB", "9.0", "MiB", "+12.5", "%", "5%", "regression"]
    assert [row[1:] for row in rows] == [shown, shown]
    page = (tmp_path / "out" / "gate.md").read_text()
    assert "| weights  | 8.0 MiB    | 9.0 MiB | +12.5 %  | 5%      | regression |" in page
    (first, _second) = json.loads((tmp_path / "out" / "gate.json").read_text())["findings"]
    assert first["metric"] == "weights"
    assert (first["base"], first["now"], first["verdict"]) == (8 * MIB, 9 * MIB, "regression")
    assert main(["compare", "--base", base, "--now", larger, "--fail", "weights:15%"]) == 0


def test_its_help_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "quality, model_load, weights" in " ".join(capsys.readouterr().out.split())


def test_it_stands_beside_the_others() -> None:
    judgement = judge(
        noisy_side(0), noisy_side(10, memory={"weights_bytes": 16 * MIB}), parse_rules(["flops:0%", "weights:0%"])
    )
    assert {finding.name: finding.verdict for finding in judgement.findings} == {
        "flops": Verdict.PASS,
        "weights": Verdict.REGRESSION,
    }


def test_a_record_without_its_pass_says_why() -> None:
    missing = {"memory": "not measured: --blip-measure leaves it out"}
    with pytest.raises(Refusal, match=r"weights:0% can be judged in no case: the run has none: not measured: --blip-m"):
        judge(noisy_side(0), noisy_side(10, memory=None, missing=missing), parse_rules(["weights:0%"]))


@pytest.mark.parametrize("name", ["latency", "weights"])
def test_a_name_that_is_taken(name: str) -> None:
    with pytest.raises(ValueError, match=f"the gate has a metric {name} already; give yours another name"):
        register_metric(dataclasses.replace(WEIGHTS, name=name))


@pytest.mark.parametrize("name", ["", "two words", "a:b", "a@b", "5"])
def test_a_name_that_no_rule_can_spell(name: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in METRIC:LIMIT; name the metric with letters, digits and _"):
        register_metric(dataclasses.replace(WEIGHTS, name=name))
