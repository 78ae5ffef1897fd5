"""The walk over the phases of an InstructBLIP with a T5, on the meta device.

Masks change no shape and no count, so none are passed: building one would read values, which meta tensors lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.families.family import Step, Walk
from blip_fixtures.words import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator


class InstructBlipT5Walk(Walk):
    """`dtype` is that of the tensors that are handed from one part to the next."""

    def __init__(self, model: Any, dtype: Any) -> None:
        self._model = model
        self._dtype = dtype

    def vision(self, batch_size: int, image_size: int) -> Step:
        """Positions are interpolated only where the images are not of the model's own size."""
        pixels = self._empty(batch_size, 3, image_size, image_size)
        interpolate = image_size != self._model.config.vision_config.image_size
        return Step(Phase.VISION, lambda: self._model.vision_model(pixels, interpolate_pos_encoding=interpolate))

    def qformer(self, batch_size: int, image_size: int, text_tokens: int) -> Step:
        """The image's features live on until the Q-Former has read them."""
        config = self._model.config
        patches = (image_size // config.vision_config.patch_size) ** 2 + 1
        features = self._empty(batch_size, patches, config.vision_config.hidden_size)
        queries = self._model.query_tokens.to(self._dtype).expand(batch_size, -1, -1)
        ids = torch.zeros(batch_size, text_tokens, dtype=torch.long, device="meta")

        def run() -> None:
            output = self._model.qformer(input_ids=ids, query_embeds=queries, encoder_hidden_states=features)
            self._model.language_projection(output.last_hidden_state[:, : config.num_query_tokens])

        return Step(Phase.QFORMER, run, held_bytes=features.nbytes)

    def language(self, batch_size: int, text_tokens: int, beams: int = 1) -> Iterator[Step]:
        """The encoder reads a prompt once, whatever the number of beams; the decoder works on each beam of its own."""
        language = self._model.language_model
        positions = self._model.config.num_query_tokens + text_tokens
        embeddings = self._empty(batch_size, positions, self._model.config.text_config.hidden_size)
        token = torch.zeros(batch_size * beams, 1, dtype=torch.long, device="meta")
        state: dict[str, Any] = {}

        def step() -> None:
            state["past_key_values"] = language(decoder_input_ids=token, use_cache=True, **state).past_key_values

        def prefill() -> None:
            encoded = language.get_encoder()(inputs_embeds=embeddings).last_hidden_state
            state["encoder_outputs"] = (encoded if beams == 1 else encoded.repeat_interleave(beams, dim=0),)
            step()

        yield Step(Phase.PREFILL, prefill)
        while True:
            yield Step(Phase.DECODE, step)

    def _empty(self, *shape: int) -> Any:
        return torch.empty(*shape, dtype=self._dtype, device="meta")
