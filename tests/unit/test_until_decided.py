"""`ab --until-decided`: pairs until every comparison is decided, and cases without doubt leave."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.looks import Looks, cases_without_doubt, open_findings
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Process
from blip_fixtures.gate.until import Decided, until_decided
from tests.unit.sides import noisy_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rules import Rule

LATENCY = parse_rules(["latency:10%"])
SIZES = (1, 2, 4, 8, 16, 32)


class Machine:
    """Runs of six cases whose truth is known; remembers which cases each process measured."""

    def __init__(self, seed: int, slower: Mapping[int, float]) -> None:
        self._rng = np.random.default_rng(seed)
        self._slower = slower
        self.measured: list[list[int]] = []

    def run(self, side: str, number: int, without: Sequence[str]) -> Process:
        sizes = [size for size in SIZES if f"test_it[{size}]" not in without]
        self.measured.append(sizes)
        records = {
            size: noisy_record(self._rng, batch_size=size, slower=self._slower.get(size, 1.0) if side == "now" else 1.0)
            for size in sizes
        }
        names = {record.case_id: (f"test_it[{size}]",) for size, record in records.items()}
        return Process.of(f"{side}-{number}", records.values(), names)


def decided(
    slower: Mapping[int, float], *, seed: int = 0, most: int = 30, rules: tuple[Rule, ...] = LATENCY
) -> tuple[Decided, Machine, list[str]]:
    machine, looks, said = Machine(seed, slower), Looks(most), list[str]()

    def judged(base: Sequence[Process], now: Sequence[Process]) -> tuple[Judgement, Sequence[Rule]]:
        return judge(base, now, rules, looks=looks), rules

    return until_decided(machine.run, judged, most, said.append), machine, said


def test_unchanged_code_is_decided_after_a_few_pairs() -> None:
    found, machine, said = decided({})
    assert found.pairs <= 5
    assert {finding.verdict for finding in found.judgement.findings} == {Verdict.PASS}
    assert len(machine.measured) == 2 * found.pairs
    assert "decided: 7 pass" in said[-1]


def test_one_slow_case_is_found_and_the_others_leave() -> None:
    found, machine, said = decided({4: 1.15})
    slow = [finding for finding in found.judgement.findings if finding.verdict == Verdict.REGRESSION]
    assert [finding.case_id.split("-")[3] for finding in slow] == ["batch04"]
    assert slow[0].decided_after == found.pairs
    assert machine.measured[0] == list(SIZES)
    assert machine.measured[-1] == [4]
    assert any("open: " in line and "more pairs, at most" in line for line in said)
    assert found.judgement.regressed


def test_what_is_decided_stays_decided_whatever_comes_after() -> None:
    looks = Looks(10)
    fast, slow = Machine(0, {}), Machine(1, dict.fromkeys(SIZES, 3.0))
    base = [fast.run("base", number, ()) for number in range(8)]
    first = judge(base[:5], [fast.run("now", number, ()) for number in range(5)], LATENCY, looks=looks)
    assert not open_findings(first)
    again = judge(base, [slow.run("now", number, ()) for number in range(8)], LATENCY, looks=looks)
    assert {finding.verdict for finding in again.findings} == {Verdict.PASS}
    assert {finding.decided_after for finding in again.findings} == {5}


def test_exact_metrics_need_one_pair() -> None:
    found, machine, _ = decided({}, rules=parse_rules(["flops:0%", "quality:1"]), most=1)
    assert found.pairs == 1
    assert len(machine.measured) == 2


def test_what_is_at_the_limit_is_given_up_and_says_so() -> None:
    found, _, _ = decided(dict.fromkeys(SIZES, 1.1), most=4)
    left = [finding for finding in found.judgement.findings if finding.verdict == Verdict.INCONCLUSIVE]
    assert left
    assert {finding.reason.code for finding in left if finding.reason} <= {"undecided", "undecided_at_the_end"}
    assert found.pairs <= 4


def test_all_as_one_are_asked_no_further_where_a_case_tells() -> None:
    found, _, _ = decided({4: 1.7, 8: 1.3})
    (together,) = (finding for finding in found.judgement.findings if finding.cases > 1)
    assert together.verdict != Verdict.PASS
    assert together.decided_after is not None
    assert together.decided_after <= found.pairs <= 8


def test_cases_stay_while_all_of_them_as_one_are_in_doubt() -> None:
    looks, machine = Looks(30), Machine(0, dict.fromkeys(SIZES, 1.09))
    base = [machine.run("base", number, ()) for number in range(2)]
    judgement = judge(base, [machine.run("now", number, ()) for number in range(2)], LATENCY, looks=looks)
    assert any(finding.cases == 6 for finding in open_findings(judgement))
    assert cases_without_doubt(judgement, LATENCY) == set()


SCRIPT = """\
import os, pathlib, shlex, sys
import numpy as np
from tests.unit.sides import noisy_record, write_run
words = shlex.split(os.environ["PYTEST_ADDOPTS"])
into = pathlib.Path(next(word for word in words if word.startswith("--blip-report-dir=")).partition("=")[2])
without = {word.partition("=")[2] for word in words if word.startswith("--deselect=")}
log = pathlib.Path(sys.argv[1])
said = log.read_text() if log.exists() else ""
rng = np.random.default_rng(len(said.splitlines()))
records = [noisy_record(rng, batch_size=size, slower=float(sys.argv[2]) if size == 4 else 1.0) for size in (1, 2, 4)]
kept = [r for r in records if f"benchmarks/test_it.py::test_it[{r.case_id}]" not in without]
log.write_text(said + sys.argv[2] + " " + str(len(kept)) + "\\n")
write_run(into / "instructblip-tiny" / "records.json", kept)
"""


def commands(folder: Path, now: float) -> list[str]:
    script = folder / "run.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    command = f"cd {shlex.quote(str(root))} && PYTHONPATH=. {sys.executable} {script} {folder / 'log'}"
    return ["ab", "--base", f"{command} 1.0", "--now", f"{command} {now}", "--out", str(folder / "out")]


def test_the_command_looks_after_each_pair_and_leaves_decided_cases_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*commands(tmp_path, 1.15), "--until-decided", "--fail=latency:10%", "--fail=flops:0%"]) == 1
    log = (tmp_path / "log").read_text().splitlines()
    assert log[0] == "1.0 3"
    assert log[-1].endswith(" 1")
    said = capsys.readouterr().out
    assert "[pair 1 of at most 30, " in said
    assert "one pair says nothing of the spread" in said
    assert "looked at after each pair of processes" in said
    stored = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert {found["verdict"] for found in stored["findings"] if found["metric"] == "flops"} == {"pass"}
    (slow,) = (found for found in stored["findings"] if found["verdict"] == "regression")
    assert 2 * slow["decided_after"] == len(log)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--until-decided", "--max-runs=1"], "--max-runs 1 is too small to decide latency:10%: one process a side"),
        (["--max-runs=5"], "--max-runs is for --until-decided"),
        (["--until-decided", "--runs=5"], "--runs is a fixed number of processes"),
    ],
)
def test_options_that_cannot_go_together_run_nothing(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*commands(tmp_path, 1.0), "--fail=latency:10%", *options]) == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "out").exists()
