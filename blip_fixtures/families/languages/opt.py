"""OPT: a decoder with learnt positions (Zhang et al. 2022, arXiv 2205.01068)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from blip_fixtures.families.languages.decoder_only import DecoderOnly, rules_of
from blip_fixtures.families.settings import (
    MOST_WIDTH,
    SHARE,
    TEXT,
    TINY,
    YES_OR_NO,
    Whole,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.families.settings import Rules


class Opt(DecoderOnly):
    """BLIP-2 lets its answers end at a line feed, which its configuration names as the end token."""

    model_type = "opt"
    name = "OPT"
    block_lists = ("language_model.model.decoder.layers",)
    hands_back = ("language_model.model.decoder.embed_tokens",)
    pad, end = 1, 2
    # Its tokenizer knows words with the blank before them.
    option_begins = " "
    ends_a_branch = re.compile(r"language_model\..*\.(out_proj|fc2)\.weight$")
    rules: ClassVar[Rules] = {
        **rules_of(words=50272, width=768, layers=12, heads=12, positions=2048),
        "ffn_dim": Whole(1, 4 * MOST_WIDTH, 3072),
        "word_embed_proj_dim": Whole(1, MOST_WIDTH, None, may_be_null=True),
        "activation_function": TEXT,
        "dropout": SHARE,
        "layerdrop": SHARE,
        "init_std": TINY,
        "do_layer_norm_before": YES_OR_NO,
        "_remove_final_layer_norm": YES_OR_NO,
        "enable_bias": YES_OR_NO,
        "layer_norm_elementwise_affine": YES_OR_NO,
    }

    def why_unfit(self, text: Mapping[str, Any]) -> str | None:
        """Query vectors take the place of word embeddings, so that both must be of one width."""
        width, of_words = number(text, self.rules, "hidden_size"), text.get("word_embed_proj_dim")
        if of_words is not None and of_words != width:
            return f"text_config.word_embed_proj_dim is {of_words}, and its hidden_size of {width} is needed"
        return super().why_unfit(text)
