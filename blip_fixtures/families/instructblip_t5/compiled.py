"""Compiled generation: every part of the model is a compiled graph, decoding one graph over a static cache.

For the same inputs it takes the tokens that `generate` takes. Lengths of prompts are dynamic in the graphs; the keys
and values of the prompt lie in buffers as long as the longest prompt, so that a decoder step has one shape for all
prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache
from transformers.cache_utils import EncoderDecoderCache

from blip_fixtures.families.compiling import CompiledRunner, any_length
from blip_fixtures.families.instructblip_t5.regions import keys_and_values, shared_keys_and_values, traced_layers
from blip_fixtures.families.runner import Part

if TYPE_CHECKING:
    from collections.abc import Callable

# Buffers end at a multiple of it, as vector instructions and tensor cores like.
_MULTIPLE = 8
# The loops of a step are so short that threads wait for each other longer than they work: these many numbers for each.
_STEP_ON_CPU = {"cpp.min_chunk_size": 32768}


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
        layers = [layer for cache in caches for layer in cache.layers]
        tensors = [tensor for layer in layers for tensor in (layer.keys, layer.values, layer.cumulative_length)]
        return sum(int(tensor.nbytes) for tensor in (*tensors, self.mask, self.states))


class CompiledInstructBlipT5(CompiledRunner):
    """Five graphs: vision encoder, Q-Former with projection, encoder, keys and values of the prompt, decoder step.

    With `layers_once`, as is usual on the CPU, layers that are alike are compiled once (`regions.py`).
    """

    _vision: Callable[..., Any]
    _qformer: Callable[..., Any]
    _encode: Callable[..., Any]
    _fill_cross: Callable[..., Any]
    _step: Callable[..., Any]

    def __init__(self, model: Any, cuda: bool, end_tokens: tuple[int, ...], *, layers_once: bool | None = None) -> None:
        super().__init__(model, cuda)
        self._end_tokens = end_tokens
        # On CUDA regions are untried.
        self._layers_once = not cuda if layers_once is None else layers_once
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        if not cuda:
            self.step_options |= _STEP_ON_CPU
        if self._layers_once:
            for layer, traced in traced_layers(model):
                self._stand_in(layer, traced)

    @torch.no_grad()
    def generate(
        self,
        *,
        pixel_values: Any,
        qformer_input_ids: Any,
        qformer_attention_mask: Any,
        input_ids: Any,
        attention_mask: Any,
        interpolate_pos_encoding: bool,
        max_new_tokens: int,
        min_new_tokens: int | None,
        do_sample: bool,
        num_beams: int,
        length_penalty: float = 1.0,
        repetition_penalty: float = 1.0,
    ) -> Any:
        """Token ids (batch, 1 + tokens). Raises `ValueError` where anything but greedy decoding is asked for."""
        if do_sample or num_beams != 1 or length_penalty != 1:
            raise ValueError("compiled generation is greedy; choose another optimization for sampling or beams")
        if repetition_penalty != 1:
            raise ValueError("compiled generation has no repetition penalty; choose another optimization for one")
        image = self._vision(pixel_values, interpolate_pos_encoding)
        self._note(Part.VISION)
        features = self._qformer(image, *any_length(qformer_input_ids, qformer_attention_mask))
        self._note(Part.QFORMER)
        states, buffers = self._prefill(features, input_ids, attention_mask, max_new_tokens)
        return self._decode(buffers, states.shape[0], max_new_tokens, min_new_tokens or 0)

    def _prefill(self, features: Any, input_ids: Any, attention_mask: Any, limit: int) -> tuple[Any, _Buffers]:
        """The encoder's states, and buffers with their keys and values and an empty cache of the answer."""
        embeddings = self._model.get_input_embeddings()(input_ids)
        places = (input_ids == self.config.image_token_index)[..., None]
        embeddings = embeddings.masked_scatter(places, features.to(embeddings.dtype))
        states = self._encode(*any_length(embeddings, attention_mask.clone()))
        buffers = self._buffers_for(states, limit)
        cross = buffers.cache.cross_attention_cache.layers
        self._fill_cross(*any_length(states), [layer.keys for layer in cross], [layer.values for layer in cross])
        buffers.mask.zero_()
        buffers.mask[:, : attention_mask.shape[1]] = attention_mask
        for layer in buffers.cache.self_attention_cache.layers:
            layer.cumulative_length.zero_()
        return states, buffers

    def _decode(self, buffers: _Buffers, batch: int, limit: int, least: int) -> Any:
        settings = self._model.language_model.generation_config
        device = buffers.mask.device
        ends = torch.tensor(self._end_tokens, device=device)
        padding = torch.tensor(settings.pad_token_id, device=device)
        token = torch.full((batch, 1), settings.decoder_start_token_id, dtype=torch.long, device=device)
        unfinished = torch.ones(batch, dtype=torch.bool, device=device)
        too_early, not_too_early = torch.tensor(True, device=device), torch.tensor(False, device=device)
        tokens = [token]
        for step in range(limit):
            if self._cuda:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch is typed in part
            ends_too_early = too_early if step < least else not_too_early
            token, unfinished = self._step(token, buffers, ends_too_early, unfinished, ends, padding)
            if self._cuda:
                # A CUDA graph writes every step's results to the same place.
                token, unfinished = token.clone(), unfinished.clone()
            self._note(Part.STEP)
            tokens.append(token)
            if least < step + 1 < limit and not unfinished.any():
                break
        return torch.cat(tokens, dim=1)

    def _buffers_for(self, states: Any, limit: int) -> _Buffers:
        batch = states.shape[0]
        if (batch, limit) not in self._buffers:
            text = self._model.language_model.config
            # Longer than any prompt, so that a part of it is what each prompt fills.
            room = self._text_limit + self.config.num_query_tokens + 1
            room = -(-room // _MULTIPLE) * _MULTIPLE
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
        return self._buffers[batch, limit]

    def _compile_parts(self) -> None:
        self._vision = self._compiled(self._vision_part)
        self._qformer = self._compiled(self._qformer_part)
        self._encode = self._compiled(self._encoder_part)
        self._fill_cross = self._compiled(self._cross_part)
        self._step = self._compiled(self._step_part, cuda_graphs=self._cuda, options=self.step_options)

    def _forget(self) -> None:
        self._buffers.clear()

    @property
    def held_bytes(self) -> int:
        """Those of every batch size and limit that was asked for."""
        return sum(buffers.nbytes for buffers in self._buffers.values())

    def _vision_part(self, pixels: Any, interpolate: bool) -> Any:
        return self._model.vision_model(pixels, interpolate_pos_encoding=interpolate).last_hidden_state

    def _qformer_part(self, image: Any, ids: Any, mask: Any) -> Any:
        queries = self._model.query_tokens.expand(image.shape[0], -1, -1)
        mask = torch.cat([mask.new_ones(queries.shape[:-1]), mask], dim=1)
        output = self._model.qformer(
            input_ids=ids,
            attention_mask=mask,
            query_embeds=queries,
            encoder_hidden_states=image,
            encoder_attention_mask=mask.new_ones(image.shape[:-1]),
        )
        return self._model.language_projection(output.last_hidden_state[:, : queries.shape[1]])

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
        """The next token of each row (batch, 1), padding behind its end, and which rows go on."""
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
        scores = language.lm_head(hidden)[:, -1].float()
        is_end = _one_of(torch.arange(scores.shape[-1], device=scores.device), ends)
        scores = torch.where(is_end & ends_too_early, float("-inf"), scores)
        chosen = torch.where(unfinished, scores.argmax(dim=-1), padding)
        return chosen[:, None], unfinished & ~_one_of(chosen, ends)


def _one_of(tokens: Any, ends: Any) -> Any:
    """Which of `tokens` (count,) are among `ends`."""
    return (tokens[:, None] == ends).any(dim=1)
