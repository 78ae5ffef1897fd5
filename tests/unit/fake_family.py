"""A family that shares as little as it can with the suite's own, small enough to be worked out by hand.

Its Q-Former reads no text, its language model has no encoder, and what it generates begins with the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from blip_fixtures.families import Family, PromptRoom, Step, TokenizedPrompts, Vocabulary, Walk
from blip_fixtures.families.compiling import CompiledRunner
from blip_fixtures.families.runner import Part
from blip_fixtures.words import Component, Phase

QUERIES, WIDTH, WORDS, PIXELS, FEATURES = 3, 6, 20, 4, 8
IMAGE_TOKEN, END = 19, 1

CONFIG: dict[str, Any] = {"model_type": "fake", "vision_config": {"image_size": 8, "patch_size": 4}}


class FakeConfig(SimpleNamespace):
    """The configuration as an object."""

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> FakeConfig:
        return cls(vision_config=SimpleNamespace(**config["vision_config"]))


class FakeModel(nn.Module):
    """A layer for each part, and two for the language model; `generate` gives the prompt back with three words more."""

    def __init__(self, config: FakeConfig) -> None:
        super().__init__()
        self.config = config
        self.generation_config = SimpleNamespace(eos_token_id=[END, 2])
        self.vision_model = nn.Linear(PIXELS, FEATURES, bias=False)
        self.qformer = nn.Linear(FEATURES, WIDTH, bias=False)
        self.language_model = nn.ModuleDict(
            {"block": nn.Linear(WIDTH, WIDTH, bias=False), "lm_head": nn.Linear(WIDTH, WORDS, bias=False)}
        )

    @classmethod
    def _from_config(cls, config: FakeConfig, dtype: torch.dtype, attn_implementation: str | None = None) -> FakeModel:
        del attn_implementation
        return cls(config).to(dtype)

    def _get_dtype_plan(self, dtype: torch.dtype) -> dict[str, torch.dtype]:
        del dtype
        return {"lm_head": torch.float32}

    def generate(self, input_ids: Any, **_: Any) -> Any:
        self.vision_model(torch.zeros(1, PIXELS))
        self.qformer(torch.zeros(1, FEATURES))
        answers = torch.tensor([[5, END, 0], [6, 7, 2]])[: len(input_ids)]
        for _step in range(answers.shape[1]):
            self.language_model["lm_head"](torch.zeros(1, WIDTH))
        return torch.cat([input_ids, answers], dim=1)


class FakeWalk(Walk):
    """Linear layers, and a product with as many keys as there are positions."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model

    def vision(self, batch_size: int, image_size: int) -> Step:
        pixels = self._empty(batch_size, (image_size // 4) ** 2, PIXELS)
        return Step(Phase.VISION, lambda: self._model.vision_model(pixels))

    def qformer(self, batch_size: int, image_size: int, text_tokens: int) -> Step:
        del image_size, text_tokens
        features = self._empty(batch_size, QUERIES, FEATURES)
        return Step(Phase.QFORMER, lambda: self._model.qformer(features), held_bytes=features.nbytes)

    def language(self, batch_size: int, text_tokens: int, beams: int = 1) -> Iterator[Step]:
        rows, positions = batch_size * beams, QUERIES + text_tokens

        def forward(count: int, keys: int) -> None:
            hidden = self._model.language_model["block"](self._empty(rows, count, WIDTH))
            torch.bmm(hidden[:, -1:], self._empty(rows, WIDTH, keys))
            self._model.language_model["lm_head"](hidden[:, -1:].float())

        yield Step(Phase.PREFILL, lambda: forward(positions, positions))
        while True:
            positions += 1
            yield Step(Phase.DECODE, lambda keys=positions: forward(1, keys))  # type: ignore[misc]  # bound now

    def ranking(self, batch_size: int, text_tokens: int, options: int, option_tokens: int) -> Iterator[Step]:
        raise NotImplementedError

    def _empty(self, *shape: int) -> Any:
        return torch.empty(*shape, dtype=self._model.vision_model.weight.dtype, device="meta")


class FakeFamily(Family):
    """The family of `CONFIG`."""

    attention_parts = ("", "vision_config")
    input_names = ("pixel_values", "input_ids", "attention_mask")
    ranking_steps = 1
    kinds = ("fake", "decoder_only")

    def is_of(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "fake"

    def why_not(self, config: Mapping[str, Any], named: str) -> str | None:
        return None

    def config_class(self) -> Any:
        return FakeConfig

    def model_class(self) -> Any:
        return FakeModel

    def query_tokens(self, config: Mapping[str, Any]) -> int:
        return QUERIES

    def image_token_id(self, config: Mapping[str, Any]) -> int:
        return IMAGE_TOKEN

    def prompt_room(self, config: Mapping[str, Any], new_tokens: int = 1) -> PromptRoom:
        return PromptRoom(40, "the fake language model")

    def cache_token_bytes(self, config: Mapping[str, Any], itemsize: int) -> int:
        return 2 * WIDTH * itemsize

    def vocabularies(self, config: Mapping[str, Any]) -> Sequence[Vocabulary]:
        return (Vocabulary("tokenizer", "", WORDS, reserved=(IMAGE_TOKEN,), cls=True),)

    def processor(self, config: Mapping[str, Any], image_processor: Any, tokenizers: Mapping[str, Any]) -> Any:
        return SimpleNamespace(image_processor=image_processor, **tokenizers)

    def tokenize(
        self, config: Mapping[str, Any], processor: Any, texts: Sequence[str], text_limit: int
    ) -> TokenizedPrompts:
        """Padded at the left, as a decoder that goes on where the prompt ends needs it."""
        found = processor.tokenizer(
            list(texts),
            padding="longest",
            padding_side="left",
            truncation=True,
            max_length=text_limit,
            return_tensors="pt",
        )
        image_ids = torch.full((len(texts), QUERIES), IMAGE_TOKEN)
        return TokenizedPrompts(
            inputs={
                "input_ids": torch.cat([image_ids, found.input_ids], dim=1),
                "attention_mask": torch.cat([torch.ones_like(image_ids), found.attention_mask], dim=1),
            },
            text_tokens=tuple(found.attention_mask.sum(dim=1).tolist()),
            qformer_tokens=0,
            truncated=tuple(len(ids) > text_limit for ids in processor.tokenizer(list(texts)).input_ids),
        )

    def answer(self, inputs: Mapping[str, Any]) -> slice:
        return slice(inputs["input_ids"].shape[1], None)

    def penalty(self, factor: float, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {} if factor == 1 else {"repetition_penalty": factor}

    def tokenize_options(self, processor: Any, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
        raise NotImplementedError

    def rank(self, model: Any, inputs: Mapping[str, Any], *, interpolate_pos_encoding: bool) -> Any:
        raise NotImplementedError

    def generation_config(self, model: Any) -> Any:
        return model.generation_config

    def components(self, model: Any) -> dict[Component, Any]:
        return {Component.VISION: model.vision_model, Component.LANGUAGE_DECODER: model.language_model}

    def parts(self, model: Any) -> dict[Part, Any]:
        return {
            Part.VISION: model.vision_model,
            Part.QFORMER: model.qformer,
            Part.STEP: model.language_model["lm_head"],
        }

    def block_lists(self) -> Sequence[str]:
        return ("language_model",)

    def hands_back(self) -> Sequence[str]:
        return ("vision_model", "qformer")

    def part_of(self, path: str) -> Part:
        return {"vision_model": Part.VISION, "qformer": Part.QFORMER}.get(path.partition(".")[0], Part.STEP)

    def pixel_dtype(self, model: Any) -> Any:
        return model.vision_model.weight.dtype

    def walk(self, model: Any) -> Walk:
        return FakeWalk(model)

    def read_for_every_token(self, path: str) -> bool:
        return path.startswith("language_model.")

    def compiled_runner(self, model: Any, *, cuda: bool) -> CompiledRunner:
        raise NotImplementedError

    def complete(self, model: Any, config: Mapping[str, Any]) -> None:
        """A model of its own shape needs nothing more."""

    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        return 0.5 if name == "qformer.weight" else None

    def synthetic_buffer(self, model: Any, name: str, device: str) -> Any | None:
        return None

    def set_generation(self, model: Any, config: Mapping[str, Any]) -> None:
        model.generation_config = SimpleNamespace(eos_token_id=END)
