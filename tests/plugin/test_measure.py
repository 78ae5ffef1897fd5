"""`--blip-measure`: the passes that run, and what the record says of the others."""

from __future__ import annotations

import pytest

from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record
from blip_fixtures.words import PassName
from tests.plugin.conftest import TWO_SWEEPS, Suite

# pytest-benchmark warns of a baseline that it cannot read, and goes on without.
pytestmark = pytest.mark.filterwarnings("ignore::pytest_benchmark.logger.PytestBenchmarkWarning")


def measured(suite: Suite, names: str, *args: str) -> Record:
    suite.run(TWO_SWEEPS, f"--blip-measure={names}", "-k", "batch02", *args).assert_outcomes(passed=1)
    return suite.records()[0]


NOT_ASKED_FOR = Reason.of("not_asked_for")
PASSES = tuple(PassName)


def present(record: Record) -> set[str]:
    parts = {name for name in PASSES if name != PassName.ENERGY and getattr(record, name)}
    return parts | {"energy" for entry in record.energy.values() if entry.reason != NOT_ASKED_FOR}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("latency", {"latency"}),
        ("limit", {"latency", "limit"}),
        ("memory,flops", {"latency", "memory", "flops"}),
        ("phases, quality", {"latency", "phases", "quality"}),
        ("energy", {"latency", "energy"}),
        ("all", set(PASSES)),
    ],
)
def test_only_what_is_asked_for_is_measured(suite: Suite, names: str, expected: set[str]) -> None:
    record = measured(suite, names)
    assert present(record) == expected
    for part in {*PASSES} - expected - {"energy"}:
        assert record.missing[part] == NOT_ASKED_FOR
    assert bool(record.predictions) == ("quality" in expected)


def test_an_ini_file_lists_names_with_commas_and_spaces(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_measure = memory, flops\n")
    suite.run(TWO_SWEEPS, "-k", "batch02").assert_outcomes(passed=1)
    assert present(suite.records()[0]) == {"latency", "memory", "flops"}


def test_latency_alone_asks_the_model_for_no_answer(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds have answered two of its four batches; the others are not answered for the count of their tokens."""

    def refuse(*_args: object) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr("blip_fixtures.engine.workload.Workload.answer", refuse)
    suite.run(TWO_SWEEPS, "--blip-measure=latency", "-k", "test_batch_size and batch01").assert_outcomes(passed=1)
    (record,) = suite.records()
    assert record.tokens is not None
    assert record.tokens.input_mean > 0  # type: ignore[operator]
    assert record.tokens.output_mean is None
    assert record.missing["tokens.output_mean"] == NOT_ASKED_FOR
    document = (suite.folder / "README.md").read_text()
    assert f"No quality figures: {NOT_ASKED_FOR}" in document
    assert f"No phases: {NOT_ASKED_FOR}" in document


def test_costs_of_fixed_tokens_need_no_answer(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = measured(suite, "flops,quality", "--blip-new-tokens=fixed:4")
    monkeypatch.setattr("blip_fixtures.engine.inference.read", lambda *_args: pytest.fail("an answer was decoded"))
    record = measured(suite, "flops", "--blip-new-tokens=fixed:4")
    assert record.flops == usual.flops
    assert record.tokens == usual.tokens


def test_one_token_has_no_decoding_to_be_bound_by_anything(suite: Suite) -> None:
    record = measured(suite, "limit", "--blip-new-tokens=fixed:1")
    assert record.limit is not None
    assert "decode" not in (record.limit.bound_by or {})
    assert record.missing["limit.bound_by.decode"] == Reason.of("one_token")


def test_flops_of_open_answers_are_those_of_a_whole_run(suite: Suite) -> None:
    assert measured(suite, "flops").flops == measured(suite, "all").flops


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--blip-measure=speed"], "ERROR: --blip-measure cannot be 'speed': choose one of latency, phases, quality, "),
        (["--blip-measure="], "ERROR: --blip-measure cannot be '': choose one of latency, phases, quality, "),
        (
            ["--blip-measure=latency", "--blip-energy=require"],
            "ERROR: --blip-energy=require, and --blip-measure leaves",
        ),
        (
            ["--blip-measure=latency", "--blip-compare-fail=time_to_first_token:5%", "--benchmark-compare=0001"],
            "ERROR: --blip-compare-fail=time_to_first_token:5% judges what --blip-measure leaves out; add phases",
        ),
    ],
)
def test_what_cannot_be_measured_ends_the_run_first(suite: Suite, args: list[str], complaint: str) -> None:
    result = suite.run(TWO_SWEEPS, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(line.startswith(complaint) for line in result.errlines), result.errlines
