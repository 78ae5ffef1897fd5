"""What an InstructBLIP with a T5 reads: token ids and masks for its two tokenizers."""

from __future__ import annotations

from typing import Any

from blip_fixtures.families.family import InputError, TokenizedPrompts

NAMES = ("pixel_values", "qformer_input_ids", "qformer_attention_mask", "input_ids", "attention_mask")


def tokenize(processor: Any, image_token_id: int, texts: list[str], text_limit: int) -> TokenizedPrompts:
    """Both tokenizers' ids, padded to the longest prompt at the side that each tokenizer pads: the right one.

    Raises `InputError` where a prompt holds image tokens of its own.
    """
    inputs = _token_ids(processor, image_token_id, texts, text_limit)
    query_tokens = processor.num_query_tokens
    image_tokens = int((inputs["input_ids"] == image_token_id).sum())
    if image_tokens != len(texts) * query_tokens:
        raise InputError(
            f"the prompts hold {image_tokens} image tokens where {len(texts)} x {query_tokens} are needed, so "
            "generate would ignore the image; use the processor that belongs to the checkpoint"
        )
    lengths = processor.tokenizer(texts).input_ids
    return TokenizedPrompts(
        inputs=inputs,
        text_tokens=tuple((inputs["attention_mask"].sum(dim=1) - query_tokens).tolist()),
        qformer_tokens=int(inputs["qformer_input_ids"].shape[1]),
        truncated=tuple(len(ids) > text_limit for ids in lengths),
    )


def _token_ids(processor: Any, image_token_id: int, texts: list[str], text_limit: int) -> dict[str, Any]:
    """Token ids and masks under one limit for the Q-Former and the language model.

    The processor itself takes the query tokens off the language model's `max_length` alone, so its two tokenizers are
    called here, and the image tokens are put first as it does.
    """
    import torch

    settings = {"padding": "longest", "truncation": True, "max_length": text_limit, "return_tensors": "pt"}
    qformer = processor.qformer_tokenizer(texts, **settings)
    language = processor.tokenizer(texts, **settings)
    image_ids = torch.full((len(texts), processor.num_query_tokens), image_token_id, dtype=language.input_ids.dtype)
    return {
        "qformer_input_ids": qformer.input_ids,
        "qformer_attention_mask": qformer.attention_mask,
        "input_ids": torch.cat([image_ids, language.input_ids], dim=1),
        "attention_mask": torch.cat([torch.ones_like(image_ids), language.attention_mask], dim=1),
    }
