"""Llama, of which Vicuna is one: a decoder with rotary positions (Touvron et al. 2023, arXiv 2302.13971)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.languages.decoder_only import DecoderOnly, rules_of
from blip_fixtures.families.settings import (
    MOST_HEADS,
    MOST_WIDTH,
    TEXT,
    TINY,
    YES_OR_NO,
    Number,
    Whole,
    number,
)
from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.families.settings import Rules

_ROPE = ("rope_parameters", "rope_scaling")
_THETA = Number(1, 1e9)


class Llama(DecoderOnly):
    """The configuration of Vicuna names end tokens that its tokenizer has not; the tokenizer's is taken."""

    model_type = "llama"
    name = "Llama"
    block_lists = ("language_model.model.layers",)
    hands_back = ("language_model.model.embed_tokens",)
    pad, end = None, 2
    ends_a_branch = re.compile(r"language_model\..*\.(o_proj|down_proj)\.weight$")
    rules: ClassVar[Rules] = {
        **rules_of(words=32000, width=4096, layers=32, heads=32, positions=2048),
        "intermediate_size": Whole(1, 4 * MOST_WIDTH, 11008),
        "num_key_value_heads": Whole(1, MOST_HEADS, None, may_be_null=True),
        "head_dim": Whole(2, MOST_WIDTH, None, may_be_null=True),
        "pretraining_tp": Whole(0, MOST_HEADS, None, may_be_null=True),
        "hidden_act": TEXT,
        "initializer_range": TINY,
        "rms_norm_eps": TINY,
        "rope_theta": _THETA,
        "attention_bias": YES_OR_NO,
        "mlp_bias": YES_OR_NO,
    }

    def why_unfit(self, text: Mapping[str, Any]) -> str | None:
        """Its heads, its rotary positions, its special tokens."""
        heads, shared = number(text, self.rules, "num_attention_heads"), text.get("num_key_value_heads")
        if shared is not None and heads % shared:
            return f"text_config.num_key_value_heads is {shared}, and its {heads} heads are no multiple of it"
        if self._head_width(text) % 2:
            return (
                f"a head of text_config has {self._head_width(text)} numbers, and rotary positions need an even number"
            )
        return _why_no_rope(text) or super().why_unfit(text)

    def key_width(self, text: Mapping[str, Any]) -> int:
        """Heads may share keys and values."""
        heads = text.get("num_key_value_heads") or number(text, self.rules, "num_attention_heads")
        return int(heads) * self._head_width(text)

    def _head_width(self, text: Mapping[str, Any]) -> int:
        width, heads = (number(text, self.rules, name) for name in ("hidden_size", "num_attention_heads"))
        return int(text.get("head_dim") or width // heads)

    def end_as_tokenizer(self, settings: Any, tokenizer: Any) -> None:
        """The tokenizer's end token is what the model was trained to write; generic tokenizers have another one."""
        if tokenizer.eos_token_id is not None:
            settings.eos_token_id = tokenizer.eos_token_id
        if tokenizer.pad_token_id is not None:
            settings.pad_token_id = tokenizer.pad_token_id

    def synthetic_buffer(self, module: Any, leaf: str, device: str) -> Any | None:
        """The frequencies of rotary positions, as transformers makes them from the configuration."""
        if leaf not in ("inv_freq", "original_inv_freq"):
            return None
        return type(module)(config=module.config).get_buffer(leaf).to(device)


def _why_no_rope(text: Mapping[str, Any]) -> str | None:
    """Rotary positions that are stretched to longer texts are of no published checkpoint of this kind."""
    for name in _ROPE:
        found = text.get(name)
        if found is None:
            continue
        if not isinstance(found, dict):
            return f"text_config.{name} is {shown(found)}, and an object is needed"
        kind = found.get("rope_type", found.get("type", "default"))
        if kind != "default":
            return f"text_config.{name} asks for positions of the type {shown(kind)}, and only 'default' is known"
        problem = _THETA.why_not(found["rope_theta"]) if "rope_theta" in found else None
        if problem is not None:
            return f"text_config.{name}.rope_theta is {shown(found['rope_theta'])}, and {problem}"
    return None
