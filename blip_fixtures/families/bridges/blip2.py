"""BLIP-2: an EVA-CLIP and a Q-Former that reads the image alone (Li et al. 2023, arXiv 2301.12597)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.bridges.bridge import Bridge
from blip_fixtures.families.settings import QFORMER, VISION, YES_OR_NO, Whole
from blip_fixtures.words import FamilyKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.families.settings import Rules


class Blip2(Bridge):
    """transformers keeps its Q-Former and its query tokens in fp32, whatever the rest is loaded in."""

    model_type = "blip-2"
    architecture = "Blip2ForConditionalGeneration"
    kind = FamilyKind.BLIP2
    rules: ClassVar[Mapping[str, Rules]] = {
        "vision_config": VISION,
        "qformer_config": {**QFORMER, "use_qformer_text_input": YES_OR_NO},
    }
    whole: ClassVar[Rules] = {"image_text_hidden_size": Whole(1, 2**16, 256)}

    def config_class(self) -> Any:
        """`Blip2Config`."""
        from transformers import Blip2Config

        return Blip2Config

    def model_class(self) -> Any:
        """`Blip2ForConditionalGeneration`."""
        from transformers import Blip2ForConditionalGeneration

        return Blip2ForConditionalGeneration

    def processor_class(self) -> Any:
        """`Blip2Processor`."""
        from transformers import Blip2Processor

        return Blip2Processor

    def queries(self, model: Any, image: Any, *prompts: Any) -> Any:
        """In the dtype of the image's features again, whatever the Q-Former computed in."""
        del prompts
        queries = model.query_tokens.expand(image.shape[0], -1, -1)
        output = model.qformer(query_embeds=queries, encoder_hidden_states=image)
        return model.language_projection(output.last_hidden_state.to(image.dtype))
