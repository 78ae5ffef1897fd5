"""`--blip-baseline`: another operating point without touching conftest.py."""

from __future__ import annotations

from tests.plugin.conftest import TWO_SWEEPS, Suite

OPTIMIZATIONS = """
import pytest

@pytest.mark.parametrize("optimization", ["fp16", "fp32", "bf16"])
def test_optimization(measure):
    measure()
"""


def test_it_holds_where_the_sweep_does_not_vary(suite: Suite) -> None:
    held = ("--blip-baseline=optimization=bf16", "--blip-baseline=image_size=336", "--blip-baseline=batch_size=2")
    suite.run(TWO_SWEEPS, *held).assert_outcomes(passed=3)
    assert [record.case_id for record in suite.records()] == [
        "textvqa-cpu-bf16-batch01-image0336-seq200",
        "textvqa-cpu-bf16-batch02-image0336-seq200",
    ]


def test_its_optimization_is_the_first_row_of_that_sweep(suite: Suite) -> None:
    suite.run(OPTIMIZATIONS, "--blip-baseline=optimization=bf16", "--blip-baseline=batch_size=1").assert_outcomes(
        passed=3
    )
    optimizations = [record.case.optimization for record in suite.records() if not record.again]
    assert optimizations == ["bf16", "fp16", "fp32"]
    assert '"% of original" is the share of the first row, bf16' in (suite.folder / "README.md").read_text()


def test_ini_twin(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_baseline = batch_size=2 dataset=coco\n")
    suite.run("def test_it(measure):\n    measure()\n").assert_outcomes(passed=1)
    assert suite.records()[0].case_id == "coco-cpu-fp16-batch02-image0224-seq200"


def test_ids_are_padded_as_ever(suite: Suite) -> None:
    result = suite.run("def test_it(measure):\n    measure()\n", "--blip-baseline=batch_size=2", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["test_it.py::test_it[[]*batch02*[]]"])
