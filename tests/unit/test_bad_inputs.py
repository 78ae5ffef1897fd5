"""The table of bad inputs knows every command and option, and its checks can fail. What it runs: tests/acceptance/."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blip_fixtures import flops
from blip_fixtures.data import __main__ as data
from blip_fixtures.gate import __main__ as gate
from blip_fixtures.pytest_plugin.specs import SPECS
from blip_fixtures.quality import __main__ as quality
from blip_fixtures.report import __main__ as report
from tools.faults.bad_inputs.given import Content, Input
from tools.faults.bad_inputs.page import page
from tools.faults.bad_inputs.running import Outcome, faults_of
from tools.faults.bad_inputs.table import INPUTS

COMMANDS: dict[tuple[str, ...], Callable[[Sequence[str]], int]] = {
    ("blip_fixtures.report",): report.main,
    ("blip_fixtures.gate", "compare"): gate.main,
    ("blip_fixtures.gate", "ab"): gate.main,
    ("blip_fixtures.gate", "bisect"): gate.main,
    ("blip_fixtures.quality",): quality.main,
    ("blip_fixtures.quality", "certify"): quality.main,
    ("blip_fixtures.data", "make-folder"): data.main,
    ("blip_fixtures.flops",): flops.main,
}
# Switches, whose wrong use is that of another option or a value, are among those of pytest.
WITHOUT_VALUE = {"--help", "--json", "--until-decided"}
GIVEN = Input("A group", "pytest --blip-rounds 0")
SAID = "ERROR: --blip-rounds cannot be '0': give a whole number\n\n"
GOOD = Outcome(4, SAID, "collected nothing\n")


def options_of(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("flag", [spec.flag for spec in SPECS])
def test_every_option_of_a_run_is_there(flag: str) -> None:
    assert any(flag in options_of(given.words) for given in INPUTS if given.is_run)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_argument_of_the_other_commands_is_there(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        COMMANDS[command]([*command[1:], "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out.partition("\n\n")[0])) - WITHOUT_VALUE
    of_command = [given.words for given in INPUTS if not given.is_run and given.words[2:][: len(command)] == [*command]]
    assert of_command
    used = set().union(*map(options_of, of_command))
    assert known <= used, known - used


def test_no_input_stands_there_twice() -> None:
    said = [(given.command, given.where) for given in INPUTS]
    assert sorted({pair for pair in said if said.count(pair) > 1}) == []


def test_the_inputs_of_a_group_stand_together() -> None:
    groups = [given.group for given in INPUTS]
    assert groups == sorted(groups, key=groups.index)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"code": 1}, "exit code 1 in place of 4"),
        ({"said": ""}, "0 lines in place of one"),
        ({"said": SAID + "ERROR: another one, too"}, "2 lines in place of one"),
        ({"said": "ERROR: no"}, "one part alone"),
        ({"said": f"ERROR: a: {'b' * 400}"}, "403 characters"),
        ({"said": "ERROR: a: \x1b[31mb"}, "a control character"),
        ({"said": SAID + "Traceback (most recent call last):"}, "a traceback"),
        ({"shown": "INTERNALERROR> no"}, "a traceback"),
        ({"written_outside": ("/etc/passwd",)}, "files outside the folder: /etc/passwd"),
        ({"has_measured": True}, "a case was measured"),
    ],
)
def test_a_fault_is_found(change: dict[str, object], fault: str) -> None:
    assert faults_of(GIVEN, GOOD) == []
    found = faults_of(GIVEN, dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert any(each.startswith(fault) for each in found), found


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (SAID, "--blip-rounds cannot be '0': give a whole number"),
        ("error: a: b\n", "a: b"),
        ("usage: python -m x.y [-h]\n          [--out DIR]\npython -m x.y z: error: a: b\n", "a: b"),
        ("ERROR: usage: pytest [a]\npytest: error: a: b\n  inifile: None\n  rootdir: /x\n", "a: b"),
        ("Comparing against benchmarks from: x.json\nERROR: a: b\n", "a: b"),
    ],
)
def test_the_sentence_of_an_error(said: str, sentence: str) -> None:
    assert dataclasses.replace(GOOD, said=said).sentences == [sentence]


def test_a_cell_holds_what_it_says() -> None:
    given = Input("A group", f"pytest 'a|b' 'c\nd' {'x' * 200}", "`e` is a file")
    outcome = Outcome(4, "ERROR: a|b: <c> *d*; e_f\n", "")
    row = page([(given, outcome)]).splitlines()[-1]
    shown = f"`pytest 'a\\|b' 'c\\nd' {'x' * 90}... (200 characters)`, `e` is a file"
    assert row == f"| {shown} | a\\|b: \\<c> \\*d\\*; e_f | 4 |"


def test_a_folder_is_made_as_it_is_said(tmp_path: Path) -> None:
    content: dict[str, Content] = {"a.txt": "text", "b/c.bin": b"\xff", "d": Path.mkdir}
    Input("A group", "python -m blip_fixtures.report", files=content).make(tmp_path)
    assert ((tmp_path / "a.txt").read_text(), (tmp_path / "b" / "c.bin").read_bytes()) == ("text", b"\xff")
    assert (tmp_path / "d").is_dir()
    assert not (tmp_path / "conftest.py").exists(), "of runs of pytest alone"
