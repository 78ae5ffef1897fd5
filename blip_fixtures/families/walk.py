"""The walk over the phases of a model of the BLIP family, on the meta device.

Masks change no shape and no count, so none are passed: building one would read values, which meta tensors lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.families.family import Step, Walk
from blip_fixtures.families.ranking import Options
from blip_fixtures.words import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blip_fixtures.families.bridges.bridge import Bridge
    from blip_fixtures.families.languages.language import Language


class BlipWalk(Walk):
    """`dtype` is that of the tensors that are handed from one part to the next."""

    def __init__(self, bridge: Bridge, language: Language, model: Any, dtype: Any) -> None:
        self._bridge = bridge
        self._language = language
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
        text = self._bridge.empty_prompts(batch_size, text_tokens, "meta")
        return Step(
            Phase.QFORMER, lambda: self._bridge.queries(self._model, features, *text), held_bytes=features.nbytes
        )

    def language(self, batch_size: int, text_tokens: int, beams: int = 1) -> Iterator[Step]:
        """The language model's, on embeddings of the query vectors and the prompt."""
        positions = self._model.config.num_query_tokens + text_tokens
        embeddings = self._empty(batch_size, positions, self._model.config.text_config.hidden_size)
        return self._language.walk(self._model.language_model, embeddings, beams)

    def ranking(self, batch_size: int, text_tokens: int, options: int, option_tokens: int) -> Iterator[Step]:
        """The language model's, on the same embeddings; which sample an option belongs to changes no count."""
        positions = self._model.config.num_query_tokens + text_tokens
        embeddings = self._empty(batch_size, positions, self._model.config.text_config.hidden_size)
        ids = torch.zeros(options, option_tokens, dtype=torch.long, device="meta")
        rows = torch.zeros(options, dtype=torch.long, device="meta")
        return self._language.ranking(self._model.language_model, embeddings, Options(ids, ids, rows, rows))

    def _empty(self, *shape: int) -> Any:
        return torch.empty(*shape, dtype=self._dtype, device="meta")
