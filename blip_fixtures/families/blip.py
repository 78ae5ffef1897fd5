"""A family of two halves: a bridge from images to query vectors, and the language model that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.families.family import Family, PromptRoom, TokenizedPrompts, Vocabulary, Walk
from blip_fixtures.families.inputs import tokenize, with_queries
from blip_fixtures.families.ranking import options_of, tokenize_options
from blip_fixtures.families.runner import Part
from blip_fixtures.families.settings import PARTS, WHOLE, number, why_out_of_bounds, why_unfit
from blip_fixtures.spelling import shown
from blip_fixtures.words import Component

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.families.bridges.bridge import Bridge
    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.families.languages.language import Language
    from blip_fixtures.families.settings import Rules


class Blip(Family):
    """What holds for all of them; the rest is asked of the halves."""

    attention_parts = ("", "vision_config", "qformer_config", "text_config")

    def __init__(self, bridge: Bridge, language: Language) -> None:
        self.bridge = bridge
        self.language = language
        self.kinds = (bridge.kind, language.kind)
        self.ranking_steps = language.ranking_steps
        self.input_names = ("pixel_values", *bridge.input_names, "input_ids", "attention_mask")

    @property
    def rules(self) -> dict[str, Rules]:
        """The settings that its configuration may have, by part; "" is the whole."""
        return {"": {**WHOLE, **self.bridge.whole}, **self.bridge.rules, "text_config": self.language.rules}

    def is_of(self, config: Mapping[str, Any]) -> bool:
        """By the types of the model and of its language model."""
        text = config.get("text_config")
        of_language = isinstance(text, dict) and text.get("model_type") == self.language.model_type
        return of_language and config.get("model_type") == self.bridge.model_type

    def why_not(self, config: Mapping[str, Any], named: str) -> str | None:
        """By the parts that its configuration needs and their settings."""
        for part in PARTS:
            if not isinstance(config.get(part), dict):
                return f"the config.json of {named} has no {part}; give a folder that save_pretrained wrote"
        if "image_token_index" not in config or config["image_token_index"] is None:
            return (
                f"the config.json of {named} names no image_token_index, and without it generate ignores the "
                "image; give a newer revision of the checkpoint, or add the number of its processor's <image> token"
            )
        saved = config.get("architectures") or [self.bridge.architecture]
        if saved != [self.bridge.architecture]:
            return (
                f"the config.json of {named} is of model type {self.bridge.model_type!r} and names the architectures "
                f"{shown(saved)}, where {self.bridge.architecture} is needed; give a checkpoint of that class"
            )
        problem = self._why_impossible(config)
        if problem is not None:
            return f"the config.json of {named} makes no model: {problem}; mend it, or save the checkpoint again"
        return None

    def _why_impossible(self, config: Mapping[str, Any]) -> str | None:
        rules = self.rules
        problem = why_out_of_bounds(config, rules) or why_unfit(config, rules)
        if problem is not None:
            return problem
        problem = self.language.why_unfit(config["text_config"])
        if problem is not None:
            return problem
        size, image_token = self._words(config), self.image_token_id(config)
        if image_token >= size:
            return f"image_token_index is {image_token}, which is not below the vocab_size of {size}"
        return None

    def config_class(self) -> Any:
        """The bridge's."""
        return self.bridge.config_class()

    def model_class(self) -> Any:
        """The bridge's."""
        return self.bridge.model_class()

    def query_tokens(self, config: Mapping[str, Any]) -> int:
        """As the configuration says, else the 32 of every published checkpoint."""
        return number(config, WHOLE, "num_query_tokens")

    def image_token_id(self, config: Mapping[str, Any]) -> int:
        """As the configuration says."""
        return number(config, WHOLE, "image_token_index")

    def prompt_room(self, config: Mapping[str, Any], new_tokens: int = 1) -> PromptRoom:
        """What is shorter: the Q-Former's positions, or those of the language model less the query vectors."""
        rooms = (
            self.bridge.prompt_room(config),
            self.language.prompt_room(config["text_config"], self.query_tokens(config) + new_tokens),
        )
        return min(rooms, key=lambda room: room.text_tokens)

    def cache_token_bytes(self, config: Mapping[str, Any], itemsize: int) -> int:
        """The language model's."""
        return self.language.cache_token_numbers(config["text_config"]) * itemsize

    def _words(self, config: Mapping[str, Any]) -> int:
        return number(config["text_config"], self.language.rules, "vocab_size")

    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        """The language model's and, where the Q-Former reads text, its own."""
        decodes = self.language.padding_side == "left"
        own = Vocabulary(
            "tokenizer", "", self._words(config), (self.image_token_id(config),), cls=decodes, end=not decodes
        )
        return (own, *self.bridge.vocabularies(config))

    def processor(self, config: Mapping[str, Any], image_processor: Any, tokenizers: Mapping[str, Any]) -> Any:
        """The number of query tokens is the model's."""
        return self.bridge.processor_class()(
            image_processor=image_processor, **tokenizers, num_query_tokens=self.query_tokens(config)
        )

    def tokenize(
        self, config: Mapping[str, Any], processor: Any, texts: Sequence[str], text_limit: int
    ) -> TokenizedPrompts:
        """For the Q-Former, where it reads text, and after the image tokens for the language model."""
        return tokenize(self, processor, self.image_token_id(config), list(texts), text_limit)

    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """The language model's."""
        return self.language.answer(inputs)

    def penalty(self, factor: float, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What changes nothing is not said to the model: a factor of 1 would be worked out all the same."""
        return {} if factor == 1 else self.language.penalty(factor, inputs["input_ids"].shape[1])

    def tokenize_options(self, processor: Any, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
        """By the language model's tokenizer."""
        language = self.language
        return tokenize_options(
            processor.tokenizer, texts, begins=language.option_begins, ends=language.padding_side == "right"
        )

    def rank(self, model: Any, inputs: Mapping[str, Any], *, interpolate_pos_encoding: bool) -> Any:
        """Vision encoder and Q-Former once for a sample, then the language model."""
        import torch

        with torch.no_grad():
            image = model.vision_model(inputs["pixel_values"], interpolate_pos_encoding=interpolate_pos_encoding)
            features = self.bridge.queries(
                model, image.last_hidden_state, *(inputs[name] for name in self.bridge.input_names)
            )
            ids = inputs["input_ids"]
            embeddings = with_queries(model, ids, features)
            options = options_of(dict(inputs))
            found = self.language.rank(model.language_model, embeddings, inputs["attention_mask"], ids, options)
            return options.by_sample(found)

    def generation_config(self, model: Any) -> Any:
        """The language model's own: the whole hands the call on to it."""
        return model.language_model.generation_config

    def end_as_tokenizer(self, model: Any, processor: Any) -> None:
        """The language model's."""
        self.language.end_as_tokenizer(self.generation_config(model), processor.tokenizer)

    def components(self, model: Any) -> dict[Component, Any]:
        """The bridge's two, and those of the language model."""
        return {
            Component.VISION: model.vision_model,
            Component.QFORMER: model.qformer,
            **self.language.components(model.language_model),
        }

    def parts(self, model: Any) -> dict[Part, Any]:
        """A language model as a whole runs once for each token; T5's encoder is called by itself before."""
        return {
            Part.VISION: model.vision_model,
            Part.QFORMER: model.language_projection,
            Part.STEP: model.language_model,
        }

    def block_lists(self) -> tuple[str, ...]:
        """The vision encoder's, the Q-Former's, and those of the language model."""
        return ("vision_model.encoder.layers", "qformer.encoder.layer", *self.language.block_lists)

    def hands_back(self) -> tuple[str, ...]:
        """What transformers and `rank` put together between the parts."""
        return ("vision_model", "qformer", "language_projection", "language_model", *self.language.hands_back)

    def part_of(self, path: str) -> Part:
        """Query tokens and projection are the Q-Former's."""
        return {"vision_model": Part.VISION, "language_model": Part.STEP}.get(path.partition(".")[0], Part.QFORMER)

    def pixel_dtype(self, model: Any) -> Any:
        """Of the first layer; `model.dtype` may be that of a tensor kept in fp32."""
        return model.vision_model.embeddings.patch_embedding.weight.dtype

    def walk(self, model: Any) -> Walk:
        """Over both halves."""
        from blip_fixtures.families.walk import BlipWalk

        return BlipWalk(self.bridge, self.language, model, self.pixel_dtype(model))

    def read_for_every_token(self, path: str) -> bool:
        """The language model's."""
        return self.language.read_for_every_token(path)

    def compiled_runner(self, model: Any, *, cuda: bool) -> CompiledRunner:
        """Greedy decoding over static buffers."""
        return self.language.compiled_runner(model, self.bridge, cuda=cuda)

    def complete(self, model: Any, config: Mapping[str, Any]) -> None:
        """The language model's."""
        self.language.complete(model, config["text_config"])

    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """The language model's."""
        return self.language.synthetic_std(name, tensor)

    def synthetic_buffer(self, model: Any, name: str, device: str) -> Any | None:
        """Positions count up; the rest is the language model's."""
        import torch

        path, _, leaf = name.rpartition(".")
        if leaf == "position_ids":
            shape = model.get_buffer(name).shape
            return torch.arange(shape[-1], device=device).expand(shape)
        return self.language.synthetic_buffer(model.get_submodule(path), leaf, device)

    def set_generation(self, model: Any, config: Mapping[str, Any]) -> None:
        """Special tokens, as the language model's part of the configuration has them."""
        from transformers import GenerationConfig

        settings = GenerationConfig(**self.language.special_tokens(config["text_config"]))
        model.generation_config = model.language_model.generation_config = settings
