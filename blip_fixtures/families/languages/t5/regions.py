"""Layers that are alike, compiled once for all of them: regional compilation (`torch.compiler.nested_compile_region`).

Otherwise the compiler works through each of 39 layers, for the same code (`python -m tools.compile_cost`). What a
region reads decides for which layers its code is used again: so it is given tensors and a module, and never reads a
layer's number.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.families.compiling import compiled_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def traced_layers(model: Any) -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Each repeated layer of the model, and what stands for its `forward` in a graph."""
    for layer in (*model.vision_model.encoder.layers, *model.qformer.encoder.layer):
        yield layer, partial(compiled_once, layer)
    language = model.language_model
    for block in language.encoder.block:
        yield block, partial(_t5_block, block, None)
    for number, block in enumerate(language.decoder.block):
        own, prompt = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        yield block, partial(_t5_block, block, number)
        yield own, partial(_attend_to_answer, own)
        yield prompt, partial(_attend_to_prompt, prompt)


def keys_and_values(attention: Any, states: Any) -> tuple[Any, Any]:
    """Of the prompt in one decoder layer: two tensors (batch, heads, tokens, size of a head)."""
    shape = (*states.shape[:-1], -1, attention.key_value_proj_dim)
    return attention.k(states).view(shape).transpose(1, 2), attention.v(states).view(shape).transpose(1, 2)


shared_keys_and_values = torch.compiler.nested_compile_region(keys_and_values)


@torch.compiler.nested_compile_region
def _hidden(block: Any, buffers: tuple[Any, ...], *args: Any, **kwargs: Any) -> Any:
    """Of what a T5 block returns only the states: no region may return what it was given."""
    return type(block).forward(block, *args, past_key_values=buffers, **kwargs)[0]


def _t5_block(
    block: Any,
    number: int | None,
    hidden_states: Any,
    attention_mask: Any,
    position_bias: Any,
    encoder_hidden_states: Any,
    encoder_attention_mask: Any,
    encoder_decoder_position_bias: Any,
    *,
    past_key_values: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any, Any]:
    """What a block of T5 returns: the states and the biases of positions, which the first block makes for all.

    `number` is that of a decoder block, whose buffers are the layer of this number in both caches.
    """
    attention, tokens = block.layer[0].SelfAttention, hidden_states.shape[1]
    buffers: tuple[Any, ...] | None = None
    length, before = tokens, 0
    if number is not None:
        own = past_key_values.self_attention_cache.layers[number]
        prompt = past_key_values.cross_attention_cache.layers[number]
        buffers = (own.keys, own.values, own.cumulative_length, prompt.keys, prompt.values)
        # The block counts this token while it runs; its place is the count before.
        length, before = own.keys.shape[2], own.cumulative_length.clone()
        if encoder_decoder_position_bias is None:
            encoder_decoder_position_bias = hidden_states.new_zeros(1, attention.n_heads, tokens, prompt.keys.shape[2])
    if position_bias is None:
        position_bias = attention.compute_bias(tokens, length, device=hidden_states.device, past_seen_tokens=before)
    hidden = _hidden(
        block,
        buffers,
        hidden_states,
        attention_mask,
        position_bias,
        encoder_hidden_states,
        encoder_attention_mask,
        encoder_decoder_position_bias,
        **kwargs,
    )
    return hidden, position_bias, encoder_decoder_position_bias


def _attend_to_answer(attention: Any, hidden_states: Any, **given: Any) -> tuple[Any, Any, None]:
    """As `T5Attention.forward` for the token that comes next, which joins the keys and values of the answer."""
    keys, values, length, *_ = given["past_key_values"]
    place = length.reshape(1)
    of_token = keys_and_values(attention, hidden_states)
    keys.index_copy_(2, place, of_token[0])
    values.index_copy_(2, place, of_token[1])
    length.add_(1)
    return _attended(attention, hidden_states, keys, values, given), given["position_bias"], None


def _attend_to_prompt(attention: Any, hidden_states: Any, **given: Any) -> tuple[Any, Any, None]:
    """As `T5Attention.forward` for the keys and values of the prompt, which are there."""
    *_, keys, values = given["past_key_values"]
    return _attended(attention, hidden_states, keys, values, given), given["position_bias"], None


def _attended(attention: Any, hidden_states: Any, keys: Any, values: Any, given: dict[str, Any]) -> Any:
    """What one token of each row (batch, 1, states) takes from `keys` and `values` (batch, heads, room, size).

    Spelt out for the compiler, which makes one loop of it: the operator for whole prompts costs such a step more than
    its reading. Sums are of fp32.
    """
    query = attention.q(hidden_states).view(*keys.shape[:2], 1, -1)
    bias, mask = given["position_bias"].float(), given["mask"]
    if mask is not None:
        bias = bias.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else bias + mask
    scores = (query.float() * keys.float()).sum(dim=-1) * attention.scaling + bias[:, :, 0]
    weights = scores.softmax(dim=-1)
    taken = (weights[..., None] * values.float()).sum(dim=2)
    return attention.o(taken.to(hidden_states.dtype).reshape(hidden_states.shape[0], 1, -1))
