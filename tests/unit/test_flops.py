"""FLOPs on the meta device against the same counter around real generation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ptflops import get_model_complexity_info
from torch.utils.flop_counter import FlopCounterMode

from blip_fixtures.checkpoints.resolve import Checkpoint, find_architecture
from blip_fixtures.engine.flops import BatchShape, FlopCount, FlopCounter, mean_count


@pytest.fixture(scope="module")
def counter(checkpoint: Checkpoint) -> FlopCounter:
    return FlopCounter(checkpoint)


@pytest.fixture(scope="module")
def eager_model(checkpoint: Checkpoint) -> Any:
    from transformers import InstructBlipForConditionalGeneration

    return InstructBlipForConditionalGeneration.from_pretrained(
        checkpoint.folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.mark.parametrize(
    "shape",
    [
        BatchShape(batch_size=1, image_size=224, qformer_tokens=5, text_tokens=7, steps=1),
        BatchShape(batch_size=2, image_size=224, qformer_tokens=9, text_tokens=4, steps=6),
        BatchShape(batch_size=3, image_size=336, qformer_tokens=12, text_tokens=12, steps=17),
        BatchShape(batch_size=2, image_size=224, qformer_tokens=9, text_tokens=4, steps=6, beams=3),
    ],
)
def test_count_equals_that_of_real_generation(counter: FlopCounter, eager_model: Any, shape: BatchShape) -> None:
    config = eager_model.config
    image_ids = torch.full((shape.batch_size, config.num_query_tokens), config.image_token_index)
    text_ids = torch.full((shape.batch_size, shape.text_tokens), 10)
    with FlopCounterMode(display=False) as real:
        eager_model.generate(
            pixel_values=torch.zeros(shape.batch_size, 3, shape.image_size, shape.image_size),
            qformer_input_ids=torch.full((shape.batch_size, shape.qformer_tokens), 10),
            input_ids=torch.cat([image_ids, text_ids], dim=1),
            interpolate_pos_encoding=True,
            max_new_tokens=shape.steps,
            min_new_tokens=shape.steps,
            do_sample=False,
            num_beams=shape.beams,
        )
    assert counter.count(shape).total == real.get_total_flops()


def test_ptflops_agrees_on_the_forward_pass(counter: FlopCounter, eager_model: Any) -> None:
    """The second opinion: it counts multiply-accumulates, elementwise work among them, hence half a percent."""
    shape = BatchShape(batch_size=2, image_size=224, qformer_tokens=9, text_tokens=9, steps=1)
    config = eager_model.config
    image_ids = torch.full((shape.batch_size, config.num_query_tokens), config.image_token_index)
    text_ids = torch.full((shape.batch_size, shape.text_tokens), 10)
    inputs = {
        "pixel_values": torch.zeros(shape.batch_size, 3, shape.image_size, shape.image_size),
        "qformer_input_ids": text_ids,
        "input_ids": torch.cat([image_ids, text_ids], dim=1),
        "decoder_input_ids": torch.zeros(shape.batch_size, 1, dtype=torch.long),
    }
    macs, _ = get_model_complexity_info(
        eager_model,
        (1,),
        input_constructor=lambda _: inputs,
        backend="aten",
        as_strings=False,
        print_per_layer_stat=False,
        verbose=False,
    )
    assert 2 * macs == pytest.approx(counter.count(shape).total, rel=5e-3)


def test_the_full_size_architecture_counts_the_known_figure() -> None:
    """801.7 G: flan-t5-xl at batch 1, 224 pixels, 13 text tokens, 50 generated tokens."""
    checkpoint = find_architecture("Salesforce/instructblip-flan-t5-xl", "random")
    count = FlopCounter(checkpoint).count(BatchShape(1, 224, 13, 13, 50))
    assert count.total == pytest.approx(801.7e9, rel=1e-3)
    assert count.vision + count.qformer == pytest.approx(535.8e9, rel=1e-3)
    # The language encoder counts 104.6 G, the decoder 161.3 G.
    assert count.prefill + count.decode == pytest.approx((104.6 + 161.3) * 1e9, rel=1e-3)


def test_no_steps_cost_no_decoding(counter: FlopCounter) -> None:
    assert counter.count(BatchShape(1, 224, 5, 5, 1)).decode == 0


def test_mean() -> None:
    assert mean_count([FlopCount(1, 2, 3, 4), FlopCount(3, 4, 5, 0)]) == FlopCount(2, 3, 4, 2)


def test_lengths_that_were_not_counted_follow_from_those_that_were(checkpoint: Checkpoint) -> None:
    counter = FlopCounter(checkpoint)
    size = checkpoint.config["vision_config"]["image_size"]
    for tokens, beams in ((1, 1), (17, 1), (200, 1), (31, 3)):
        found = counter.count(BatchShape(2, size, tokens, tokens, steps=3, beams=beams))
        first, second, slope = counter._count_language(2, tokens, beams)
        assert (found.prefill, found.decode) == (first, 2 * second + slope)
        assert found.qformer == counter._count_qformer(2, size, tokens)
