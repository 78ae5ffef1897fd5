"""Layers that are alike, compiled once for all of them: regional compilation (`torch.compiler.nested_compile_region`).

A graph of 39 layers takes the compiler 39 times as long as one layer, for the same code. What a region reads decides
for which layers its code is used again: so it is given tensors and a module, and never reads a layer's number.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def traced_layers(model: Any) -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Each repeated layer of the model, and what stands for its `forward` in a graph."""
    for layer in (*model.vision_model.encoder.layers, *model.qformer.encoder.layer):
        yield layer, partial(_whole, layer)
    language = model.language_model
    for block in language.encoder.block:
        yield block, partial(_t5_block, block, None)
    for number, block in enumerate(language.decoder.block):
        yield block, partial(_t5_block, block, number)


def keys_and_values(attention: Any, states: Any) -> tuple[Any, Any]:
    """Of the prompt in one decoder layer: two tensors (batch, heads, tokens, size of a head)."""
    shape = (*states.shape[:-1], -1, attention.key_value_proj_dim)
    return attention.k(states).view(shape).transpose(1, 2), attention.v(states).view(shape).transpose(1, 2)


shared_keys_and_values = torch.compiler.nested_compile_region(keys_and_values)


@torch.compiler.nested_compile_region
def _whole(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return type(layer).forward(layer, *args, **kwargs)


@torch.compiler.nested_compile_region
def _hidden(block: Any, buffers: tuple[Any, ...], *args: Any, **kwargs: Any) -> Any:
    """Of what a T5 block returns only the states: no region may return what it was given."""
    cache = _LayerCache(buffers) if buffers else None
    return type(block).forward(block, *args, past_key_values=cache, **kwargs)[0]


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
    """What a block of T5 returns: the states and the biases of positions, which the first block makes for all."""
    attention, tokens = block.layer[0].SelfAttention, hidden_states.shape[1]
    buffers: tuple[Any, ...] = ()
    length, before = tokens, 0
    if number is not None:
        own = past_key_values.self_attention_cache.layers[number]
        prompt = past_key_values.cross_attention_cache.layers[number]
        buffers = (own.keys, own.values, own.cumulative_length, prompt.keys, prompt.values)
        # The block counts this token before it is done; its place is that of the count until then.
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


class _LayerCache:
    """What a decoder block asks of a cache: for the answer's keys and values first, then for the prompt's.

    It takes no notice of the block's number: a region that reads it is compiled for each block. So it is no
    `EncoderDecoderCache`, whose layers are found by number; the prompt's keys and values, which a block without one
    computes again, are thrown away here, and so by the compiler before they are computed.
    """

    def __init__(self, buffers: tuple[Any, ...]) -> None:
        self._keys, self._values, self._length, *self._prompt = buffers
        self._answer_is_next = True

    def get_seq_length(self, _number: int) -> Any:
        """Tokens of the answer so far."""
        return self._length

    def update(self, keys: Any, values: Any, _number: int) -> tuple[Any, ...]:
        """All keys and values, in static buffers (batch, heads, room, size)."""
        if not self._answer_is_next:
            return tuple(self._prompt)
        self._answer_is_next = False
        places = torch.arange(keys.shape[-2], device=keys.device) + self._length
        self._length.add_(keys.shape[-2])
        self._keys.index_copy_(2, places, keys)
        self._values.index_copy_(2, places, values)
        return self._keys, self._values
