"""What tests of optimizations share: a model as a run loads and changes it, batches, and a probe."""

from __future__ import annotations

from typing import Any

import torch

from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.inference import BatchMaker, generate, to_device
from blip_fixtures.optimizations import Probe, find_optimization

TOKENS = NewTokens(6)
Batches = list[dict[str, Any]]


def make_batches(checkpoint: Checkpoint, processor: Any) -> Batches:
    """Batches of two whose prompts differ in length."""
    maker = BatchMaker(processor, checkpoint)
    samples = load_samples("textvqa", "sample", 8)
    prompt = find_prompts("paper").of("textvqa")
    made = [
        maker.batch(samples, index, batch_size=2, image_size=224, text_limit=200, prompt=prompt) for index in range(4)
    ]
    assert len({batch.facts.padded_text_tokens for batch in made}) > 1
    return [to_device(batch, "cpu", torch.float32) for batch in made]


def load(checkpoint: Checkpoint, name: str) -> LoadedModel:
    """As a run does."""
    chosen = find_optimization(name)
    loaded = load_model(checkpoint, "cpu", name, chosen.dtype, chosen.attention("cpu", checkpoint.family))
    chosen.apply(loaded)
    return loaded


def probe_of(loaded: LoadedModel, inputs: dict[str, Any]) -> Probe:
    given = {
        name: tensor.to(loaded.pixel_dtype) if name == "pixel_values" else tensor for name, tensor in inputs.items()
    }
    return Probe(
        run=lambda: generate(loaded.runner, given, TOKENS),
        run_eager=lambda: generate(loaded.model, given, TOKENS),
    )
