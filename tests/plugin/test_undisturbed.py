"""Suites that have nothing to do with this one do not notice the installed plugin."""

from __future__ import annotations

import pytest

UNRELATED = """
import sys
import pytest

@pytest.fixture
def measure():
    return 1

@pytest.fixture(params=[16])
def batch_size(request):
    return request.param

@pytest.mark.parametrize("dataset", ["a"])
def test_it(measure, batch_size, dataset):
    assert (measure, batch_size, dataset) == (1, 16, "a")

def test_nothing_heavy_is_loaded():
    loaded = {"torch", "transformers", "datasets", "matplotlib", "pynvml", "jsonschema"} & set(sys.modules)
    assert not loaded
"""


@pytest.mark.parametrize("args", [(), ("-p", "no:blip"), ("-p", "no:benchmark")], ids=" ".join)
def test_unrelated_suite(pytester: pytest.Pytester, args: tuple[str, ...]) -> None:
    pytester.makepyfile(UNRELATED)
    result = pytester.runpytest_subprocess(*args, "-v", "-W", "error")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_it[[]16-a[]] PASSED*"])
    assert not (pytester.path / "reports").exists()


def test_collect_only_loads_nothing_and_writes_nothing(pytester: pytest.Pytester) -> None:
    from tests.plugin.conftest import ON_CPU, OPERATING_POINT, TWO_SWEEPS

    check = """
import sys

def pytest_unconfigure():
    assert not {"torch", "transformers", "datasets"} & set(sys.modules)
"""
    pytester.makeconftest(OPERATING_POINT + check)
    pytester.makepyfile(TWO_SWEEPS)
    result = pytester.runpytest_subprocess("--collect-only", "-q", ON_CPU)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*::test_batch_size[[]*-batch01[]]", "*::test_device[[]*]", "3 tests collected*"])
    assert not (pytester.path / "reports").exists()
