"""The phase pass: boundaries on a clock that the test turns, and on the packaged checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.inference import BatchMaker, generate, to_device
from blip_fixtures.engine.passes import phases
from blip_fixtures.engine.passes.phases import PhaseTimes, phase_pass, summarize_phases
from blip_fixtures.families import FAMILIES
from blip_fixtures.families.runner import EagerRunner


class Clock:
    """Seconds that pass when the model works, and a count of how often the clock was read."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now_s


class Part(nn.Module):
    """Takes a number of seconds each time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self) -> None:
        self.clock.now_s += self.seconds


class Model(nn.Module):
    """The parts of an InstructBLIP, and a generate call with work of its own between them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.vision_model = Part(clock, 8)
        self.qformer = Part(clock, 2)
        self.language_projection = Part(clock, 0.5)
        self.language_model = Part(clock, 1)
        self.encoder = Part(clock, 4)

    def generate(self, steps: int) -> None:
        for part in (self.vision_model, self.qformer, self.language_projection):
            part()
        self.clock.now_s += 0.25
        self.encoder()
        for _ in range(steps):
            self.language_model()
            self.clock.now_s += 0.125


def run(steps: list[int]) -> tuple[list[PhaseTimes], Model, Clock]:
    clock = Clock()
    model = Model(clock)
    pending = iter(steps)
    times = phase_pass(EagerRunner(model, FAMILIES[0]), model.generate, lambda: next(pending), clock, rounds=len(steps))
    return times, model, clock


def test_the_phases_fill_the_call() -> None:
    ((one,), _, _) = run([4])
    assert one == PhaseTimes(vision_s=8, qformer_s=2.5, prefill_s=5.25, decode_s=0.125 + 3 * 1.125, later_steps=3)
    assert one.total_s == 8 + 2.5 + 0.25 + 4 + 4 * 1.125


def test_the_clock_is_read_at_boundaries_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading waits for the device, so one for each decoder step would slow decoding down."""
    assert run([50])[2].reads == 5


def test_means_and_the_decoders_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "ENOUGH_S", 1e9)
    times, _, _ = run([2, 4])
    summary = summarize_phases(times)
    assert summary.vision_s == 8
    assert summary.time_to_first_token_s == 8 + 2.5 + 5.25
    # Four later steps took 4.5 s, and each call 0.125 s behind its first.
    assert summary.decode_per_token_s == pytest.approx((4 * 1.125 + 2 * 0.125) / 4)
    assert summary.sum_s == pytest.approx((times[0].total_s + times[1].total_s) / 2)
    assert summary.rounds == 2


def test_one_token_has_no_decoding() -> None:
    summary = summarize_phases(run([1])[0])
    assert summary.decode_per_token_s is None
    assert summary.decode_s == 0.125


def test_slow_calls_end_the_pass_after_the_second() -> None:
    assert len(run([4, 4, 4])[0]) == phases.LEAST_CALLS == 2
    assert len(run([4])[0]) == 1


def test_no_hook_stays_behind() -> None:
    _, model, _ = run([1])
    assert not any(part._forward_hooks for part in model.modules())


def test_no_hook_stays_behind_a_call_that_fails() -> None:
    clock = Clock()
    model = Model(clock)

    def fail(_: Any) -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        phase_pass(EagerRunner(model, FAMILIES[0]), fail, lambda: None, clock, rounds=1)
    assert not any(part._forward_hooks for part in model.modules())


def test_the_packaged_checkpoint(checkpoint: Checkpoint, loaded: LoadedModel, processor: Any) -> None:
    prompt = find_prompts("paper").of("coco")
    samples = load_samples("coco", "sample", 4)
    maker = BatchMaker(processor, checkpoint)
    batch = maker.batch(samples, 0, batch_size=4, image_size=224, text_limit=50, prompt=prompt)
    inputs = to_device(batch, "cpu", loaded.pixel_dtype)
    ticks = iter(range(10_000))
    (one,) = phase_pass(
        loaded.runner,
        lambda given: generate(loaded.model, given, NewTokens(6, fixed=True)),
        lambda: inputs,
        lambda: float(next(ticks)),
        rounds=1,
    )
    # The clock ticks at each reading, so every phase is one tick: each boundary was met once, in order.
    assert (one.vision_s, one.qformer_s, one.prefill_s, one.decode_s) == (1, 1, 1, 1)
    assert one.later_steps == 5
