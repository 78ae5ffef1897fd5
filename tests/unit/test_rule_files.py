"""Presets, and a TOML file of rules: for all cases, for some, for some machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.rule_files import read_rules
from blip_fixtures.gate.rules import PRESETS, RuleError, parse_rules, rule_for
from blip_fixtures.gate.sides import Process
from tests.unit.records import make_record
from tests.unit.sides import noisy_record, write_run

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
preset = "ci"                # where it starts
[limits]
latency = "7.5%"             # this runner is quiet
"latency@compile" = "5%"     # what we sell
[machine."H200 or B200"]
latency = "3%"
energy = "5%"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gate.toml"
    path.write_text(text)
    return path


def on(device_name: str) -> list[Process]:
    return [Process.of("run", [make_record(device_name=device_name)])]


def texts(rules: object) -> list[str]:
    return [rule.text for rule in rules]  # type: ignore[attr-defined]


def test_a_preset_stands_for_its_rules() -> None:
    assert texts(parse_rules(["ci"])) == list(PRESETS["ci"])
    assert {rule.metric for rule in parse_rules(["ci"])} == {"flops", "memory", "quality", "latency"}


def test_a_rule_that_is_written_out_takes_the_place_of_the_preset_s() -> None:
    for given in (["ci", "latency:5%"], ["latency:5%", "ci"]):
        rules = parse_rules(given)
        assert texts(rules) == ["flops:0%", "memory:5%", "quality:1", "latency:5%"]
    assert len(parse_rules(["ci", "latency:5%@compile"])) == 5


def test_a_preset_that_is_misspelt_is_named() -> None:
    with pytest.raises(RuleError, match=r"unknown metric 'cii'; choose one of .*, or the preset ci; did you mean ci"):
        parse_rules(["cii"])


def test_a_file_has_rules_for_cases_and_machines(tmp_path: Path) -> None:
    rules = read_rules(written(tmp_path, FILE))
    here = rules.on(on("Intel(R) Xeon(R)"))
    assert texts(here) == ["flops:0%", "memory:5%", "quality:1", "latency:7.5%", "latency:5%@compile"]
    there = rules.on(on("NVIDIA H200"))
    found = {case: rule_for(there, "latency", case) for case in ("textvqa-fp16", "textvqa-compile")}
    assert {case: rule.text for case, rule in found.items() if rule is not None} == {
        "textvqa-fp16": "latency:3%",
        "textvqa-compile": "latency:5%@compile",
    }
    assert "energy:5%" in texts(there)


def test_what_is_given_beside_a_file_counts_before_it_on_every_machine(tmp_path: Path) -> None:
    rules = read_rules(written(tmp_path, FILE)).under(parse_rules(["latency:20%"]))
    for device in ("Intel(R) Xeon(R)", "NVIDIA B200"):
        assert "latency:20%" in texts(rules.on(on(device)))
        assert not {"latency:7.5%", "latency:3%"} & set(texts(rules.on(on(device))))


def test_a_file_without_a_rule_for_this_machine_is_refused(tmp_path: Path) -> None:
    rules = read_rules(written(tmp_path, '[machine.H200]\nlatency = "3%"\n'))
    with pytest.raises(RuleError, match=r"no rule is for this machine \(.*Xeon.*\); it has rules for H200"):
        rules.on(on("Intel(R) Xeon(R)"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits", "cannot be used: "),
        ("", "it has no limit; give one"),
        ("[limit]\nlatency='1%'", "it has 'limit'; it may have preset, limits, machine; did you mean limits?"),
        ("preset = 'cd'", "preset is 'cd'; choose of ci"),
        ("preset = 3", "preset is 3; choose of ci"),
        ("limits = 3", "limits is no table"),
        ("machine = 3", "machine is no table"),
        ("[limits]\nlatency = 10", "limits has 10 for 'latency'; give a text"),
        ("[limits]\nspeed = '1%'", "unknown metric 'speed'"),
        ("[limits]\n'latency@' = '1%'", "there is nothing after @"),
        ("[machine.'(']\nlatency = '1%'", "machine '(' is not an expression as for pytest's -k"),
        ("[machine.' ']\nlatency = '1%'", "machine ' ': give at least a word"),
    ],
)
def test_a_file_that_cannot_be_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RuleError) as raised:
        read_rules(written(tmp_path, text))
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/gate.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"none\.toml cannot be read: no such file"):
        read_rules(tmp_path / "none.toml")


def test_the_command_takes_a_preset_or_a_file_and_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path / "records.json", [noisy_record(np.random.default_rng(0))])
    arguments = ["compare", "--base", str(path), "--now", str(path)]
    rules = written(tmp_path, '[limits]\nflops = "0%"\n')
    assert main([*arguments, "--rules", str(rules)]) == 0
    assert "flops" in capsys.readouterr().out
    assert main([*arguments, "--fail", "ci"]) == 0
    assert "quality (vqa_accuracy)" in capsys.readouterr().out
    assert main(arguments) == 4
    assert capsys.readouterr().err == (
        "error: there is no rule; give --fail METRIC:LIMIT, --fail ci or --rules FILE.toml\n"
    )
    assert main([*arguments, "--fail=flops:many"]) == 4
    assert capsys.readouterr().err.startswith("error: --fail: the limit 'many'")
