"""What a run prints at its end: compact tables of its own, and pytest-benchmark's where they were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.conftest import TWO_SWEEPS

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

WIDE = "*- benchmark '*"


def summary(result: pytest.RunResult) -> list[str]:
    """The lines of the suite's own summary, up to the path of the document."""
    first = next(place for place, line in enumerate(result.outlines) if "Benchmarks of " in line)
    last = next(place for place, line in enumerate(result.outlines) if line.startswith("The document:"))
    return result.outlines[first:last]


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_no_line_of_the_summary_is_wider_than_the_terminal(
    columns: int, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = suite.run(TWO_SWEEPS, "--blip-rapl-root=no-tree")
    lines = summary(result)
    assert sum(line.startswith("Device Tests") for line in lines) == 1
    assert max(map(len, lines)) <= columns
    result.stdout.no_fnmatch_line(WIDE)
    result.stdout.no_fnmatch_line("*Legend:*")


@pytest.mark.parametrize(
    "asked", ["--benchmark-verbose", "--benchmark-columns=median", "--benchmark-sort=min", "--benchmark-group-by=func"]
)
def test_the_tables_of_pytest_benchmark_are_there_for_whom_they_were_asked(asked: str, suite: Suite) -> None:
    suite.run(TWO_SWEEPS, asked).stdout.fnmatch_lines([WIDE])


def test_asking_in_the_ini_file_counts(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\naddopts = --benchmark-name=short\n")
    suite.run(TWO_SWEEPS).stdout.fnmatch_lines([WIDE])


def test_benchmarks_of_others_keep_their_tables(suite: Suite) -> None:
    others = TWO_SWEEPS + "\ndef test_other(benchmark):\n    benchmark(sum, [1])\n"
    result = suite.run(others)
    wide = [line for line in result.outlines if "- benchmark" in line]
    assert len(wide) == 1
    assert "1 tests" in wide[0]
    assert any(line.startswith("test_other ") for line in result.outlines)
    assert not any(line.startswith(("test_device", "test_batch_size")) for line in result.outlines)


def test_a_comparison_is_narrow_and_saving_is_said(suite: Suite) -> None:
    saved = suite.run(TWO_SWEEPS, "--benchmark-save=base")
    assert "Saved benchmark data" in saved.stdout.str() + saved.stderr.str()
    saved.stdout.no_fnmatch_line(WIDE)
    compared = suite.run(TWO_SWEEPS, "--benchmark-compare=0001")
    compared.stdout.fnmatch_lines([WIDE, "Name *Median*", "*(0001_base)*"])
    header = next(line for line in compared.outlines if line.startswith("Name "))
    assert "StdDev" not in header
    assert "Outliers" not in header
    full = suite.run(TWO_SWEEPS, "--benchmark-compare=0001", "--benchmark-columns=min,max")
    full.stdout.fnmatch_lines(["Name *Min*Max*"])


def test_the_gate_speaks_for_itself(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--benchmark-save=base")
    judged = suite.run(TWO_SWEEPS, "--benchmark-compare=0001", "--blip-compare-fail=flops:0%")
    judged.stdout.no_fnmatch_line(WIDE)
    judged.stdout.fnmatch_lines(["*= gate =*", "*flops*"])
