"""`--blip-also`: further values of a sweep without touching its file."""

from __future__ import annotations

import pytest

from blip_fixtures.pytest_plugin.parsing import BASELINE_AXES
from tests.plugin.conftest import TWO_SWEEPS, Suite

# Of every axis a value that the sweep has, one that is added, and the added one's part of an id.
VALUES = {
    "dataset": ("'coco', 'textvqa'", "scienceqa", "scienceqa"),
    "optimization": ("'fp16', 'bf16'", "fp32", "fp32"),
    "batch_size": ("1, 2", "64", "batch64"),
    "image_size": ("224, 336", "448", "image0448"),
    "sequence_length": ("50, 100", "7", "seq007"),
}
SWEEP = "import pytest\n\n@pytest.mark.parametrize({axis!r}, [{values}])\ndef test_it(measure):\n    measure()\n"


def collected(suite: Suite, benchmarks: str, *args: str) -> list[str]:
    result = suite.run(benchmarks, *args, "--collect-only", "-q")
    assert result.ret == 0, result.errlines
    return [line for line in result.outlines if "::" in line]


@pytest.mark.parametrize("axis", BASELINE_AXES)
def test_a_value_stands_after_those_of_the_file_as_if_it_were_written_there(suite: Suite, axis: str) -> None:
    values, added, part = VALUES[axis]
    written = added if axis not in ("dataset", "optimization") else repr(added)
    found = collected(suite, SWEEP.format(axis=axis, values=values), f"--blip-also={axis}={added}")
    assert part in found[-1]
    assert found == collected(suite, SWEEP.format(axis=axis, values=f"{values}, {written}"))


def test_every_axis_is_tried() -> None:
    assert set(VALUES) == set(BASELINE_AXES)


def test_several_values_keep_their_order_and_none_is_doubled(suite: Suite) -> None:
    given = [f"--blip-also=batch_size={value}" for value in (4, 2, 3, 4)]
    suite.run(TWO_SWEEPS, *given, "-k", "test_batch_size").assert_outcomes(passed=4)
    assert [record.case.batch_size for record in suite.records()] == [1, 2, 4, 3]


@pytest.mark.parametrize(
    "marks",
    [
        "@pytest.mark.parametrize(argnames='batch_size', argvalues=(1, 2))",
        "@pytest.mark.parametrize(('batch_size',), [(1,), (2,)])",
        "@pytest.mark.parametrize('batch_size', [1, 2], ids=['one', 'two'])",
        "@pytest.mark.parametrize('batch_size', [pytest.param(1), pytest.param(2, id='two')])",
        "@pytest.mark.parametrize('batch_size', (size for size in (1, 2)))",
        "@pytest.mark.parametrize(('batch_size',), ((size,) for size in (1, 2)))",
        "@pytest.mark.parametrize('batch_size', argvalues=map(int, '12'))",
    ],
)
def test_whatever_way_the_sweep_is_written(suite: Suite, marks: str) -> None:
    benchmark = f"import pytest\n\n{marks}\ndef test_it(measure):\n    measure()\n"
    found = collected(suite, benchmark, "--blip-also=batch_size=2", "--blip-also=batch_size=3")
    assert len(found) == 3
    assert "batch03" in found[-1]


def test_an_iterator_of_one_value_is_not_used_up(suite: Suite) -> None:
    held = "import pytest\n\n@pytest.mark.parametrize('batch_size', iter([2]))\ndef test_it(measure):\n    measure()\n"
    suite.pytester.makeini("[pytest]\nblip_also = batch_size=3\n")
    (found,) = collected(suite, held)
    assert "batch02" in found


def test_a_sweep_of_a_whole_file(suite: Suite) -> None:
    benchmarks = "import pytest\npytestmark = pytest.mark.parametrize('batch_size', [1, 2])\n"
    benchmarks += "".join(f"\ndef test_{name}(measure):\n    measure()\n" for name in ("one", "other"))
    assert len(collected(suite, benchmarks, "--blip-also=batch_size=3")) == 6


def test_an_axis_that_is_set_to_one_value_is_held_and_not_varied(suite: Suite) -> None:
    found = collected(suite, TWO_SWEEPS, "--blip-also=batch_size=4")
    assert [name for name in found if "batch04" in name] == [name for name in found if "test_batch_size" in name][-1:]


def test_what_the_file_has_for_another_device_is_measured_where_it_is_named(suite: Suite) -> None:
    values = "'fp16', 'bf16', pytest.param('fp32', marks=pytest.mark.only_on('cuda'))"
    sweep = SWEEP.format(axis="optimization", values=values)
    assert len(collected(suite, sweep)) == 2
    found = collected(suite, sweep, "--blip-also=optimization=fp32")
    assert [name for name in found if "fp32" in name] == found[-1:]
    assert len(found) == 3


def test_ini_twin_waits_for_the_sweep_that_it_is_for(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_also = batch_size=3 batch_size=4\n")
    assert len(collected(suite, TWO_SWEEPS)) == 5
    assert len(collected(suite, TWO_SWEEPS, "-k", "test_device")) == 1


def test_a_batch_that_the_samples_do_not_fill_is_a_row_with_its_reason(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--blip-also=batch_size=128", "-k", "test_batch_size")
    result.assert_outcomes(passed=2, skipped=1)
    document = (suite.folder / "README.md").read_text()
    assert "| 128        | -                   | -                   |" in document
    assert "4 textvqa samples do not fill a batch of 128" in document


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("--blip-also=batch_size=1", "-k", "test_device"),
            "ERROR: --blip-also batch_size=1 adds nothing: none of the benchmarks that were selected (test_device) "
            "varies batch_size; select the sweep that does, or give --blip-baseline batch_size=1 to hold that value",
        ),
        (
            ("--blip-also=image_size=336",),
            "ERROR: --blip-also image_size=336 adds nothing: none of the benchmarks that were selected * varies *",
        ),
        (
            ("--blip-also=batch_size=64", "-k", "batch01"),
            "ERROR: --blip-also batch_size=64 adds nothing: what was selected with -k, -m or by its id leaves *",
        ),
        (("--blip-also=batch_size=0",), "ERROR: *: batch_size must be a whole number of at least 1, not 0"),
        (("--blip-also=batch_size=two",), "ERROR: *: batch_size must be a whole number of at least 1, not 'two'"),
        (("--blip-also=batch_size",), "ERROR: --blip-also cannot be 'batch_size': give AXIS=VALUE with one of *"),
        (("--blip-also=device=cuda",), "ERROR: --blip-also cannot be 'device=cuda': give AXIS=VALUE with one of *"),
    ],
)
def test_a_value_that_cannot_be_or_adds_nothing_is_one_sentence(suite: Suite, args: tuple[str, ...], said: str) -> None:
    result = suite.run(TWO_SWEEPS, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
