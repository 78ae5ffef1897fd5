"""Synthetic weights: the same everywhere, of the right dtypes, and sane where half precision overflows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.checkpoints.catalog import catalog_config
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.checkpoints.synthetic import build_random

NEW_TOKENS = 12


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """Flan-T5-XL's architecture with its depth, and a sixteenth of its width."""
    config = catalog_config("Salesforce/instructblip-flan-t5-xl")
    assert config is not None
    config["vision_config"] |= {"hidden_size": 88, "intermediate_size": 384, "num_attention_heads": 4}
    config["qformer_config"] |= {
        "hidden_size": 48,
        "intermediate_size": 192,
        "num_attention_heads": 4,
        "encoder_hidden_size": 88,
    }
    config["text_config"] |= {"d_model": 128, "d_ff": 320, "num_heads": 4, "d_kv": 32}
    return config


def inputs(model: Any, seed: int, *, images: int | None = None, texts: int | None = None) -> dict[str, torch.Tensor]:
    """Two samples; with `images` or `texts` as 1 both have the same picture or the same words."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(2, 3, 224, 224, generator=generator)
    words = torch.randint(5, 30000, (2, 13), generator=generator)
    if images == 1:
        pixels = pixels[:1].repeat(2, 1, 1, 1)
    if texts == 1:
        words = words[:1].repeat(2, 1)
    ids = torch.cat([torch.full((2, model.config.num_query_tokens), model.config.image_token_index), words], dim=1)
    dtype = model.vision_model.embeddings.patch_embedding.weight.dtype
    return {"pixel_values": pixels.to(dtype), "qformer_input_ids": words, "input_ids": ids}


def answers(model: Any, given: dict[str, torch.Tensor]) -> tuple[list[list[int]], torch.Tensor]:
    """Token ids of both samples, and all logits (steps, 2, vocabulary)."""
    result = model.generate(
        **given,
        attention_mask=torch.ones_like(given["input_ids"]),
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return result.sequences[:, 1:].tolist(), torch.stack(result.logits)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_logits_are_finite_and_say_something(config: dict[str, Any], dtype: str) -> None:
    model = build_random(config, "cpu", dtype)
    tokens, logits = answers(model, inputs(model, 1))
    assert torch.isfinite(logits).all()
    assert logits.float().std() > 0.1
    assert all(len(row) == NEW_TOKENS for row in tokens)
    assert all(len(set(row)) > NEW_TOKENS / 2 for row in tokens)


def test_the_picture_and_the_words_both_matter(config: dict[str, Any]) -> None:
    model = build_random(config, "cpu", "float32")
    for same in ({"images": 1}, {"texts": 1}):
        (first, second), _ = answers(model, inputs(model, 1, **same))
        assert first != second


def test_a_seed_gives_the_same_weights_and_another_one_others(config: dict[str, Any]) -> None:
    one, again, other = (build_random(config, "cpu", "bfloat16", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    drawn = [name for name in one if one[name].is_floating_point() and one[name].float().std() > 0]
    assert len(drawn) > len(one) / 3
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


def test_no_two_tensors_and_no_two_rows_are_alike(config: dict[str, Any]) -> None:
    model = build_random(config, "cpu", "float32")
    layers = model.language_model.encoder.block
    first, second = (layers[number].layer[0].SelfAttention.q.weight for number in (0, 1))
    assert not torch.equal(first, second)
    assert len(torch.unique(first, dim=0)) == len(first)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes_are_those_of_the_architecture(config: dict[str, Any], dtype: str) -> None:
    meta, made = build_on_meta(config, dtype), build_random(config, "cpu", dtype)
    assert {name: tensor.dtype for name, tensor in meta.named_parameters()} == {
        name: tensor.dtype for name, tensor in made.named_parameters()
    }
    assert not any(tensor.is_meta for tensor in [*made.parameters(), *made.buffers()])
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_shared_tensors_stay_shared(checkpoint: Checkpoint, config: dict[str, Any]) -> None:
    tied = build_random(checkpoint.config, "cpu", "float32").language_model
    assert tied.lm_head.weight is tied.shared.weight is tied.encoder.embed_tokens.weight
    untied = build_random(config, "cpu", "float32").language_model
    assert untied.decoder.embed_tokens.weight is untied.shared.weight
    assert untied.lm_head.weight is not untied.shared.weight


def test_positions_of_the_qformer_count_up(config: dict[str, Any]) -> None:
    positions = build_random(config, "cpu", "float32").qformer.embeddings.position_ids
    assert positions.tolist() == [list(range(512))]


def test_a_buffer_without_a_rule_is_refused(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_buffer(*args: Any, **kwargs: Any) -> Any:
        model = build_on_meta(*args, **kwargs)
        model.vision_model.register_buffer("scale", torch.ones(1, device="meta"))
        return model

    monkeypatch.setattr("blip_fixtures.checkpoints.synthetic.build_on_meta", with_a_buffer)
    with pytest.raises(NotImplementedError, match=r"no rule fills the buffer vision_model\.scale"):
        build_random(config, "cpu", "float32")
