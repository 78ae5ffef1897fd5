"""Decoder-only language models: one pass reads query vectors and prompt, and the answer goes on where they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.family import PromptRoom, Step
from blip_fixtures.families.languages.language import Language
from blip_fixtures.families.ranking import log_likelihood
from blip_fixtures.families.settings import (
    MOST_HEADS,
    MOST_LAYERS,
    MOST_POSITIONS,
    MOST_WIDTH,
    MOST_WORDS,
    SHARE,
    TOKEN,
    YES_OR_NO,
    Whole,
    number,
    why_no_end,
    why_no_padding,
)
from blip_fixtures.words import Component, FamilyKind, Phase

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from blip_fixtures.families.bridges.bridge import Bridge
    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.families.ranking import Options
    from blip_fixtures.families.settings import Rules


def _take_rows(cache: Any, rows: Any) -> None:
    """Keep these rows of each layer's keys and values, which may lie on another card than `rows`."""
    for layer in cache.layers:
        layer.batch_select_indices(rows.to(layer.keys.device))


def rules_of(*, words: int, width: int, layers: int, heads: int, positions: int) -> Rules:
    """The settings that Llama and OPT call alike; the numbers are what transformers takes where they are missing."""
    return {
        "vocab_size": Whole(1, MOST_WORDS, words),
        "hidden_size": Whole(1, MOST_WIDTH, width),
        "num_hidden_layers": Whole(1, MOST_LAYERS, layers),
        "num_attention_heads": Whole(1, MOST_HEADS, heads),
        "max_position_embeddings": Whole(1, MOST_POSITIONS, positions),
        "attention_dropout": SHARE,
        "use_cache": YES_OR_NO,
        "pad_token_id": TOKEN,
        "bos_token_id": TOKEN,
    }


class DecoderOnly(Language):
    """What Llama and OPT have in common.

    `pad` and `end` are what transformers takes where a configuration names none, `ends_a_branch` finds the weights that
    write to the residual stream.
    """

    kind = FamilyKind.DECODER_ONLY
    padding_side = "left"
    ranking_steps = 2
    pad: ClassVar[int | None]
    end: ClassVar[int]
    ends_a_branch: ClassVar[re.Pattern[str]]
    name: ClassVar[str]

    def why_unfit(self, text: Mapping[str, Any]) -> str | None:
        """Its heads, and its special tokens."""
        width, heads = (number(text, self.rules, name) for name in ("hidden_size", "num_attention_heads"))
        if width % heads:
            return f"text_config.hidden_size is {width}, which is no multiple of its {heads} heads"
        size = number(text, self.rules, "vocab_size")
        return why_no_end(text, size, self.end) or why_no_padding(text, size, self.pad or 0)

    def prompt_room(self, text: Mapping[str, Any], beside: int) -> PromptRoom:
        """Its positions, less those of the query vectors and the answer."""
        positions = number(text, self.rules, "max_position_embeddings")
        return PromptRoom(max(positions - beside, 0), f"{self.name} (query tokens and answer apart)")

    def cache_token_numbers(self, text: Mapping[str, Any]) -> int:
        """Keys and values of all heads in all layers."""
        return 2 * number(text, self.rules, "num_hidden_layers") * self.key_width(text)

    def key_width(self, text: Mapping[str, Any]) -> int:
        """Numbers in one token's keys in one layer."""
        return number(text, self.rules, "hidden_size")

    def answer(self, inputs: Mapping[str, Any]) -> slice:
        """After the prompt, which comes back in front of it."""
        return slice(inputs["input_ids"].shape[1], None)

    def penalty(self, factor: float, prompt_tokens: int) -> dict[str, Any]:
        """A setting of generation would punish the words of the prompt too, which LAVIS does not."""
        from transformers import RepetitionPenaltyLogitsProcessor

        return {"logits_processor": [RepetitionPenaltyLogitsProcessor(factor, prompt_ignore_length=prompt_tokens)]}

    def components(self, model: Any) -> dict[Component, Any]:
        """There is no encoder."""
        return {Component.LANGUAGE_DECODER: model.get_decoder()}

    def walk(self, model: Any, embeddings: Any, beams: int) -> Iterator[Step]:
        """The prefill is one pass over query vectors and prompt, for each beam, as transformers' `generate` does it."""
        import torch

        token = torch.zeros(embeddings.shape[0] * beams, 1, dtype=torch.long, device="meta")
        state: dict[str, Any] = {}

        def run(**inputs: Any) -> None:
            state["past_key_values"] = model(**inputs, use_cache=True, **self.last_scores(), **state).past_key_values

        def prefill() -> None:
            rows = embeddings if beams == 1 else embeddings.repeat_interleave(beams, dim=0)
            run(inputs_embeds=rows)

        yield Step(Phase.PREFILL, prefill)
        while True:
            yield Step(Phase.DECODE, lambda: run(input_ids=token))

    def ranking(self, model: Any, embeddings: Any, options: Options) -> Iterator[Step]:
        """The prompts are the prefill; scoring the options takes the place of decoding."""
        kept: dict[str, Any] = {}

        def prefill() -> None:
            kept["cache"] = model(inputs_embeds=embeddings[:, :-1], use_cache=True, logits_to_keep=1).past_key_values

        def score() -> None:
            kept["cache"].batch_select_indices(options.rows)
            scored = model(input_ids=options.ids, past_key_values=kept["cache"], use_cache=True)
            log_likelihood(scored.logits, options)

        yield Step(Phase.PREFILL, prefill)
        yield Step(Phase.DECODE, score)

    def rank(self, model: Any, embeddings: Any, mask: Any, input_ids: Any, options: Options) -> Any:
        """A prompt is read once but for its last token, which begins the pass over its options.

        So each token of an option is scored in the second pass, from the cache of the first.
        """
        import torch

        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        cache = model(
            inputs_embeds=embeddings[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        _take_rows(cache, options.rows)
        last = input_ids[options.rows, -1:]
        read = torch.cat([last, options.ids[:, :-1]], dim=1)
        steps = torch.arange(read.shape[1], device=read.device)
        logits = model(
            input_ids=read,
            # What fills short options comes after all of theirs, so that no mask need hide it.
            attention_mask=torch.cat(
                [mask.index_select(0, options.rows), torch.ones_like(options.mask[:, :-1])], dim=1
            ),
            position_ids=positions[options.rows, -1:] + steps,
            past_key_values=cache,
            use_cache=True,
        ).logits
        return log_likelihood(logits, options)

    def last_scores(self) -> dict[str, Any]:
        """What keeps a forward from scoring other positions than the last, as `generate` asks for it."""
        return {"logits_to_keep": 1}

    def read_for_every_token(self, path: str) -> bool:
        """All of it."""
        return path.startswith("language_model.")

    def compiled_runner(self, model: Any, bridge: Bridge, *, cuda: bool) -> CompiledRunner:
        """Prefill and decoder step as graphs of their own."""
        from blip_fixtures.families.languages.compiled_decoder import CompiledDecoder

        return CompiledDecoder(model, bridge, cuda)

    def synthetic_std(self, name: str, tensor: Any) -> float | None:
        """Small steps along the residual stream (as in GPT-2), so that a token still tells in what follows it."""
        return 0.1 * float(tensor[0].numel() ** -0.5) if self.ends_a_branch.search(name) else None

    def special_tokens(self, text: Mapping[str, Any]) -> dict[str, Any]:
        """Padding, which may be missing, and end."""
        return {"pad_token_id": text.get("pad_token_id", self.pad), "eos_token_id": text.get("eos_token_id", self.end)}
