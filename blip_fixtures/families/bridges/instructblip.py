"""InstructBLIP: an EVA-CLIP and a Q-Former that reads image and prompt (Dai et al. 2023, arXiv 2305.06500)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.bridges.bridge import Bridge
from blip_fixtures.families.family import PromptRoom, Vocabulary
from blip_fixtures.families.settings import QFORMER, VISION, number
from blip_fixtures.words import FamilyKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.families.settings import Rules


class InstructBlip(Bridge):
    """Its Q-Former has a tokenizer of its own, BERT's."""

    model_type = "instructblip"
    architecture = "InstructBlipForConditionalGeneration"
    kind = FamilyKind.INSTRUCTBLIP
    input_names = ("qformer_input_ids", "qformer_attention_mask")
    rules: ClassVar[Mapping[str, Rules]] = {"vision_config": VISION, "qformer_config": QFORMER}

    def config_class(self) -> Any:
        """`InstructBlipConfig`."""
        from transformers import InstructBlipConfig

        return InstructBlipConfig

    def model_class(self) -> Any:
        """`InstructBlipForConditionalGeneration`."""
        from transformers import InstructBlipForConditionalGeneration

        return InstructBlipForConditionalGeneration

    def processor_class(self) -> Any:
        """`InstructBlipProcessor`."""
        from transformers import InstructBlipProcessor

        return InstructBlipProcessor

    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        """BERT's, in a folder of its own."""
        size = number(config["qformer_config"], QFORMER, "vocab_size")
        return (Vocabulary("qformer_tokenizer", "qformer_tokenizer", size, cls=True),)

    def prompt_room(self, config: Mapping[str, Any]) -> PromptRoom:
        """As many as it has positions; the query vectors have none."""
        return PromptRoom(number(config["qformer_config"], QFORMER, "max_position_embeddings"), "the Q-Former")

    def read_prompts(self, processor: Any, texts: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Token ids and masks (batch, tokens)."""
        found = processor.qformer_tokenizer(texts, **settings)
        return dict(zip(self.input_names, (found.input_ids, found.attention_mask), strict=True))

    def empty_prompts(self, batch_size: int, text_tokens: int, device: str) -> tuple[Any, ...]:
        """Token ids; without a mask every one of them counts."""
        import torch

        return (torch.zeros(batch_size, text_tokens, dtype=torch.long, device=device),)

    def queries(self, model: Any, image: Any, *prompts: Any) -> Any:
        """Of all vectors that the Q-Former makes, those of the queries: the prompt's come after them."""
        ids, masks = prompts[0], prompts[1:]
        queries = model.query_tokens.expand(image.shape[0], -1, -1)
        attention = {}
        if masks:
            mask = masks[0]
            attention = {
                "attention_mask": _joined(mask.new_ones(queries.shape[:-1]), mask),
                "encoder_attention_mask": mask.new_ones(image.shape[:-1]),
            }
        output = model.qformer(input_ids=ids, query_embeds=queries, encoder_hidden_states=image, **attention)
        return model.language_projection(output.last_hidden_state[:, : queries.shape[1]])


def _joined(first: Any, second: Any) -> Any:
    import torch

    return torch.cat([first, second], dim=1)
