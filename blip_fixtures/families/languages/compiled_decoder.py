"""Compiled generation with a decoder-only language model: the prefill and a decoder step, a graph each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache

from blip_fixtures.families.compiled_blip import Begun, CompiledBlip, Greedy, bytes_of, chosen
from blip_fixtures.families.compiling import any_length, compiled_once
from blip_fixtures.families.runner import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.families.bridges.bridge import Bridge


@dataclass
class _Buffers:
    """What a decoder step works on, of one shape for every prompt: `mask` (batch, room) says what may be read."""

    cache: Any
    mask: Any

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return bytes_of(self.cache) + int(self.mask.nbytes)


class CompiledDecoder(CompiledBlip):
    """Four graphs: vision encoder, Q-Former with projection, prefill, decoder step.

    The prefill chooses the first token. With `layers_once` the layers of the vision encoder and of the Q-Former are
    compiled once for all of them; those of the language model are not, since each writes to buffers of its own.
    """

    _read: Callable[..., Any]

    def __init__(self, model: Any, bridge: Bridge, cuda: bool, *, layers_once: bool | None = None) -> None:
        super().__init__(model, bridge, cuda, layers_once=layers_once)
        if self._layers_once:
            for layer in (*model.vision_model.encoder.layers, *model.qformer.encoder.layer):
                self._stand_in(layer, partial(compiled_once, layer))

    def _prefill(self, embeddings: Any, input_ids: Any, mask: Any, limit: int, greedy: Greedy) -> Begun:
        """One pass over query vectors and prompt, which comes back in front of the answer."""
        batch, length = mask.shape
        buffers = self._buffers_for(embeddings, limit)
        buffers.mask[:, :length] = mask.bool()
        # Of what comes after the prompt the causal mask hides what is not there yet.
        buffers.mask[:, length:] = True
        for layer in buffers.cache.layers:
            layer.cumulative_length.zero_()
        unfinished = torch.ones(batch, dtype=torch.bool, device=mask.device)
        # transformers numbers what the mask leaves out like the first position; nobody reads it.
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        token, unfinished = self._read(
            *any_length(embeddings, positions),
            buffers,
            greedy.ends_too_early(0),
            unfinished,
            greedy.ends,
            greedy.padding,
        )
        self._note(Part.STEP)
        return Begun([input_ids, token], token, unfinished, 1, buffers)

    def _buffers_for(self, embeddings: Any, limit: int) -> _Buffers:
        batch, device = embeddings.shape[0], embeddings.device
        if (batch, limit) not in self._buffers:
            text, room = self._model.language_model.config, self._room() + limit
            heads = text.num_attention_heads
            cache = StaticCache(config=text, max_cache_len=room)
            cache.early_initialization(
                batch_size=batch,
                num_heads=getattr(text, "num_key_value_heads", None) or heads,
                head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
                dtype=embeddings.dtype,
                device=device,
            )
            mask = torch.zeros(batch, room, dtype=torch.bool, device=device)
            self._buffers[batch, limit] = _Buffers(cache, mask)
        found = self._buffers[batch, limit]
        assert isinstance(found, _Buffers)
        return found

    def _compile_language(self) -> None:
        self._read = self._compiled(self._read_part)

    def _read_part(self, embeddings: Any, positions: Any, buffers: _Buffers, *choice: Any) -> tuple[Any, Any]:
        slots = torch.arange(buffers.mask.shape[1], device=buffers.mask.device)
        before = slots <= slots[: embeddings.shape[1], None]
        return self._scored(buffers, before, choice, inputs_embeds=embeddings, position_ids=positions)

    def _step_part(
        self, token: Any, buffers: _Buffers, ends_too_early: Any, unfinished: Any, ends: Any, padding: Any
    ) -> tuple[Any, Any]:
        # Each layer counts this token while it runs; its place is the count before.
        place = buffers.cache.layers[0].cumulative_length.clone()
        before = (torch.arange(buffers.mask.shape[1], device=buffers.mask.device) <= place)[None]
        positions = (buffers.mask & before).sum(dim=1, keepdim=True) - 1
        choice = (ends_too_early, unfinished, ends, padding)
        return self._scored(buffers, before, choice, input_ids=token, position_ids=positions)

    def _scored(self, buffers: _Buffers, before: Any, choice: tuple[Any, ...], **inputs: Any) -> tuple[Any, Any]:
        """The next token; `before` (positions, room) are the places that each position may read."""
        language = self._model.language_model
        dtype = language.get_input_embeddings().weight.dtype
        readable = (buffers.mask[:, None] & before)[:, None]
        mask = torch.zeros(readable.shape, dtype=dtype, device=readable.device)
        mask = mask.masked_fill(~readable, torch.finfo(dtype).min)
        scores = language(
            **inputs, attention_mask=mask, past_key_values=buffers.cache, use_cache=True, logits_to_keep=1
        ).logits
        return chosen(scores[:, -1], *choice)
