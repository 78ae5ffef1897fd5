"""Compiled generation with a T5: its encoder, the keys and values of the prompt, and a decoder step, a graph each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache
from transformers.cache_utils import EncoderDecoderCache

from blip_fixtures.families.compiled_blip import Begun, CompiledBlip, Greedy, bytes_of, chosen
from blip_fixtures.families.compiling import any_length
from blip_fixtures.families.languages.t5.regions import keys_and_values, shared_keys_and_values, traced_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.families.bridges.bridge import Bridge


@dataclass
class _Buffers:
    """What a decoder step works on, of one shape for every prompt."""

    cache: Any
    mask: Any
    # The decoder asks for the encoder's states though their keys and values are in the cache; only the shape is read.
    states: Any

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        caches = (self.cache.self_attention_cache, self.cache.cross_attention_cache)
        return sum(bytes_of(cache) for cache in caches) + int(self.mask.nbytes) + int(self.states.nbytes)


class CompiledT5(CompiledBlip):
    """Five graphs: vision encoder, Q-Former with projection, encoder, keys and values of the prompt, decoder step.

    With `layers_once`, as is usual on the CPU, layers that are alike are compiled once (`regions.py`).
    """

    _encode: Callable[..., Any]
    _fill_cross: Callable[..., Any]

    def __init__(self, model: Any, bridge: Bridge, cuda: bool, *, layers_once: bool | None = None) -> None:
        super().__init__(model, bridge, cuda, layers_once=layers_once)
        if self._layers_once:
            for layer, traced in traced_layers(model):
                self._stand_in(layer, traced)

    def _prefill(self, embeddings: Any, input_ids: Any, mask: Any, limit: int, greedy: Greedy) -> Begun:
        """The encoder alone: the first token is a step like the others, from an empty cache of the answer."""
        del input_ids, greedy
        states = self._encode(*any_length(embeddings, mask.clone()))
        buffers = self._buffers_for(states, limit)
        cross = buffers.cache.cross_attention_cache.layers
        self._fill_cross(*any_length(states), [layer.keys for layer in cross], [layer.values for layer in cross])
        buffers.mask.zero_()
        buffers.mask[:, : mask.shape[1]] = mask
        for layer in buffers.cache.self_attention_cache.layers:
            layer.cumulative_length.zero_()
        batch, device = states.shape[0], buffers.mask.device
        start = self._model.language_model.generation_config.decoder_start_token_id
        token = torch.full((batch, 1), start, dtype=torch.long, device=device)
        return Begun([token], token, torch.ones(batch, dtype=torch.bool, device=device), 0, buffers)

    def _buffers_for(self, states: Any, limit: int) -> _Buffers:
        batch = states.shape[0]
        if (batch, limit) not in self._buffers:
            text, room = self._model.language_model.config, self._room()
            caches = []
            for length in (limit, room):
                cache = StaticCache(config=self._model.language_model.decoder.config, max_cache_len=length)
                cache.early_initialization(
                    batch_size=batch,
                    num_heads=text.num_heads,
                    head_dim=text.d_kv,
                    dtype=states.dtype,
                    device=states.device,
                )
                caches.append(cache)
            both = EncoderDecoderCache(*caches)
            both.is_updated = dict.fromkeys(range(len(caches[0].layers)), True)
            self._buffers[batch, limit] = _Buffers(
                cache=both,
                mask=torch.zeros(batch, room, dtype=torch.long, device=states.device),
                states=torch.zeros(batch, room, text.d_model, dtype=states.dtype, device=states.device),
            )
        found = self._buffers[batch, limit]
        assert isinstance(found, _Buffers)
        return found

    def _compile_language(self) -> None:
        self._encode = self._compiled(self._encoder_part)
        self._fill_cross = self._compiled(self._cross_part)

    def _encoder_part(self, embeddings: Any, mask: Any) -> Any:
        encoder = self._model.language_model.encoder
        return encoder(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state

    def _cross_part(self, states: Any, keys: list[Any], values: list[Any]) -> None:
        """The keys and values of the prompt, into the static buffers (batch, heads, room, head size)."""
        length = states.shape[1]
        project = shared_keys_and_values if self._layers_once else keys_and_values
        blocks = self._model.language_model.decoder.block
        for block, layer_keys, layer_values in zip(blocks, keys, values, strict=True):
            of_prompt = project(block.layer[1].EncDecAttention, states)
            layer_keys[:, :, :length].copy_(of_prompt[0])
            layer_values[:, :, :length].copy_(of_prompt[1])

    def _step_part(
        self, token: Any, buffers: _Buffers, ends_too_early: Any, unfinished: Any, ends: Any, padding: Any
    ) -> tuple[Any, Any]:
        language = self._model.language_model
        hidden = language.decoder(
            input_ids=token,
            encoder_hidden_states=buffers.states,
            encoder_attention_mask=buffers.mask,
            past_key_values=buffers.cache,
            use_cache=True,
        ).last_hidden_state
        if getattr(language.config, "scale_decoder_outputs", language.config.tie_word_embeddings):
            hidden = hidden * language.model_dim**-0.5
        scores = language.lm_head(hidden)[:, -1]
        return chosen(scores, ends_too_early, unfinished, ends, padding)
