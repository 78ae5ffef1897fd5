"""Where tensors of every family lie: on one card, the first or the second, generated, compiled and ranked."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.devices import working_on
from blip_fixtures.engine.inference import BatchMaker, generate, rank, to_device
from blip_fixtures.engine.workload import load_for
from blip_fixtures.families.compiling import CompiledRunner
from blip_fixtures.words import Weights
from tests.unit.fake_cards import CARDS, cards_at_hand, fake_tensors
from tests.unit.test_placement import TOKENS, devices_of, run
from tests.unit.twins import CONFIGS, SIZE


def batch_of(checkpoint: Checkpoint, dataset: str, preset: str) -> Any:
    samples = load_samples(dataset, "sample", 2)
    prompt = find_prompts(preset).of(dataset).of_family(checkpoint.family.kinds)
    maker = BatchMaker(load_processor(checkpoint), checkpoint)
    return maker.batch(samples, 0, batch_size=2, image_size=2 * SIZE, text_limit=50, prompt=prompt)


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_answers_are_on_the_card(monkeypatch: pytest.MonkeyPatch, name: str, device: str) -> None:
    # Parts run as they are: a compiler has nothing to work on here, and where their tensors lie is the same.
    monkeypatch.setattr(CompiledRunner, "_compiled", lambda _runner, part, **_: part)
    checkpoint = Checkpoint("m", None, "r", CONFIGS[name], weights=Weights.RANDOM)
    asked, ranked = batch_of(checkpoint, "textvqa", "seed"), batch_of(checkpoint, "scienceqa", "published")
    with cards_at_hand(), fake_tensors(), working_on(device):
        for optimization in ("bf16", "fp16+compile"):
            loaded = load_for(checkpoint, device, optimization)
            assert devices_of([*loaded.model.parameters(), *loaded.model.buffers()]) == {device}
            assert str(run(loaded, to_device(asked, device, loaded.pixel_dtype)).device) == device
        loaded = load_for(checkpoint, device, "fp16")
        inputs = to_device(asked, device, loaded.pixel_dtype)
        penalty = checkpoint.family.penalty(1.5, inputs)
        beams = generate(loaded.runner, inputs, TOKENS, num_beams=3, length_penalty=-1.0, penalty=penalty)
        assert str(beams.device) == device
        scores = rank(loaded, to_device(ranked, device, loaded.pixel_dtype))
        assert (str(scores.device), scores.shape[0]) == (device, 2)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_penalty_on_repetition_counts_the_answer_alone(name: str) -> None:
    """Of a decoder that reads its prompt the words of the prompt are not punished, as in LAVIS."""
    checkpoint = Checkpoint("m", None, "r", CONFIGS[name], weights=Weights.RANDOM)
    inputs = {"input_ids": torch.tensor([[7, 8, 9]])}
    assert checkpoint.family.penalty(1, inputs) == {}
    said = checkpoint.family.penalty(2.0, inputs)
    if "logits_processor" not in said:
        assert said == {"repetition_penalty": 2.0}
        return
    (processor,) = said["logits_processor"]
    scores = processor(torch.tensor([[7, 8, 9, 3]]), torch.ones(1, 12))
    assert scores[0].tolist() == [1.0] * 3 + [0.5] + [1.0] * 8
