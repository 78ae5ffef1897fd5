"""A run, from its benchmarks to its records."""

from __future__ import annotations

import re

import pytest

from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.record import Record, read_records
from tests.plugin.conftest import TWO_SWEEPS, Suite


def test_a_run_writes_the_files_of_the_contract(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS)
    result.assert_outcomes(passed=3)
    assert {path.relative_to(suite.folder).as_posix() for path in suite.folder.rglob("*") if path.is_file()} >= {
        "README.md",
        "records.json",
        "journal.jsonl",
        "plots/latency_energy_plot.png",
    }
    assert read_records(suite.folder / "journal.jsonl") == suite.records()
    result.stdout.fnmatch_lines(
        ["*Batch Tests*", "*| batch_size |*", "*The document: */reports/local/instructblip-tiny/README.md"]
    )


def notes_on_latency(record: Record) -> list[str]:
    """Without what this machine happens to be like while the test runs."""
    return [note for note in record["notes"] if note.startswith("latency")]


def test_a_record_holds_what_was_asked_for(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-prompts=seed", "--blip-device=cpu")
    first, second = suite.records()
    assert first["case_id"] == "textvqa-cpu-fp16-batch01-image0224-seq200"
    assert first["case"]["prompts"] == "seed"
    assert first["latency"] is not None
    assert len(first["latency"]["rounds_s"]) == len(first["latency"]["reference_s"]) == 2
    assert first["generation"] == {"new_tokens": 4, "fixed": False}
    assert first["data"] is not None
    assert (first["data"]["samples"], first["data"]["batches"], first["data"]["dropped"]) == (4, 4, 0)
    assert notes_on_latency(first) == ["latency: timed on the first 2 of 4 batches; quality uses all"]
    assert notes_on_latency(second) == []
    assert len(first["quality"]["wer"]["per_sample"]) == 4
    assert first["phases"] is not None
    assert first["limit"] is not None
    assert first["energy"]["cpu_package"]["status"] == "unsupported"
    assert first["flops"] is not None
    assert first["memory"] is not None
    assert first["memory"]["peak_bytes"] > first["memory"]["weights_bytes"] > 2**20  # type: ignore[operator]
    for key in ("cpu_model", "torch_threads", "versions", "commit", "load_average", "started_at", "command"):
        assert first["environment"][key], key
    assert first["config_hash"] != second["config_hash"]


@pytest.mark.parametrize(("limit", "rounds"), [("3", 10), ("12", 12)])
def test_the_default_number_of_rounds_is_ten_and_covers_every_batch(suite: Suite, limit: str, rounds: int) -> None:
    suite.pytester.makepyfile(test_it=TWO_SWEEPS)
    quick = ("--blip-warmup-rounds=0", "--blip-new-tokens=2", f"--blip-limit={limit}")
    suite.pytester.runpytest_inprocess(*quick, "-k", "batch01").assert_outcomes(passed=2)
    (record,) = suite.records()
    assert record["latency"] is not None
    assert len(record["latency"]["rounds_s"]) == rounds
    assert notes_on_latency(record) == []


def test_fixed_new_tokens_reach_the_record(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-new-tokens=fixed:6", "-k", "batch02")
    (record,) = suite.records()
    assert record["generation"] == {"new_tokens": 6, "fixed": True}
    assert record["tokens"] is not None
    assert (record["tokens"]["output_mean"], record["tokens"]["output_max"]) == (6, 6)


def test_a_case_of_two_sweeps_is_measured_once_and_shown_in_both(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS)
    result.assert_outcomes(passed=3)
    records = suite.records()
    assert [(record["case"]["batch_size"], record["sweeps"]) for record in records] == [
        (1, ["batch_size", "device"]),
        (2, ["batch_size"]),
    ]
    assert [bench["group"] for bench in suite.document()["benchmarks"]] == ["batch_size", "batch_size"]
    result.stdout.fnmatch_lines(["*| Device |*", "*| CPU    |*", "*| 1          |*"])


def test_partial_batches_are_dropped_and_counted(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "-k", "batch02", "--blip-limit=5")
    (record,) = suite.records()
    assert record["data"] is not None
    assert (record["data"]["batches"], record["data"]["dropped"]) == (2, 1)
    assert "1 sample" in (suite.folder / "README.md").read_text()
    assert len(record["quality"]["vqa_accuracy"]["per_sample"]) == len(record["predictions"]) == 4


def test_too_few_samples_for_a_batch_leave_a_row_with_its_reason(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--blip-limit=1")
    result.assert_outcomes(passed=2, skipped=1)
    reason = "1 textvqa samples do not fill a batch of 2; raise --blip-limit or give more data"
    (missing,) = suite.document()["blip"]["not_run"]
    assert (missing["status"], missing["reason"]) == ("unavailable", reason)
    assert [record["status"] for record in read_records(suite.folder / "journal.jsonl")] == ["ok", "unavailable"]
    assert reason in (suite.folder / "README.md").read_text()


OPTIMIZATIONS = """
import pytest

@pytest.mark.parametrize("optimization", ["fp32", "bf16", "fp32", "compile"])
@pytest.mark.parametrize("batch_size", [1])
@pytest.mark.parametrize("dataset", ["coco", "textvqa"])
def test_optimization(measure):
    measure()
"""


def test_cases_of_one_model_stand_together_and_load_it_once(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def counting(checkpoint: Checkpoint, device: str, optimization: str, dtype: str) -> LoadedModel:
        loads.append(optimization)
        return load_model(checkpoint, device, optimization, dtype)

    monkeypatch.setattr("blip_fixtures.run.load_model", counting)
    suite.run(OPTIMIZATIONS.replace('"fp32", "compile"', '"compile"')).assert_outcomes(passed=4, skipped=2)
    assert loads == ["fp32", "bf16"]
    assert [record["case"]["optimization"] for record in suite.records()] == [
        "fp32",
        "fp32",
        "bf16",
        "bf16",
        "compile",
        "compile",
    ]


def test_an_optimization_without_effect_fails_and_loses_nothing(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(checkpoint: Checkpoint, device: str, optimization: str, dtype: str) -> LoadedModel:
        return load_model(checkpoint, device, optimization, "float32")

    monkeypatch.setattr("blip_fixtures.run.load_model", deaf)
    benchmarks = OPTIMIZATIONS.replace('"bf16", "fp32", "compile"', '"bf16"').replace('"coco", ', "")
    result = suite.run(benchmarks)
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    good, bad = suite.records()
    assert (good["status"], bad["status"]) == ("ok", "failed")
    assert re.match("NotApplied: bf16 asked for bfloat16", bad["reason"] or "")


BREAKS = """
import pytest

class Broken(Exception):
    pass

@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size(measure, monkeypatch, batch_size):
    from blip_fixtures import inference
    if batch_size == 2:
        def fail(model, inputs, new_tokens):
            raise {error}
        monkeypatch.setattr(inference, "generate", fail)
    measure()
"""


def test_a_case_that_breaks_costs_its_own_row_only(suite: Suite) -> None:
    result = suite.run(BREAKS.format(error='Broken("no such kernel")'))
    result.assert_outcomes(passed=2, failed=1)
    assert [(record["case"]["batch_size"], record["status"]) for record in suite.records()] == [
        (1, "ok"),
        (2, "failed"),
        (4, "ok"),
    ]
    readme = (suite.folder / "README.md").read_text()
    assert "Broken: no such kernel" in readme
    assert "| 2          | -                   | -                   |" in readme


def test_a_failed_case_has_its_line_to_itself(suite: Suite) -> None:
    result = suite.run(BREAKS.format(error='Broken("no")'))
    result.stdout.re_match_lines([r"\[2/3\] .*  failed$", r"\[3/3\] .* a batch$"])


def test_an_interrupted_run_keeps_its_finished_cases(suite: Suite) -> None:
    result = suite.run_in_subprocess(BREAKS.format(error="KeyboardInterrupt"))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [record["case"]["batch_size"] for record in read_records(suite.folder / "journal.jsonl")] == [1]
    assert [record["case"]["batch_size"] for record in suite.records()] == [1]
    assert "| 1          |" in (suite.folder / "README.md").read_text()


def test_progress_says_which_case_runs(suite: Suite) -> None:
    suite.run(TWO_SWEEPS).stdout.re_match_lines(
        [
            r"\[1/2\] textvqa-cpu-fp16-batch01-image0224-seq200  elapsed 0:\d\d, left \?  \d+\.\d ms a batch",
            r"\[2/2\] textvqa-cpu-fp16-batch02-image0224-seq200  elapsed 0:\d\d, left 0:\d\d  \d+\.\d ms a batch",
        ]
    )


def test_the_document_speaks_russian(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-lang=ru", "-k", "batch01").assert_outcomes(passed=2)
    assert re.search("[а-я]{5}", (suite.folder / "README.md").read_text())
