"""The weights of a T5: its head, what a decoder step reads, and what synthetic ones keep to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS_A_BRANCH = re.compile(r"language_model\..*\.(o|wo)\.weight$")


def has_own_head(text: Mapping[str, Any]) -> bool:
    """By its ``text_config``, whether its head is a tensor of its own rather than the word embeddings again.

    T5 1.1 and Flan-T5 publish ``tie_word_embeddings: false``; transformers 5 ties them all the same unless a loaded
    file holds two different tensors, and writes the fact as ``scale_decoder_outputs: false``.
    """
    return text.get("tie_word_embeddings") is False or text.get("scale_decoder_outputs") is False


def give_own_head(model: Any, text: Mapping[str, Any]) -> None:
    """Untie the head of a model without weights where its configuration says so."""
    import torch
    from torch import nn

    if has_own_head(text):
        language = model.language_model
        language.lm_head.weight = nn.Parameter(torch.empty_like(language.lm_head.weight), requires_grad=False)


def read_for_every_token(path: str) -> bool:
    """Whether a layer is read in every decoder step.

    The keys and values of the cross-attention are made from the prompt once.
    """
    if path == "language_model.lm_head":
        return True
    return path.startswith("language_model.decoder.") and not path.endswith(("EncDecAttention.k", "EncDecAttention.v"))


def synthetic_std(name: str, tensor: Any) -> float | None:
    """T5's own scales for its unscaled attention, and small steps along its residual stream."""
    fan_in = tensor[0].numel()
    if name.endswith("SelfAttention.q.weight") or name.endswith("EncDecAttention.q.weight"):
        # T5 does not divide its attention scores by the root of the head's size; its queries are that much smaller.
        return float((fan_in * tensor.shape[0]) ** -0.5)
    if _ENDS_A_BRANCH.search(name):
        # Small steps along the residual stream (as in GPT-2), so that a token still tells in what follows it.
        return 0.1 * float(fan_in**-0.5)
    return None
