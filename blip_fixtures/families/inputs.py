"""What a model of the BLIP family reads: token ids and masks for its tokenizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.families.family import InputError, TokenizedPrompts

if TYPE_CHECKING:
    from blip_fixtures.families.blip import Blip


def tokenize(family: Blip, processor: Any, image_token_id: int, texts: list[str], text_limit: int) -> TokenizedPrompts:
    """All tokenizers' ids, padded to the longest prompt: the Q-Former's at its own tokenizer's side.

    A language model that goes on where the prompt ends is padded at the left, and as transformers puts the image tokens
    first, its padding stands between these and the text; the mask leaves it out. Raises `InputError` where a prompt
    holds image tokens of its own.
    """
    inputs = _token_ids(family, processor, image_token_id, texts, text_limit)
    query_tokens = processor.num_query_tokens
    image_tokens = int((inputs["input_ids"] == image_token_id).sum())
    if image_tokens != len(texts) * query_tokens:
        raise InputError(
            f"the prompts hold {image_tokens} image tokens where {len(texts)} x {query_tokens} are needed, so "
            "generate would ignore the image; use the processor that belongs to the checkpoint"
        )
    lengths = processor.tokenizer(texts).input_ids
    read_by_qformer = next((inputs[name] for name in family.bridge.input_names), None)
    return TokenizedPrompts(
        inputs=inputs,
        text_tokens=tuple((inputs["attention_mask"].sum(dim=1) - query_tokens).tolist()),
        qformer_tokens=0 if read_by_qformer is None else int(read_by_qformer.shape[1]),
        truncated=tuple(len(ids) > text_limit for ids in lengths),
    )


def with_queries(model: Any, input_ids: Any, features: Any) -> Any:
    """Embeddings of prompts (batch, positions, width), the query vectors `features` in place of the image tokens."""
    embeddings = model.get_input_embeddings()(input_ids)
    places = (input_ids == model.config.image_token_index)[..., None]
    return embeddings.masked_scatter(places, features.to(embeddings.dtype))


def _token_ids(family: Blip, processor: Any, image_token_id: int, texts: list[str], text_limit: int) -> dict[str, Any]:
    """Token ids and masks under one limit for the Q-Former and the language model.

    The processor itself takes the query tokens off the language model's `max_length` alone, so its tokenizers are
    called here, and the image tokens are put first as it does.
    """
    import torch

    settings = {"padding": "longest", "truncation": True, "max_length": text_limit, "return_tensors": "pt"}
    language = processor.tokenizer(texts, padding_side=family.language.padding_side, **settings)
    image_ids = torch.full((len(texts), processor.num_query_tokens), image_token_id, dtype=language.input_ids.dtype)
    return {
        **family.bridge.read_prompts(processor, texts, settings),
        "input_ids": torch.cat([image_ids, language.input_ids], dim=1),
        "attention_mask": torch.cat([torch.ones_like(image_ids), language.attention_mask], dim=1),
    }
