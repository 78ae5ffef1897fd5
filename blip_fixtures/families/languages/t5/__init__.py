"""T5: an encoder reads query vectors and prompt, a decoder writes the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.bridges.bridge import ANY_LENGTH
from blip_fixtures.families.family import PromptRoom, Step
from blip_fixtures.families.languages.language import Language
from blip_fixtures.families.languages.t5 import weights
from blip_fixtures.families.settings import (
    MOST_HEADS,
    MOST_LAYERS,
    MOST_POSITIONS,
    MOST_WIDTH,
    MOST_WORDS,
    SHARE,
    TEXT,
    TINY,
    TOKEN,
    YES_OR_NO,
    Whole,
    number,
    why_no_end,
    why_no_padding,
)
from blip_fixtures.words import Component, FamilyKind, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from blip_fixtures.families.bridges.bridge import Bridge
    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.families.ranking import Options
    from blip_fixtures.families.settings import Rules

_PAD, _END, _START = 0, 1, 0


class T5(Language):
    """T5 and its descendants: Flan-T5 in every published checkpoint."""

    model_type = "t5"
    kind = FamilyKind.ENCODER_DECODER
    padding_side = "right"
    block_lists = ("language_model.encoder.block", "language_model.decoder.block")
    hands_back = ("language_model.shared", "language_model.encoder")
    rules: ClassVar[Rules] = {
        "vocab_size": Whole(1, MOST_WORDS, 32128),
        "d_model": Whole(1, MOST_WIDTH, 512),
        "d_kv": Whole(1, MOST_WIDTH, 64),
        "d_ff": Whole(1, 4 * MOST_WIDTH, 2048),
        "num_layers": Whole(1, MOST_LAYERS, 6),
        "num_decoder_layers": Whole(1, MOST_LAYERS, None, may_be_null=True),
        "num_heads": Whole(1, MOST_HEADS, 8),
        "relative_attention_num_buckets": Whole(4, 4096, 32),
        "relative_attention_max_distance": Whole(3, MOST_POSITIONS, 128),
        "dropout_rate": SHARE,
        "classifier_dropout": SHARE,
        "layer_norm_epsilon": TINY,
        "initializer_factor": TINY,
        "feed_forward_proj": TEXT,
        "pad_token_id": TOKEN,
        "decoder_start_token_id": TOKEN,
        "use_cache": YES_OR_NO,
    }

    def why_unfit(self, text: Mapping[str, Any]) -> str | None:
        """The distances of its relative positions, and its special tokens."""
        buckets, distance = (
            number(text, self.rules, f"relative_attention_{name}") for name in ("num_buckets", "max_distance")
        )
        # Half of the buckets are for each direction, and half of these for single distances; the rest grow from there.
        if distance <= buckets // 2:
            return f"text_config.relative_attention_max_distance is {distance}, and more than {buckets // 2} is needed"
        size = number(text, self.rules, "vocab_size")
        problem = why_no_end(text, size, _END)
        if problem is not None:
            return problem
        start = text.get("decoder_start_token_id", _START)
        if start is None or not 0 <= start < size:
            return f"text_config.decoder_start_token_id is {start}, and an id below its vocab_size of {size} is needed"
        return why_no_padding(text, size, _PAD)

    def prompt_room(self, text: Mapping[str, Any], beside: int) -> PromptRoom:
        """Its positions are relative and have no end."""
        del text, beside
        return PromptRoom(ANY_LENGTH, "T5")

    def cache_token_numbers(self, text: Mapping[str, Any]) -> int:
        """Of the decoder; those of the prompt are the cross-attention's, of the same size."""
        layers = text.get("num_decoder_layers") or number(text, self.rules, "num_layers")
        heads, width = (number(text, self.rules, name) for name in ("num_heads", "d_kv"))
        return 2 * int(layers) * heads * width

    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """After the start token: a decoder of its own does not repeat the prompt."""
        del inputs
        return slice(1, None)

    def penalty(self, factor: float, prompt_tokens: int) -> dict[str, Any]:
        """Transformers punishes what the decoder has read, which is the answer alone."""
        del prompt_tokens
        return {"repetition_penalty": factor}

    def components(self, model: Any) -> dict[Component, Any]:
        """Its encoder and its decoder."""
        return {Component.LANGUAGE_ENCODER: model.encoder, Component.LANGUAGE_DECODER: model.decoder}

    def walk(self, model: Any, embeddings: Any, beams: int) -> Iterator[Step]:
        """Encoder and first decoder step are the prefill."""
        from blip_fixtures.families.languages.t5.walk import walk

        return walk(model, embeddings, beams)

    def ranking(self, model: Any, embeddings: Any, options: Options) -> Iterator[Step]:
        """One step: the encoder reads the prompts, the decoder all options."""
        from blip_fixtures.families.languages.t5.rank import rank

        yield Step(Phase.PREFILL, lambda: rank(model, embeddings, None, options))

    def rank(self, model: Any, embeddings: Any, mask: Any, input_ids: Any, options: Options) -> Any:
        """The encoder reads a prompt once, the decoder each of its options, up to its end token."""
        from blip_fixtures.families.languages.t5.rank import rank

        del input_ids
        return rank(model, embeddings, mask, options)

    def read_for_every_token(self, path: str) -> bool:
        """The head and the decoder, but the keys and values of its cross-attention, made from the prompt once."""
        return weights.read_for_every_token(path)

    def compiled_runner(self, model: Any, bridge: Bridge, *, cuda: bool) -> CompiledRunner:
        """Encoder, cross-attention and decoder as graphs of their own."""
        from blip_fixtures.families.languages.t5.compiled import CompiledT5

        return CompiledT5(model, bridge, cuda)

    def complete(self, model: Any, text: Mapping[str, Any]) -> None:
        """A head of its own, where the configuration says so."""
        weights.give_own_head(model, text)

    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """Its queries, and what ends a branch."""
        return weights.synthetic_std(name, tensor)

    def special_tokens(self, text: Mapping[str, Any]) -> dict[str, Any]:
        """Padding, end and start token."""
        return {
            "pad_token_id": text.get("pad_token_id", _PAD),
            "eos_token_id": text.get("eos_token_id", _END),
            "decoder_start_token_id": text.get("decoder_start_token_id", _START),
        }
