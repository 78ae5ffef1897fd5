"""A run against stored ones: verdicts, refusals, lost cases, and which run may be a baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pytest_benchmark.utils import get_machine_id

from tests.plugin.conftest import TWO_SWEEPS, Suite
from tests.plugin.test_pytest_benchmark import Clock

SUITE = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_size(measure):
    measure()
"""
RULES = ("--blip-compare-fail=latency:50%", "--blip-compare-fail=flops:0%")
GATE = ("--benchmark-compare", *RULES)
# pytest-benchmark warns of a baseline that it cannot read, and goes on without.
pytestmark = pytest.mark.filterwarnings("ignore::pytest_benchmark.logger.PytestBenchmarkWarning")
OK, FAILED, REFUSED = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR
# What one run of the suite stored; a run takes seconds, so it is taken once, and its latencies are set for each test.
_STORED: dict[str, str] = {}

# What another suite may have stored.
STATS = {**dict.fromkeys(("min", "max", "mean", "stddev", "median", "iqr", "rounds", "iterations"), 1), "outliers": ""}
FOREIGN: dict[str, Any] = {"fullname": "t", "stats": STATS, "extra_info": {}}


class Gated:
    """Runs whose rounds take as long as a test says, behind reference products that always take the same."""

    def __init__(self, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suite = suite
        self._monkeypatch = monkeypatch
        monkeypatch.setattr("blip_fixtures.engine.loop.ReferenceKernel.__call__", lambda _self: 0.002)

    def run(self, step_s: float, *args: str, benchmarks: str = SUITE) -> pytest.RunResult:
        self._monkeypatch.setattr("blip_fixtures.devices.time", Clock(step_s))
        return self.suite.run(benchmarks, *args)

    def store(self, step_s: float = 0.2, benchmarks: str = SUITE) -> Path:
        """A run of unchanged code in pytest-benchmark's storage, whose rounds took `step_s` each."""
        if benchmarks not in _STORED:
            self.run(0.2, "--benchmark-save=base", benchmarks=benchmarks)
            (saved,) = self.stored
            _STORED[benchmarks] = saved.read_text()
            saved.unlink()
        document = json.loads(_STORED[benchmarks])
        for bench in document["benchmarks"]:
            latency = bench["extra_info"]["blip"]["latency"]
            rounds = len(latency["rounds_s"])
            bench["stats"] |= dict.fromkeys(("median", "mean", "min", "max"), step_s)
            latency |= {"rounds_s": [step_s] * rounds, "median_s": step_s, "p90_s": step_s}
        folder = self.suite.pytester.path / ".benchmarks" / get_machine_id()
        folder.mkdir(parents=True, exist_ok=True)
        path: Path = folder / f"{len(self.stored) + 1:04d}_base.json"
        path.write_text(json.dumps(document))
        return path

    @property
    def stored(self) -> list[Path]:
        return sorted(self.suite.pytester.path.glob(".benchmarks/*/*.json"))

    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.suite.folder / "gate.json").read_text())
        return found


@pytest.fixture
def gated(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Gated:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Gated(suite, monkeypatch)


def test_a_regression_fails_without_a_traceback_and_never_becomes_the_baseline(gated: Gated) -> None:
    gated.store()
    slow = gated.run(0.9, "--benchmark-autosave", *GATE)
    assert slow.ret == FAILED
    slow.stdout.fnmatch_lines(["*textvqa-cpu-fp16-batch01-*latency*regression", "FAIL: 2 regression, 2 pass*"])
    assert "Traceback" not in slow.stdout.str() + slow.stderr.str()
    assert (gated.suite.folder / "gate.md").read_text().startswith("# Gate")

    again = gated.run(0.9, "--benchmark-autosave", *GATE, "--blip-accept")
    assert "0001_" in gated.verdict()["base"][0], "the rejected run must not be what this one is compared with"
    assert again.ret == OK
    again.stdout.fnmatch_lines(["accepted (--blip-accept): this run may become a baseline"])

    assert gated.run(0.9, *GATE).ret == OK
    assert "0003_" in gated.verdict()["base"][0]


def test_a_rejected_run_named_outright_is_taken(gated: Gated) -> None:
    stored = gated.store(0.9)
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "blip": {"gate": {"rejected": True}}}))
    assert gated.run(0.9, "--benchmark-compare=0001", *RULES).ret == OK
    none_left = gated.run(0.9, *GATE)
    assert none_left.ret == REFUSED
    none_left.stderr.fnmatch_lines(["*the gate rejected all 1 stored runs*name one of them*--blip-accept*"])


def test_pytest_benchmarks_own_regression_is_rejected_too(gated: Gated) -> None:
    gated.store()
    own = ("--benchmark-autosave", "--benchmark-compare", "--benchmark-compare-fail=median:10%")
    assert gated.run(0.9, *own).ret != OK
    rejected = [json.loads(path.read_text())["blip"].get("gate", {}).get("rejected") for path in gated.stored]
    assert rejected == [None, True]


def test_an_unchanged_run_passes(gated: Gated) -> None:
    gated.store()
    result = gated.run(0.2, *GATE, "--blip-compare-fail=quality:1", "--blip-compare-fail=memory:50%")
    assert result.ret == OK
    assert not [entry for entry in gated.verdict()["findings"] if entry["verdict"] == "regression"]
    result.stdout.fnmatch_lines(["pass: *"])


@pytest.mark.parametrize(("step_s", "expected"), [(0.2, OK), (0.3, FAILED)])
def test_stored_runs_tell_the_spread(gated: Gated, step_s: float, expected: int) -> None:
    for stored_s in (0.2, 0.21, 0.2, 0.205):
        gated.store(stored_s)
    assert gated.run(step_s, "--benchmark-compare=0001", "--blip-compare-fail=latency:10%").ret == expected
    assert {entry["verdict"] for entry in gated.verdict()["findings"]} == {"pass" if expected == OK else "regression"}


def test_a_renamed_case_is_lost(gated: Gated) -> None:
    gated.store()
    lost = gated.run(0.2, *GATE, benchmarks=SUITE.replace("[1, 2]", "[1, 3]"))
    assert lost.ret == FAILED
    lost.stdout.fnmatch_lines(
        ["*Lost: textvqa-cpu-fp16-batch02-*gone or renamed.", "*New, without a baseline: *batch03*"]
    )


def test_a_lost_case_may_be_a_warning(gated: Gated) -> None:
    gated.store()
    result = gated.run(0.2, *GATE, "--blip-missing=warn", benchmarks=SUITE.replace("[1, 2]", "[1]"))
    assert result.ret == OK
    result.stdout.fnmatch_lines(["*Lost (a warning, as was asked for): textvqa-cpu-fp16-batch02-*"])


def test_a_case_that_was_not_asked_for_is_not_missed(gated: Gated) -> None:
    gated.store()
    assert gated.run(0.2, *GATE, "-k", "batch01").ret == OK


def test_another_name_of_the_test_is_the_same_case(gated: Gated) -> None:
    gated.store()
    assert gated.run(0.2, *GATE, benchmarks=SUITE.replace("test_batch_size", "test_of_batches")).ret == OK
    assert len(gated.verdict()["findings"]) == 4


def test_a_skipped_case_is_lost(gated: Gated) -> None:
    gated.store()
    skips = SUITE.replace("    measure()", "    batch_size == 1 or pytest.skip('not today')\n    measure()")
    result = gated.run(0.2, *GATE, benchmarks=skips.replace("(measure)", "(measure, batch_size)"))
    assert result.ret == FAILED
    result.stdout.fnmatch_lines(["*Lost: textvqa-cpu-fp16-batch02-*"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--blip-compare-fail=speed:10%",), "--blip-compare-fail cannot be 'speed:10%': unknown metric 'speed'*"),
        (("--blip-compare-fail=latency:-1%",), "*the limit '-1%' is negative or without bound*"),
        (("--blip-compare-fail=latency:10%",), "--blip-compare-fail needs a baseline: add --benchmark-compare*"),
        ((*GATE,), "--benchmark-compare finds no stored run of this machine in *store one with*"),
        (("--blip-allow=weather",), "--blip-allow cannot be 'weather': choose one of machine, *"),
        (("--blip-missing=ignore",), "--blip-missing cannot be 'ignore': choose one of fail, warn"),
    ],
)
def test_usage_errors(gated: Gated, args: tuple[str, ...], message: str) -> None:
    result = gated.suite.run(SUITE, *args)
    assert result.ret == REFUSED
    result.stderr.fnmatch_lines([f"*{message}"])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (("--blip-prompts=seed",), "prompts"),
        (("--blip-new-tokens=3",), "new-tokens"),
        (("--blip-limit=3",), "data"),
    ],
)
def test_other_conditions_are_refused_before_anything_is_measured(
    gated: Gated, change: tuple[str, ...], name: str
) -> None:
    gated.store()
    result = gated.run(0.2, *GATE, *change)
    assert result.ret == REFUSED
    result.stderr.fnmatch_lines([f"*allow it with --blip-allow {name}*"])
    assert "batch01-image0224-seq200  elapsed" not in result.stdout.str()


def test_what_is_allowed_may_differ(gated: Gated) -> None:
    gated.store()
    allowed = ("--blip-new-tokens=3", "--blip-prompts=seed", "--blip-allow=new-tokens,prompts")
    assert gated.run(0.2, *GATE[:2], *allowed).ret == OK
    assert "another limit on new tokens than in the baseline" in gated.verdict()["notes"][-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is no JSON"),
        ('{"benchmarks": [{"name": "x"', "it is no JSON"),
        (json.dumps({"benchmarks": [FOREIGN], "machine_info": {}}), "no blip records"),
        (json.dumps({"benchmarks": [{**FOREIGN, "stats": {}}], "machine_info": {}}), "missing required field `min`"),
        (json.dumps({"benchmarks": [FOREIGN]}), "missing required field `machine_info`"),
        (json.dumps({"benchmarks": [{"stats": STATS}], "machine_info": {}}), "missing required field `fullname`"),
        (json.dumps({"benchmarks": [], "blip": {"gate": 7}, "machine_info": {}}), "blip.gate does not fit a file"),
        (json.dumps({"benchmarks": [], "blip": {"interrupted": True}, "machine_info": {}}), "no blip records"),
        pytest.param("[" * 50_000, "it is nested too deeply", id="deep"),
    ],
)
def test_a_baseline_that_is_no_use(gated: Gated, content: str, message: str) -> None:
    gated.store().write_text(content)
    result = gated.run(0.2, "--benchmark-compare=0001", *RULES)
    assert result.ret == REFUSED
    result.stderr.fnmatch_lines([f"*{message}*"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is no JSON"),
        pytest.param("[" * 50_000, "it is nested too deeply", id="deep"),
        ('{"benchmarks": [], "machine_info": {}, "x": NaN}', "it is no JSON"),
        ('{"benchmarks": {}}', "it has no list `benchmarks`"),
        ('{"benchmarks": [], "machine_info": {}, "blip": []}', "blip does not fit a file of records"),
        (json.dumps({"benchmarks": [{**FOREIGN, "stats": {"min": "fast"}}]}), "is not a pytest-benchmark file"),
        (json.dumps({"benchmarks": [FOREIGN], "machine_info": {}, "blip": {"interrupted": True}}), "was interrupted"),
    ],
)
def test_a_stored_run_that_cannot_be_a_baseline_is_named_and_passed_over(
    gated: Gated, content: str, message: str
) -> None:
    good = gated.store()
    bad = gated.store()
    bad.write_text(content)
    result = gated.run(0.2, *GATE)
    assert result.ret == OK
    assert gated.verdict()["base"] == [str(good)]
    result.stdout.fnmatch_lines([f"--benchmark-compare passes over a stored run: *{bad.name}*{message}*"])


@pytest.mark.parametrize("place", ["before", "only"])
def test_a_bad_older_run_says_nothing_of_the_spread(gated: Gated, place: str) -> None:
    record = {"schema_version": 2, "case_id": "x"}
    bad = gated.store()
    bad.write_text(json.dumps({"benchmarks": [{**FOREIGN, "extra_info": {"blip": record}}], "machine_info": {}}))
    if place == "only":
        refused = gated.run(0.2, *GATE)
        assert refused.ret == REFUSED
        refused.stderr.fnmatch_lines(["*record 1: the record does not fit the record's schema*"])
        return
    gated.store()
    result = gated.run(0.2, *GATE)
    assert result.ret == OK
    result.stdout.fnmatch_lines([f"the gate's history passes over a stored run: *{bad.name}, record 1: *"])


def test_an_interrupted_run_is_no_baseline_unless_it_is_allowed(gated: Gated) -> None:
    stored = gated.store()
    document = json.loads(stored.read_text())
    stored.write_text(json.dumps({**document, "blip": {**document["blip"], "interrupted": True}}))
    for named in ("--benchmark-compare", "--benchmark-compare=0001"):
        refused = gated.run(0.2, named, *RULES)
        assert refused.ret == REFUSED
        refused.stderr.fnmatch_lines(["*--benchmark-compare: *was interrupted and lacks cases*"])
    assert gated.run(0.2, "--benchmark-compare=0001", "--blip-allow=interrupted", *RULES).ret == OK


def test_a_rule_without_a_number_is_refused(gated: Gated) -> None:
    stored = gated.store()
    document = json.loads(stored.read_text())
    for bench in document["benchmarks"]:
        for entry in bench["extra_info"]["blip"]["energy"].values():
            entry |= {"joules_per_sample": None, "status": "disabled", "reason": {"code": "energy_off"}}
    stored.write_text(json.dumps(document))
    result = gated.run(0.2, "--benchmark-compare", "--blip-compare-fail=energy:10%")
    assert result.ret == REFUSED
    result.stderr.fnmatch_lines(["*energy:10% cannot be judged, the baseline *measured with --blip-energy=off*"])


def test_rules_of_an_ini_file_wait_for_a_comparison(gated: Gated) -> None:
    gated.suite.pytester.makeini('[pytest]\nblip_compare_fail = latency:50% "latency:20%@batch01 and cpu" flops:0%\n')
    assert gated.run(0.2, "-k", "batch01").ret == OK
    gated.store()
    assert gated.run(0.9, "--benchmark-compare").ret == FAILED
    assert {entry["rule"] for entry in gated.verdict()["findings"]} == {
        "latency:50%",
        "latency:20%@batch01 and cpu",
        "flops:0%",
    }


def test_junit_and_github(gated: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    gated.store()
    summary = gated.suite.pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = gated.run(0.9, *GATE, "--junitxml=junit.xml")
    result.stdout.fnmatch_lines(["::error title=textvqa-cpu-fp16-batch01-*latency::+*%25, limit 50%25*"])
    assert summary.read_text().startswith("# Gate")
    tree = ElementTree.parse(gated.suite.pytester.path / "junit.xml")
    of_suite = {node.get("name"): node.get("value") for node in tree.findall("./testsuite/properties/property")}
    assert (of_suite["blip.gate"] or "").startswith("FAIL: 2 regression")
    of_case = {node.get("name"): node.get("value") for node in tree.findall(".//testcase[1]/properties/property")}
    assert {"blip.case_id", "blip.latency.median_s", "blip.flops.total", "blip.quality.wer"} <= set(of_case)


def test_a_case_shown_by_two_sweeps_is_judged_once(gated: Gated) -> None:
    gated.store(benchmarks=TWO_SWEEPS)
    assert gated.run(0.2, *GATE, benchmarks=TWO_SWEEPS).ret == OK
    assert len(gated.verdict()["findings"]) == 4
