"""Memory: what does not fit is refused before anything loads, and a case that runs out costs its own row only."""

from __future__ import annotations

import weakref
from typing import Any

import msgspec
import pytest

from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.reasons import Reason
from tests.plugin.conftest import TWO_SWEEPS, Suite

MIB = 2**20


def test_nothing_fits(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda _: MIB)
    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", lambda *_: pytest.fail("a model was loaded"))
    result = suite.run(TWO_SWEEPS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: no case can run: fp16 at batch 1 needs about * MiB on cpu (weights * MiB, activations * MiB, cache "
            "* MiB) and 1.0 MiB are free; nothing smaller fits either, so use another device"
        ]
    )
    assert not list(suite.pytester.path.rglob("journal.jsonl"))


SIZES = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_batch_size(measure):
    measure()
"""


def test_the_batch_that_does_not_fit_is_a_gap(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda _: 12 * MIB)
    result = suite.run(SIZES, "--blip-limit=64")
    result.assert_outcomes(passed=2, skipped=1)
    (gap,) = suite.document()["blip"]["not_run"]
    assert gap["status"] == "unavailable"
    reason = str(msgspec.convert(gap["reason"], Reason))
    assert reason.startswith("fp16 at batch 64 needs about ")
    # The packaged samples fill a batch of 64, so what fits is halved from there.
    assert " MiB are free; batch " in reason
    document = (suite.folder / "README.md").read_text()
    assert "| 64         | -                   | -                   |" in document
    assert reason in document


EXHAUSTS = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size(measure, monkeypatch, batch_size):
    import torch
    from blip_fixtures.engine import inference
    real = inference.generate
    def generate(model, inputs, new_tokens, **_beams):
        if batch_size == 2:
            raise {error}
        return real(model, inputs, new_tokens)
    monkeypatch.setattr(inference, "generate", generate)
    measure()
"""
ERRORS = [
    'torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")',
    "MemoryError()",
    'RuntimeError("[enforce fail] DefaultCPUAllocator: can\'t allocate memory: you tried to allocate 9 bytes.")',
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_case_that_runs_out_is_a_gap_and_the_next_has_a_fresh_model(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    loads: list[str] = []

    def counting(checkpoint: Checkpoint, device: str, optimization: str, dtype: str, *attention: Any) -> LoadedModel:
        loads.append(optimization)
        return load_model(checkpoint, device, optimization, dtype, *attention)

    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", counting)
    result = suite.run(EXHAUSTS.format(error=error))
    result.assert_outcomes(passed=2, skipped=1)
    assert result.ret == 0
    assert [(record.case.batch_size, record.status) for record in suite.records()] == [
        (1, "ok"),
        (2, "out_of_memory"),
        (4, "ok"),
    ]
    assert loads == ["fp16", "fp16"]
    assert "out of memory; " in (suite.folder / "README.md").read_text()
    result.stdout.re_match_lines([r"\[2/3\] .*  out of memory$"])


def test_nothing_of_the_exhausted_model_stays_alive(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error's traceback holds the frames, and they hold the model: the second load must not find it."""
    alive_at_load: list[int] = []
    live: list[weakref.ref[Any]] = []

    def watching(checkpoint: Checkpoint, device: str, optimization: str, dtype: str, *attention: Any) -> LoadedModel:
        alive_at_load.append(sum(reference() is not None for reference in live))
        loaded = load_model(checkpoint, device, optimization, dtype, *attention)
        live.append(weakref.ref(loaded.model.vision_model.embeddings.patch_embedding.weight))
        return loaded

    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", watching)
    suite.run(EXHAUSTS.format(error=ERRORS[0])).assert_outcomes(passed=2, skipped=1)
    assert alive_at_load == [0, 0]


def test_another_error_is_still_a_failure(suite: Suite) -> None:
    result = suite.run(EXHAUSTS.format(error='RuntimeError("no such kernel")'))
    result.assert_outcomes(passed=2, failed=1)
