"""A run, from its benchmarks to its records."""

from __future__ import annotations

import re
from typing import Any

import pytest

from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.record import Generation, Record, read_records
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.words import Decoding, Domain
from tests.plugin.conftest import ON_CPU, TWO_SWEEPS, Suite


def test_a_run_writes_the_files_of_the_contract(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.report.document.draw_plots", draw_plots)
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
        [
            "*= Benchmarks of instructblip-tiny =*",
            "*Batch Tests*",
            "batch_size  *",
            "*The document: */reports/local/instructblip-tiny/README.md",
        ]
    )


def notes_on_latency(record: Record) -> list[str]:
    """Without what this machine happens to be like while the test runs."""
    return [str(note) for note in record.notes if note.scope == "latency"]


def test_a_record_holds_what_was_asked_for(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-prompts=seed", "--blip-device=cpu")
    first, second = suite.records()
    assert first.case_id == "textvqa-cpu-fp16-batch01-image0224-seq200"
    assert first.case.prompts == "seed"
    assert first.latency is not None
    assert len(first.latency.rounds_s) == len(first.latency.reference_s) == 2
    assert first.generation == Generation(
        new_tokens=4,
        fixed=False,
        num_beams=1,
        length_penalty=1.0,
        prompt_parts=("{question}",),
        decoding=Decoding.GREEDY,
        ocr_limit=0,
    )
    assert first.data is not None
    assert (first.data.samples, first.data.batches, first.data.dropped) == (4, 4, 0)
    assert notes_on_latency(first) == ["timed on the first 2 of 4 batches; quality uses all"]
    assert notes_on_latency(second) == []
    assert len(first.quality["wer"].per_sample) == 4
    assert first.phases is not None
    assert first.limit is not None
    assert first.energy[Domain.CPU_PACKAGE].status == "unsupported"
    assert first.flops is not None
    assert first.memory is not None
    assert first.memory.peak_bytes > first.memory.weights_bytes > 2**20  # type: ignore[operator]
    for key in ("cpu_model", "torch_threads", "versions", "commit", "load_average", "started_at", "command"):
        assert first.environment[key], key
    assert first.config_hash != second.config_hash


@pytest.mark.parametrize(("limit", "rounds"), [("3", 10), ("12", 12)])
def test_the_default_number_of_rounds_is_ten_and_covers_every_batch(suite: Suite, limit: str, rounds: int) -> None:
    suite.pytester.makepyfile(test_it=TWO_SWEEPS)
    quick = ("--blip-warmup-rounds=0", "--blip-new-tokens=2", f"--blip-limit={limit}")
    suite.pytester.runpytest_inprocess(*quick, ON_CPU, "-k", "batch01").assert_outcomes(passed=2)
    (record,) = suite.records()
    assert record.latency is not None
    assert len(record.latency.rounds_s) == rounds
    assert notes_on_latency(record) == []


def test_fixed_new_tokens_reach_the_record(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-new-tokens=fixed:6", "-k", "batch02")
    (record,) = suite.records()
    assert record.generation is not None
    assert (record.generation.new_tokens, record.generation.fixed) == (6, True)
    assert record.tokens is not None
    assert (record.tokens.output_mean, record.tokens.output_max) == (6, 6)


GREEDY = """
[textvqa]
parts = ["Question: {question}", "Short answer:"]
"""


def run_with_prompts(suite: Suite, text: str, *args: str) -> Record:
    (suite.pytester.path / "mine.toml").write_text(text)
    suite.run(TWO_SWEEPS, "--blip-prompts=mine.toml", "-k", "batch02", *args).assert_outcomes(passed=1)
    return suite.records()[0]


def test_prompts_and_beams_of_a_file(suite: Suite) -> None:
    greedy = run_with_prompts(suite, GREEDY, "--blip-new-tokens=fixed:5")
    beams = run_with_prompts(suite, GREEDY + "num_beams = 3\nlength_penalty = -1", "--blip-new-tokens=fixed:5")
    assert re.fullmatch(r"mine@[0-9a-f]{8}", beams.case.prompts or "")
    assert beams.case.prompts != greedy.case.prompts
    assert beams.config_hash != greedy.config_hash
    assert beams.generation is not None
    assert (beams.generation.num_beams, beams.generation.length_penalty) == (3, -1)
    assert beams.flops is not None
    assert greedy.flops is not None
    document = (suite.folder / "README.md").read_text()
    assert "beam search with 3 beams, length penalty -1, exactly 5 new tokens." in document
    # The image and the prompt are read once, each beam is decoded.
    assert beams.flops.vision == greedy.flops.vision
    assert beams.flops.qformer == greedy.flops.qformer
    assert beams.flops.decode == 3 * (greedy.flops.decode or 0) > 0


def test_prompts_without_the_dataset_end_the_run_before_it_begins(suite: Suite) -> None:
    (suite.pytester.path / "mine.toml").write_text(GREEDY.replace("textvqa", "coco"))
    result = suite.run(TWO_SWEEPS, "--blip-prompts=mine.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *: the prompts mine@* have no table [[]textvqa]; add one, or choose other *"])


def test_a_case_of_two_sweeps_is_measured_once_and_shown_in_both(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS)
    result.assert_outcomes(passed=3)
    records = suite.records()
    assert [(record.case.batch_size, record.sweeps) for record in records] == [
        (1, ("batch_size", "device")),
        (2, ("batch_size",)),
    ]
    result.stdout.fnmatch_lines(["Device  *", "CPU  *", "1  *"])


def test_partial_batches_are_dropped_and_counted(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "-k", "batch02", "--blip-limit=5")
    (record,) = suite.records()
    assert record.data is not None
    assert (record.data.batches, record.data.dropped) == (2, 1)
    assert "1 sample" in (suite.folder / "README.md").read_text()
    assert len(record.quality["vqa_accuracy"].per_sample) == len(record.predictions) == 4


def test_too_few_samples_for_a_batch_leave_a_row_with_its_reason(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "--blip-limit=1")
    result.assert_outcomes(passed=2, skipped=1)
    reason = "1 textvqa samples do not fill a batch of 2; raise --blip-limit or give more data"
    (missing,) = suite.document()["blip"]["not_run"]
    assert (missing["status"], missing["reason"]["code"]) == ("unavailable", "too_few_samples")
    assert [record.status for record in read_records(suite.folder / "journal.jsonl")] == ["ok", "unavailable"]
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

    def counting(checkpoint: Checkpoint, device: str, optimization: str, dtype: str, *attention: Any) -> LoadedModel:
        loads.append(optimization)
        return load_model(checkpoint, device, optimization, dtype, *attention)

    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", counting)
    monkeypatch.setenv("CXX", "no-such-compiler")
    suite.run(OPTIMIZATIONS.replace('"fp32", "compile"', '"compile"')).assert_outcomes(passed=4, skipped=2)
    # The baseline is loaded beside the other row, with which it is timed in turns, and timed again after it.
    assert loads == ["fp32", "bf16", "fp32", "fp32"]
    assert [record.case.optimization for record in suite.records() if not record.again] == [
        "fp32",
        "fp32",
        "bf16",
        "bf16",
        "compile",
        "compile",
    ]


def test_a_baseline_is_timed_before_and_behind_the_others(suite: Suite) -> None:
    result = suite.run(OPTIMIZATIONS.replace(', "fp32", "compile"', ""))
    result.assert_outcomes(passed=4)
    assert [line for line in result.outlines if "again" in line and "times the first" in line]
    records = suite.records()
    again = [record for record in records if record.again]
    assert [record.case.optimization for record in again] == ["fp32", "fp32"]
    for record in again:
        (first,) = [other for other in records if other.case == record.case and not other.again]
        assert record.latency is not None
        assert first.latency is not None
        assert len(record.latency.rounds_s) == len(record.latency.reference_s) == len(first.latency.rounds_s) == 2
        assert (record.flops, record.quality) == (None, {})
    # A record of its own is a line of its own; the first one stays as it was stored.
    assert len((suite.folder / "journal.jsonl").read_text().splitlines()) == 6
    assert read_records(suite.folder / "journal.jsonl") == suite.records()
    assert "times the first" in (suite.folder / "README.md").read_text()


LAST_FAILS = (
    OPTIMIZATIONS.replace(', "fp32", "compile"', "")
    .replace(
        "    measure()",
        "    if optimization == 'bf16' and dataset == 'textvqa':\n        raise ValueError('no')\n    measure()",
    )
    .replace("(measure)", "(measure, optimization, dataset)")
)


def test_a_baseline_is_timed_again_whatever_becomes_of_the_last_case(suite: Suite) -> None:
    result = suite.run(LAST_FAILS)
    result.assert_outcomes(passed=3, failed=1, errors=1)
    again = [record.case.dataset for record in suite.records() if record.again]
    # Of textvqa nothing ran beside the baseline, so there is nothing to compare it with.
    assert again == ["coco"]


def test_a_run_that_ends_at_its_first_failure_times_the_baseline_again(suite: Suite) -> None:
    suite.run(LAST_FAILS, "-x").assert_outcomes(passed=3, failed=1, errors=1)
    assert [record.case.dataset for record in suite.records() if record.again] == ["coco"]


def test_a_second_timing_asks_for_no_memory_again(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free by then depends on the models that came between."""
    answers = iter([2**40])
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda _device: next(answers, 0))
    suite.run(OPTIMIZATIONS.replace(', "fp32", "compile"', "")).assert_outcomes(passed=4)
    assert [record.status for record in suite.records() if record.again] == ["ok", "ok"]


def test_an_optimization_without_effect_fails_and_loses_nothing(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(checkpoint: Checkpoint, device: str, optimization: str, dtype: str, *attention: Any) -> LoadedModel:
        return load_model(checkpoint, device, optimization, "float32", *attention)

    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", deaf)
    benchmarks = OPTIMIZATIONS.replace('"bf16", "fp32", "compile"', '"bf16"').replace('"coco", ', "")
    result = suite.run(benchmarks)
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    good, bad = suite.records()
    assert (good.status, bad.status) == ("ok", "failed")
    assert re.match("NotApplied: bf16 asked for bfloat16", str(bad.reason))


BREAKS = """
import pytest

class Broken(Exception):
    pass

@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size(measure, monkeypatch, batch_size):
    from blip_fixtures.engine import inference
    if batch_size == 2:
        def fail(model, inputs, new_tokens, **_beams):
            raise {error}
        monkeypatch.setattr(inference, "generate", fail)
    measure()
"""


def test_a_case_that_breaks_costs_its_own_row_only(suite: Suite) -> None:
    result = suite.run(BREAKS.format(error='Broken("no such kernel")'))
    result.assert_outcomes(passed=2, failed=1)
    assert [(record.case.batch_size, record.status) for record in suite.records()] == [
        (1, "ok"),
        (2, "failed"),
        (4, "ok"),
    ]
    readme = (suite.folder / "README.md").read_text()
    assert "Broken: no such kernel" in readme
    assert "| 2          | -                   | -                   |" in readme


def test_a_failed_case_has_its_line_to_itself(suite: Suite) -> None:
    result = suite.run(BREAKS.format(error='Broken("no")'))
    result.stdout.re_match_lines([r"\[2/3\] .*  failed$", r"\[3/3\] .* ms a batch, [\d.]+ samples/s$"])


def test_an_interrupted_run_keeps_its_finished_cases(suite: Suite) -> None:
    result = suite.run_in_subprocess(BREAKS.format(error="KeyboardInterrupt"))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [record.case.batch_size for record in read_records(suite.folder / "journal.jsonl")] == [1]
    assert [record.case.batch_size for record in suite.records()] == [1]
    assert "| 1          |" in (suite.folder / "README.md").read_text()


def test_progress_says_which_case_runs(suite: Suite) -> None:
    result = r"\d+\.\d ms a batch, [\d.]+ samples/s$"
    suite.run(TWO_SWEEPS).stdout.re_match_lines(
        [
            r"\[1/2\] textvqa-cpu-fp16-batch01-image0224-seq200  elapsed 0:\d\d, left \?  " + result,
            r"\[2/2\] textvqa-cpu-fp16-batch02-image0224-seq200  elapsed 0:\d\d, left 0:\d\d  " + result,
        ]
    )


def test_the_document_speaks_russian(suite: Suite) -> None:
    suite.run(TWO_SWEEPS, "--blip-lang=ru", "-k", "batch01").assert_outcomes(passed=2)
    assert re.search("[а-я]{5}", (suite.folder / "README.md").read_text())
