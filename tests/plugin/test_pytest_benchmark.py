"""pytest-benchmark's own options keep working on the suite's benchmarks."""

from __future__ import annotations

import itertools
import json

import pytest

from blip_fixtures.record import read_records
from tests.plugin.conftest import TWO_SWEEPS, Suite


class Clock:
    """Stands in for the module `time`: every reading is `step_s` after the one before, so a round takes `step_s`."""

    def __init__(self, step_s: float) -> None:
        self._readings_s = itertools.count(0.0, step_s)

    def perf_counter(self) -> float:
        return next(self._readings_s)


def test_save_compare_and_fail(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(step_s: float, *args: str) -> pytest.RunResult:
        monkeypatch.setattr("blip_fixtures.devices.time", Clock(step_s))
        return suite.run(TWO_SWEEPS, *args)

    run(0.2, "--benchmark-save=base").assert_outcomes(passed=3)
    (saved,) = suite.pytester.path.glob(".benchmarks/*/0001_base.json")
    assert [record.status for record in read_records(saved)] == ["ok", "ok"]

    compare = ("--benchmark-compare=0001", "--benchmark-compare-fail=median:50%")
    same = run(0.2, *compare)
    assert same.ret == pytest.ExitCode.OK
    same.stdout.fnmatch_lines(["*(0001_base)*", "*The document:*"])

    slower = run(0.31, *compare)
    assert slower.ret != pytest.ExitCode.OK
    slower.stderr.fnmatch_lines(["*Performance has regressed:*"])
    slower.stdout.fnmatch_lines(["*The document:*"])


def test_json_file_of_pytest_benchmark_holds_the_records_too(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--benchmark-json=own.json", "--blip-limit=1")
    own = json.loads((suite.pytester.path / "own.json").read_text())
    assert own["blip"] == suite.document()["blip"]
    # The case that two sweeps show stands in both groups of pytest-benchmark's own list.
    assert [bench["group"] for bench in own["benchmarks"]] == ["batch_size", "device"]
    assert own["benchmarks"][:1] == suite.document()["benchmarks"]
    assert [record.status for record in read_records(suite.pytester.path / "own.json")] == ["ok", "unavailable"]


def test_rounds_of_the_record_are_those_of_pytest_benchmark(suite: Suite) -> None:
    suite.run(TWO_SWEEPS)
    for bench in suite.document()["benchmarks"]:
        assert bench["stats"]["data"] == bench["extra_info"]["blip"]["latency"]["rounds_s"]
        assert bench["stats"]["median"] == bench["extra_info"]["blip"]["latency"]["median_s"]
        assert bench["options"]["timer"] == "synchronized_perf_counter"


def test_disabled_benchmarks_run_once_and_leave_nothing(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--benchmark-disable")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*ran once, not measured: benchmarks are disabled"])
    assert not (suite.folder / "records.json").exists()


def test_a_case_that_cannot_run_is_skipped_where_benchmarks_are_disabled_too(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--benchmark-disable", "--blip-limit=1")
    result.assert_outcomes(passed=2, skipped=1)
    assert [record.status for record in suite.records()] == ["unavailable"]


def test_skip_and_only(suite: Suite) -> None:
    mixed = TWO_SWEEPS + "\ndef test_other():\n    pass\n"
    suite.run(mixed, "--benchmark-skip").assert_outcomes(passed=1, skipped=3)
    suite.run(mixed, "--benchmark-only").assert_outcomes(passed=3, skipped=1)


def test_no_group_of_the_tables_lacks_a_case_that_two_sweeps_show(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--benchmark-columns=median", "--benchmark-save=base")
    groups: dict[str, list[str]] = {}
    for line in result.outlines:
        if line.startswith("---") and "benchmark '" in line:
            group = groups.setdefault(line.split("'")[1], [])
        elif line.startswith("test_"):
            group.append(line)
    assert {name: len(lines) for name, lines in groups.items()} == {"batch_size": 2, "device": 1}
    (saved,) = suite.pytester.path.glob(".benchmarks/*/0001_base.json")
    benches = json.loads(saved.read_text())["benchmarks"]
    assert [bench["group"] for bench in benches] == ["batch_size", "batch_size", "device"]
    first, _, shown_again = benches
    assert shown_again["stats"] == first["stats"]
    assert shown_again["extra_info"] == first["extra_info"]
    # It is one case all the same.
    assert [record.case.batch_size for record in read_records(saved)] == [1, 2]
