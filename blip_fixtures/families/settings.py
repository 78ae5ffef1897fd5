"""The settings of a configuration: their types, bounds, and what a configuration that lacks one means.

A library builds what a configuration says, however long that takes, so that the bounds are checked before. They are
beyond those of the largest published models of their kinds. A half of a family brings the settings of its parts
(`bridges/`, `languages/`); those of the vision encoder, which is the same in all of them, stand here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blip_fixtures.spelling import shown

PARTS = ("vision_config", "qformer_config", "text_config")
_MOST_LABELS = 10_000
# Attention looks at every pair of patches.
_MOST_PATCHES_A_SIDE = 1024
MOST_WIDTH, MOST_LAYERS, MOST_HEADS, MOST_WORDS, MOST_POSITIONS = 2**16, 128, 1024, 2**22, 2**20


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds; `default` is what transformers takes where it is missing."""

    least: int
    most: int
    default: int | None = None
    may_be_null: bool = False

    def why_not(self, value: Any) -> str | None:
        """What is needed instead of `value`, or `None`."""
        if value is None and self.may_be_null:
            return None
        if type(value) is int and self.least <= value <= self.most:
            return None
        return f"a whole number from {self.least} to {self.most:,} is needed"


@dataclass(frozen=True)
class Number:
    """A number within bounds."""

    least: float
    most: float

    def why_not(self, value: Any) -> str | None:
        """As `Whole`."""
        if type(value) in (int, float) and math.isfinite(value) and self.least <= value <= self.most:
            return None
        return f"a number from {self.least:g} to {self.most:g} is needed"


@dataclass(frozen=True)
class Of:
    """A value of one type."""

    kind: type
    name: str

    def why_not(self, value: Any) -> str | None:
        """As `Whole`."""
        return None if type(value) is self.kind else f"{self.name} is needed"


Rule = Whole | Number | Of
# The rules of one part by the name of the setting.
Rules = Mapping[str, Rule]

TEXT, YES_OR_NO = Of(str, "a text"), Of(bool, "true or false")
SHARE, TINY = Number(0, 1), Number(0, 1e3)
TOKEN = Whole(-1, MOST_WORDS, may_be_null=True)

# Of the configuration as a whole.
WHOLE: Rules = {
    "image_token_index": Whole(0, MOST_WORDS),
    "num_query_tokens": Whole(1, 4096, 32),
    "initializer_factor": TINY,
    "initializer_range": TINY,
}
VISION: Rules = {
    "hidden_size": Whole(1, MOST_WIDTH, 1408),
    "intermediate_size": Whole(1, 4 * MOST_WIDTH, 6144),
    "num_hidden_layers": Whole(1, MOST_LAYERS, 39),
    "num_attention_heads": Whole(1, MOST_HEADS, 16),
    "image_size": Whole(1, 8192, 224),
    "patch_size": Whole(1, 8192, 14),
    "hidden_act": TEXT,
    "layer_norm_eps": TINY,
    "attention_dropout": SHARE,
    "initializer_range": TINY,
    "qkv_bias": YES_OR_NO,
}
QFORMER: Rules = {
    "vocab_size": Whole(1, MOST_WORDS, 30522),
    "hidden_size": Whole(1, MOST_WIDTH, 768),
    "num_hidden_layers": Whole(1, MOST_LAYERS, 12),
    "num_attention_heads": Whole(1, MOST_HEADS, 12),
    "intermediate_size": Whole(1, 4 * MOST_WIDTH, 3072),
    "max_position_embeddings": Whole(1, MOST_POSITIONS, 512),
    "cross_attention_frequency": Whole(1, MOST_LAYERS, 2),
    "encoder_hidden_size": Whole(1, MOST_WIDTH, 1408),
    "hidden_act": TEXT,
    "hidden_dropout_prob": SHARE,
    "attention_probs_dropout_prob": SHARE,
    "layer_norm_eps": TINY,
    "initializer_range": TINY,
    "pad_token_id": TOKEN,
    "chunk_size_feed_forward": Whole(0, 2**20, 0),
}
# Settings of every part: what transformers makes a table of that length of.
_EVERYWHERE: Rules = {"num_labels": Whole(0, _MOST_LABELS, 2)}


def number(part: Mapping[str, Any], rules: Rules, name: str) -> int:
    """The number that a part of a configuration gives, or transformers in its place."""
    rule = rules[name]
    default = rule.default if isinstance(rule, Whole) else None
    return int(part.get(name, default))


def why_out_of_bounds(config: Mapping[str, Any], rules: Mapping[str, Rules]) -> str | None:
    """The first setting that is no such value, as part of a sentence; `rules` has those of each part, "" is the whole.

    `None` where all of them are within their bounds.
    """
    for part, of_part in rules.items():
        found = config[part] if part else config
        for name, rule in {**of_part, **_EVERYWHERE}.items():
            problem = rule.why_not(found[name]) if name in found else None
            if problem is not None:
                return f"{place(part, name)} is {shown(found[name])}, and {problem}"
    return None


def why_unfit(config: Mapping[str, Any], rules: Mapping[str, Rules]) -> str | None:
    """As `why_out_of_bounds`, for the settings of the vision encoder and the Q-Former that must fit one another."""
    for part in ("vision_config", "qformer_config"):
        width, heads = (number(config[part], rules[part], name) for name in ("hidden_size", "num_attention_heads"))
        if width % heads:
            return f"{place(part, 'hidden_size')} is {width}, which is no multiple of its {heads} heads"
    vision = config["vision_config"]
    image_size, patch_size = (number(vision, VISION, name) for name in ("image_size", "patch_size"))
    if patch_size > image_size:
        return f"vision_config.patch_size is {patch_size}, which is more than its image_size of {image_size}"
    if image_size // patch_size > _MOST_PATCHES_A_SIDE:
        return (
            f"vision_config has pictures of {image_size // patch_size:,} patches a side, and at most "
            f"{_MOST_PATCHES_A_SIDE:,} are computed"
        )
    words = number(config["qformer_config"], rules["qformer_config"], "vocab_size")
    if (config["qformer_config"].get("pad_token_id", 0) or 0) >= words:
        return f"qformer_config.pad_token_id is not below its vocab_size of {words}"
    return None


def why_no_end(text: Mapping[str, Any], size: int, default: int) -> str | None:
    """As `why_out_of_bounds`, for the tokens that end an answer; `size` is that of the vocabulary."""
    ends = text.get("eos_token_id", default)
    for end in ends if isinstance(ends, list) else [ends]:
        if type(end) is not int or not 0 <= end < size:
            return f"text_config.eos_token_id is {shown(ends)}, and an id below its vocab_size of {size} is needed"
    if isinstance(ends, list) and not ends:
        return "text_config.eos_token_id is empty, and an answer would never end"
    return None


def why_no_padding(text: Mapping[str, Any], size: int, default: int) -> str | None:
    """As `why_no_end`, for the token that fills short rows."""
    if (text.get("pad_token_id", default) or 0) >= size:
        return f"text_config.pad_token_id is {text['pad_token_id']}, and an id below its vocab_size of {size} is needed"
    return None


def place(part: str, name: str) -> str:
    """How a setting is called in a sentence."""
    return f"{part}.{name}" if part else name
