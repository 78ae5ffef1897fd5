"""InstructBLIP with a T5: an EVA-CLIP, a Q-Former that reads the prompt too, a language encoder and decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.families.family import Family, TokenizedPrompts, Vocabulary, Walk
from blip_fixtures.families.instructblip_t5 import inputs, weights
from blip_fixtures.families.instructblip_t5.shapes import PARTS, setting, why_impossible
from blip_fixtures.families.runner import Part
from blip_fixtures.spelling import shown
from blip_fixtures.words import Component, FamilyKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.families.compiling import CompiledRunner

MODEL_TYPE = "instructblip"
LANGUAGE_MODEL_TYPE = "t5"


class InstructBlipT5(Family):
    """InstructBLIP whose language model is a T5."""

    attention_parts = ("", "vision_config", "qformer_config", "text_config")
    input_names = inputs.NAMES
    positions_of = "the Q-Former"
    kinds = (FamilyKind.INSTRUCTBLIP, FamilyKind.ENCODER_DECODER)

    def why_not(self, config: Mapping[str, Any], named: str) -> str | None:
        """By the types of the model and of its language model, and by the parts that its configuration needs."""
        found = config.get("model_type")
        if found != MODEL_TYPE:
            return (
                f"{named} is of model type {shown(found)} and the suite measures {MODEL_TYPE!r}; "
                "give an InstructBLIP checkpoint"
            )
        for part in PARTS:
            if not isinstance(config.get(part), dict):
                return f"the config.json of {named} has no {part}; give a folder that save_pretrained wrote"
        language = config["text_config"].get("model_type")
        if language != LANGUAGE_MODEL_TYPE:
            return (
                f"the language model of {named} is of type {shown(language)} and the suite measures "
                f"{LANGUAGE_MODEL_TYPE!r}, an encoder and a decoder; give an InstructBLIP with Flan-T5"
            )
        if "image_token_index" not in config or config["image_token_index"] is None:
            return (
                f"the config.json of {named} names no image_token_index, and without it generate ignores the "
                "image; give a newer revision of the checkpoint, or add the number of its processor's <image> token"
            )
        problem = why_impossible(config)
        if problem is not None:
            return f"the config.json of {named} makes no model: {problem}; mend it, or save the checkpoint again"
        return None

    def config_class(self) -> Any:
        """`InstructBlipConfig`."""
        from transformers import InstructBlipConfig

        return InstructBlipConfig

    def model_class(self) -> Any:
        """`InstructBlipForConditionalGeneration`."""
        from transformers import InstructBlipForConditionalGeneration

        return InstructBlipForConditionalGeneration

    def query_tokens(self, config: Mapping[str, Any]) -> int:
        """As the configuration says, else the 32 of every published checkpoint."""
        return setting(config, "", "num_query_tokens")

    def image_token_id(self, config: Mapping[str, Any]) -> int:
        """As the configuration says."""
        return setting(config, "", "image_token_index")

    def max_text_tokens(self, config: Mapping[str, Any]) -> int:
        """T5's positions are relative and have no end; the Q-Former's do."""
        return setting(config, "qformer_config", "max_position_embeddings")

    def cache_token_bytes(self, config: Mapping[str, Any], itemsize: int) -> int:
        """Of the decoder; those of the prompt are the cross-attention's, of the same size."""
        layers = config["text_config"].get("num_decoder_layers") or setting(config, "text_config", "num_layers")
        heads, width = (setting(config, "text_config", name) for name in ("num_heads", "d_kv"))
        return 2 * int(layers) * heads * width * itemsize

    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        """T5's and, in a folder of its own, the Q-Former's, which is BERT's."""
        reserved = (self.image_token_id(config),)
        return (
            Vocabulary("tokenizer", "", setting(config, "text_config", "vocab_size"), reserved=reserved),
            Vocabulary(
                "qformer_tokenizer", "qformer_tokenizer", setting(config, "qformer_config", "vocab_size"), cls=True
            ),
        )

    def processor(self, config: Mapping[str, Any], image_processor: Any, tokenizers: Mapping[str, Any]) -> Any:
        """The number of query tokens is the model's: processors saved before it was theirs do not name it."""
        from transformers import InstructBlipProcessor

        return InstructBlipProcessor(
            image_processor=image_processor, **tokenizers, num_query_tokens=self.query_tokens(config)
        )

    def tokenize(
        self, config: Mapping[str, Any], processor: Any, texts: Sequence[str], text_limit: int
    ) -> TokenizedPrompts:
        """For the Q-Former and, behind the image tokens, for the encoder of T5."""
        return inputs.tokenize(processor, self.image_token_id(config), list(texts), text_limit)

    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """Behind the start token: a decoder of its own does not repeat the prompt."""
        del inputs
        return slice(1, None)

    def generation_config(self, model: Any) -> Any:
        """T5's own: InstructBLIP hands the call on to it."""
        return model.language_model.generation_config

    def components(self, model: Any) -> dict[Component, Any]:
        """All four."""
        return {
            Component.VISION: model.vision_model,
            Component.QFORMER: model.qformer,
            Component.LANGUAGE_ENCODER: model.language_model.encoder,
            Component.LANGUAGE_DECODER: model.language_model.decoder,
        }

    def parts(self, model: Any) -> dict[Part, Any]:
        """T5 as a whole runs once for each token; its encoder is called by itself before."""
        return {
            Part.VISION: model.vision_model,
            Part.QFORMER: model.language_projection,
            Part.STEP: model.language_model,
        }

    def pixel_dtype(self, model: Any) -> Any:
        """Of the first layer; `model.dtype` may be that of a tensor kept in fp32."""
        return model.vision_model.embeddings.patch_embedding.weight.dtype

    def walk(self, model: Any) -> Walk:
        """Encoder and first decoder step are the prefill."""
        from blip_fixtures.families.instructblip_t5.walk import InstructBlipT5Walk

        return InstructBlipT5Walk(model, self.pixel_dtype(model))

    def read_for_every_token(self, path: str) -> bool:
        """The head and the decoder, but the keys and values of its cross-attention, made from the prompt once."""
        return weights.read_for_every_token(path)

    def compiled_runner(self, model: Any, *, cuda: bool) -> CompiledRunner:
        """Greedy decoding over static buffers."""
        from blip_fixtures.families.instructblip_t5.compiled import CompiledInstructBlipT5

        return CompiledInstructBlipT5(model, cuda, self.end_tokens(model))

    def complete(self, model: Any, config: Mapping[str, Any]) -> None:
        """A head of its own, where the configuration says so."""
        weights.give_own_head(model, config)

    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """T5's queries, and what ends a branch of T5."""
        return weights.synthetic_std(name, tensor)

    def synthetic_buffer(self, name: str, buffer: Any, device: str) -> Any | None:
        """The Q-Former's positions."""
        return weights.synthetic_buffer(name, buffer, device)

    def set_generation(self, model: Any, config: Mapping[str, Any]) -> None:
        """Padding, end and start token, as T5's part of the configuration has them."""
        weights.set_generation(model, config)
