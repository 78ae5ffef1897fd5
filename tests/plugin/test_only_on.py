"""Values that belong to a sweep on one kind of device alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.case import AXES
from blip_fixtures.pytest_plugin.items import ONLY_ON, out_of_place
from tests.plugin.conftest import Suite

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "test_optimization.py"
COMPILED = ["bf16+compile", "bf16+compile+int8", "bf16+compile+int4"]
ROOT = BENCHMARK.parents[1]
SWEEP = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2, {elsewhere}])
def test_it(measure):
    measure()
"""
ONE, TWO = (
    SWEEP.format(elsewhere=", ".join(f"pytest.param({size}, marks=pytest.mark.only_on('cuda'))" for size in sizes))
    for sizes in ((3,), (3, 4))
)
REMEDY = "choose such a device with --blip-device, or measure a value here all the same with --blip-also"


@pytest.mark.parametrize(("device", "there"), [("cpu", False), ("cuda:0", True)])
def test_compiled_packed_rows_join_the_sweep_on_cuda_alone(device: str, there: bool) -> None:
    command = [sys.executable, "-m", "pytest", str(BENCHMARK), "--collect-only", "-q", f"--blip-device={device}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ids = [line for line in found.splitlines() if "::" in line]
    assert len(ids) == 10 + 3 * there
    for name in COMPILED:
        assert any(f"-{name}-" in line or f"{name}-scienceqa" in line for line in ids) == there, found
    assert ("3 deselected" in found) != there


@pytest.mark.parametrize(
    ("benchmarks", "said"),
    [
        (ONE, "1 benchmark is for cuda alone and left out; " + REMEDY),
        (TWO, "2 benchmarks are for cuda alone and left out; " + REMEDY),
    ],
)
def test_what_is_left_out_is_said_once_before_anything_is_measured(suite: Suite, benchmarks: str, said: str) -> None:
    result = suite.run(benchmarks)
    result.assert_outcomes(passed=2, deselected=1 if benchmarks == ONE else 2)
    lines = [place for place, line in enumerate(result.outlines) if "left out" in line]
    assert [result.outlines[place] for place in lines] == [said]
    assert lines[0] < next(place for place, line in enumerate(result.outlines) if "[1/" in line)


def test_only_what_was_selected_is_said_to_be_left_out(suite: Suite) -> None:
    result = suite.run(TWO, "-k", "batch01 or batch03")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(["1 benchmark is for cuda alone and left out; *"])
    result = suite.run(TWO, "-k", "batch01")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.no_fnmatch_line("*left out*")


@pytest.mark.parametrize("option", ["-k", "-m"])
def test_an_expression_that_names_what_is_left_out_has_not_been_misspelt(suite: Suite, option: str) -> None:
    result = suite.run(TWO, option, "batch03" if option == "-k" else "only_on")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    count = "1 benchmark is" if option == "-k" else "2 benchmarks are"
    assert f"{count} for cuda alone and left out; {REMEDY}" in result.outlines
    for wrong in ("*did you mean*", "*selects none*"):
        result.stdout.no_fnmatch_line(wrong)


def test_a_misspelt_one_is_compared_with_every_benchmark(suite: Suite) -> None:
    result = suite.run(TWO, "-k", "batc03")
    result.stdout.fnmatch_lines(["*selects none of the 4 benchmarks*batch03*"])


class Benchmark:
    """What is asked of an item."""

    fixturenames = ("measure", "case", *AXES)

    def __init__(self, params: dict[str, object]) -> None:
        self.callspec = type("CallSpec", (), {"params": params})

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        assert name == ONLY_ON
        return [pytest.mark.only_on("cuda").mark]


@pytest.mark.parametrize(
    ("params", "is_out"),
    [
        ({"device": "cpu"}, True),
        ({"device": "cuda:0"}, False),
        ({"device": "cuda:1"}, False),
        # A fixture of the user's own makes a device of these, or of nothing.
        ({}, False),
        ({"device": 0}, False),
        ({"device": "my gpu"}, False),
    ],
)
def test_a_value_stays_unless_its_device_is_known_to_be_another(params: dict[str, object], is_out: bool) -> None:
    item: Any = Benchmark(params)
    assert out_of_place(item) is is_out
