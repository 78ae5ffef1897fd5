"""The settings of an InstructBLIP with a T5: their types, bounds, and what a configuration that lacks one means.

A library builds what a configuration says, however long that takes, so that the bounds are checked before. They are
beyond those of the largest published models of their kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = ("vision_config", "qformer_config", "text_config")
_MOST_LABELS = 10_000
# Attention looks at every pair of patches.
_MOST_PATCHES_A_SIDE = 1024


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


_WIDTH, _LAYERS, _HEADS, _VOCABULARY = 2**16, 128, 1024, 2**22
_TEXT, _YES_OR_NO = Of(str, "a text"), Of(bool, "true or false")
_SHARE, _TINY = Number(0, 1), Number(0, 1e3)
_TOKEN = Whole(-1, _VOCABULARY, may_be_null=True)

SETTINGS: dict[str, dict[str, Whole | Number | Of]] = {
    "": {
        "image_token_index": Whole(0, _VOCABULARY),
        "num_query_tokens": Whole(1, 4096, 32),
        "initializer_factor": _TINY,
        "initializer_range": _TINY,
    },
    "vision_config": {
        "hidden_size": Whole(1, _WIDTH, 1408),
        "intermediate_size": Whole(1, 4 * _WIDTH, 6144),
        "num_hidden_layers": Whole(1, _LAYERS, 39),
        "num_attention_heads": Whole(1, _HEADS, 16),
        "image_size": Whole(1, 8192, 224),
        "patch_size": Whole(1, 8192, 14),
        "hidden_act": _TEXT,
        "layer_norm_eps": _TINY,
        "attention_dropout": _SHARE,
        "initializer_range": _TINY,
        "qkv_bias": _YES_OR_NO,
    },
    "qformer_config": {
        "vocab_size": Whole(1, _VOCABULARY, 30522),
        "hidden_size": Whole(1, _WIDTH, 768),
        "num_hidden_layers": Whole(1, _LAYERS, 12),
        "num_attention_heads": Whole(1, _HEADS, 12),
        "intermediate_size": Whole(1, 4 * _WIDTH, 3072),
        "max_position_embeddings": Whole(1, 2**20, 512),
        "cross_attention_frequency": Whole(1, _LAYERS, 2),
        "encoder_hidden_size": Whole(1, _WIDTH, 1408),
        "hidden_act": _TEXT,
        "hidden_dropout_prob": _SHARE,
        "attention_probs_dropout_prob": _SHARE,
        "layer_norm_eps": _TINY,
        "initializer_range": _TINY,
        "pad_token_id": _TOKEN,
        "chunk_size_feed_forward": Whole(0, 2**20, 0),
    },
    "text_config": {
        "vocab_size": Whole(1, _VOCABULARY, 32128),
        "d_model": Whole(1, _WIDTH, 512),
        "d_kv": Whole(1, _WIDTH, 64),
        "d_ff": Whole(1, 4 * _WIDTH, 2048),
        "num_layers": Whole(1, _LAYERS, 6),
        "num_decoder_layers": Whole(1, _LAYERS, None, may_be_null=True),
        "num_heads": Whole(1, _HEADS, 8),
        "relative_attention_num_buckets": Whole(4, 4096, 32),
        "relative_attention_max_distance": Whole(3, 2**20, 128),
        "dropout_rate": _SHARE,
        "classifier_dropout": _SHARE,
        "layer_norm_epsilon": _TINY,
        "initializer_factor": _TINY,
        "feed_forward_proj": _TEXT,
        "pad_token_id": _TOKEN,
        "decoder_start_token_id": _TOKEN,
        "use_cache": _YES_OR_NO,
    },
}
# Settings of every part: what transformers makes a table of that length of.
_EVERYWHERE: dict[str, Whole | Number | Of] = {"num_labels": Whole(0, _MOST_LABELS, 2)}


def setting(config: Mapping[str, Any], part: str, name: str) -> int:
    """The number that the configuration gives, or transformers in its place."""
    rule = SETTINGS[part][name]
    default = rule.default if isinstance(rule, Whole) else None
    found = (config[part] if part else config).get(name, default)
    return int(found)


def why_impossible(config: Mapping[str, Any]) -> str | None:
    """Why no model can be built, or not within reason, as part of a sentence; `None` for a configuration that can."""
    for part, rules in SETTINGS.items():
        found = config[part] if part else config
        for name, rule in {**rules, **_EVERYWHERE}.items():
            problem = rule.why_not(found[name]) if name in found else None
            if problem is not None:
                return f"{_place(part, name)} is {shown(found[name])}, and {problem}"
    return _why_unfit(config) or _why_no_tokens(config)


def _why_unfit(config: Mapping[str, Any]) -> str | None:
    """The settings that must fit one another."""
    for part in ("vision_config", "qformer_config"):
        width, heads = setting(config, part, "hidden_size"), setting(config, part, "num_attention_heads")
        if width % heads:
            return f"{_place(part, 'hidden_size')} is {width}, which is no multiple of its {heads} heads"
    image_size, patch_size = (setting(config, "vision_config", name) for name in ("image_size", "patch_size"))
    if patch_size > image_size:
        return f"vision_config.patch_size is {patch_size}, which is more than its image_size of {image_size}"
    if image_size // patch_size > _MOST_PATCHES_A_SIDE:
        return (
            f"vision_config has pictures of {image_size // patch_size:,} patches a side, and at most "
            f"{_MOST_PATCHES_A_SIDE:,} are computed"
        )
    buckets, distance = (
        setting(config, "text_config", f"relative_attention_{name}") for name in ("num_buckets", "max_distance")
    )
    # Half of the buckets are for each direction, and half of these for single distances; the others grow from there.
    if distance <= buckets // 2:
        return f"text_config.relative_attention_max_distance is {distance}, and more than {buckets // 2} is needed"
    return None


def _why_no_tokens(config: Mapping[str, Any]) -> str | None:
    """Ids that stand for nothing in the vocabulary."""
    size = setting(config, "text_config", "vocab_size")
    text = config["text_config"]
    ends = text.get("eos_token_id", 1)
    for end in ends if isinstance(ends, list) else [ends]:
        if type(end) is not int or not 0 <= end < size:
            return f"text_config.eos_token_id is {shown(ends)}, and an id below its vocab_size of {size} is needed"
    if isinstance(ends, list) and not ends:
        return "text_config.eos_token_id is empty, and an answer would never end"
    start = text.get("decoder_start_token_id", 0)
    if start is None or not 0 <= start < size:
        return f"text_config.decoder_start_token_id is {start}, and an id below its vocab_size of {size} is needed"
    if (text.get("pad_token_id", 0) or 0) >= size:
        return f"text_config.pad_token_id is {text['pad_token_id']}, and an id below its vocab_size of {size} is needed"
    words = setting(config, "qformer_config", "vocab_size")
    if (config["qformer_config"].get("pad_token_id", 0) or 0) >= words:
        return f"qformer_config.pad_token_id is not below its vocab_size of {words}"
    if setting(config, "", "image_token_index") >= size:
        return f"image_token_index is {config['image_token_index']}, which is not below the vocab_size of {size}"
    return None


def _place(part: str, name: str) -> str:
    return f"{part}.{name}" if part else name
