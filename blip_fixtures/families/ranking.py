"""Ranking: how likely each option of a question is as its answer, given image and prompt.

A model scores what it is given rather than writing: the log-likelihood of an option is the sum of those of its tokens,
each given all before it (the vocabulary ranking of InstructBLIP, arXiv 2305.06500, section 2.4; BLIP, ALBEF before it).
The image is encoded once for a sample and the prompt read once; then one pass scores the options of the whole batch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Arguments of a ranking call besides those of `generate`.
NAMES = OPTION_IDS, _, _, _ = ("option_ids", "option_mask", "option_rows", "option_places")


@dataclass(frozen=True)
class Options:
    """The options of a batch: token ids and mask (options, tokens), padded at the right, and the batch's row of each
    one's sample (options,), in order.

    `places` (samples, most options) says which of them are a sample's, with -1 where a sample has fewer than others.
    """

    ids: Any
    mask: Any
    rows: Any
    places: Any

    def by_sample(self, values: Any) -> Any:
        """Values of all options (options,) as a row for each sample (samples, most options); -inf for none."""
        return values[self.places.clamp(min=0)].masked_fill(self.places < 0, float("-inf"))


def options_of(inputs: dict[str, Any]) -> Options:
    """Those among the inputs of a ranking call."""
    return Options(*(inputs[name] for name in NAMES))


def tokenize_options(tokenizer: Any, texts: Sequence[Sequence[str]], *, begins: str, ends: bool) -> dict[str, Any]:
    """The options `texts` of each sample as inputs of a ranking call.

    `begins` is put before each text, which goes on where a prompt ends. The token that begins a text is left out; the
    one that ends it is a part of an option where it `ends`. Raises `ValueError` for an option without a token.
    """
    import torch

    rows = [row for row, options in enumerate(texts) for _ in options]
    ids = [_ids(tokenizer, begins + option, ends=ends) for options in texts for option in options]
    longest = max(map(len, ids))
    padded = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for number, option in enumerate(ids):
        padded[number, : len(option)] = torch.tensor(option)
        mask[number, : len(option)] = 1
    places = torch.full((len(texts), max(map(len, texts))), -1)
    numbers = itertools.count()
    for row, options in enumerate(texts):
        places[row, : len(options)] = torch.tensor(list(itertools.islice(numbers, len(options))))
    return dict(zip(NAMES, (padded, mask, torch.tensor(rows), places), strict=True))


def _ids(tokenizer: Any, text: str, *, ends: bool) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=ends).input_ids
    if not found:
        raise ValueError(f"the option {text.strip()!r} has no token, so that nothing can be scored")
    return found


def log_likelihood(logits: Any, options: Options) -> Any:
    """Of each option (options,), in fp32 or finer; `logits` (options, tokens, words) score the token at each place."""
    import torch

    # In fp32, or what is finer.
    scores = (
        logits.to(torch.promote_types(logits.dtype, torch.float32))
        .log_softmax(dim=-1)
        .gather(2, options.ids[..., None])
        .squeeze(2)
    )
    return torch.where(options.mask.bool(), scores, 0.0).sum(dim=1)
