"""CIDEr-D, BLEU-4 and ROUGE-L of captions, as COCO's caption evaluation (pycocoevalcap) computes them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.quality.intervals import SPANS
from blip_fixtures.quality.metric import mean_metric, summed_metric
from blip_fixtures.quality.ptb import caption_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric

Tokens = tuple[str, ...]
_LONGEST = 4

# CIDEr-D (Vedantam, Zitnick, Parikh 2015, arXiv 1411.5726): the width of the penalty on the length, and the scale.
_SIGMA = 6.0
_SCALE = 10.0
# BLEU's guards against empty counts, as the COCO evaluation sets them.
_TINY, _SMALL = 1e-15, 1e-9
# ROUGE-L (Lin 2004): recall weighs more than precision.
_BETA = 1.2


def caption_metrics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Metric]:
    """`cider` on the x1 scale (perfect is 10), `bleu4` and `rouge_l` in 0..1.

    BLEU is a corpus figure: its value is not the mean over the samples. With a single image every n-gram stands in all
    documents, so CIDEr is 0 by definition.
    """
    said = [caption_tokens(prediction) for prediction in predictions]
    meant = [[caption_tokens(reference) for reference in accepted] for accepted in references]
    return {"cider": cider_d(said, meant), "bleu4": bleu4(said, meant), "rouge_l": rouge_l(said, meant)}


def cider_d(said: Sequence[Tokens], meant: Sequence[Sequence[Tokens]]) -> Metric:
    """The mean over images of the cosine of tf-idf vectors of n-grams, clipped, with a penalty on length, times 10."""
    documents: Counter[Tokens] = Counter()
    for accepted in meant:
        documents.update({gram for reference in accepted for gram in _grams(reference)})
    rarity = _Rarity(documents, math.log(len(meant)) if meant else 0.0)
    scores = []
    for prediction, accepted in zip(said, meant, strict=True):
        candidate = rarity.vector(prediction)
        similar = [_similarity(candidate, rarity.vector(reference)) for reference in accepted]
        scores.append(_SCALE * sum(similar) / len(similar))
    return mean_metric(scores, span=SPANS["cider"])


@dataclass(frozen=True)
class _Vector:
    """tf-idf weights by n-gram for each n, the norms of both, and the length in bigrams."""

    weights: tuple[dict[Tokens, float], ...]
    norms: tuple[float, ...]
    length: int


@dataclass(frozen=True)
class _Rarity:
    """In how many images' references an n-gram stands."""

    documents: Counter[Tokens]
    log_images: float

    def vector(self, tokens: Tokens) -> _Vector:
        weights: tuple[dict[Tokens, float], ...] = tuple({} for _ in range(_LONGEST))
        length = 0
        for gram, count in _grams(tokens).items():
            weights[len(gram) - 1][gram] = count * (self.log_images - math.log(max(1, self.documents[gram])))
            length += count if len(gram) == 2 else 0
        norms = tuple(math.sqrt(sum(weight**2 for weight in each.values())) for each in weights)
        return _Vector(weights, norms, length)


def _similarity(candidate: _Vector, reference: _Vector) -> float:
    penalty = math.exp(-((candidate.length - reference.length) ** 2) / (2 * _SIGMA**2))
    cosines = []
    for said, meant, one, other in zip(
        candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
    ):
        shared = sum(min(weight, meant.get(gram, 0.0)) * meant.get(gram, 0.0) for gram, weight in said.items())
        cosines.append(penalty * (shared / (one * other) if one and other else shared))
    return fmean(cosines)


def _grams(tokens: Tokens) -> Counter[Tokens]:
    """How often each run of one to four tokens occurs."""
    return Counter(
        tokens[start : start + length] for length in range(1, _LONGEST + 1) for start in range(len(tokens) - length + 1)
    )


def bleu4(said: Sequence[Tokens], meant: Sequence[Sequence[Tokens]]) -> Metric:
    """BLEU-4 over the corpus (Papineni et al. 2002), against the reference nearest in length."""
    counts = [_overlap(prediction, accepted) for prediction, accepted in zip(said, meant, strict=True)]
    return summed_metric(counts, _bleu, [float(_bleu(np.asarray(count))) for count in counts], higher_is_better=True)


def _bleu(sums: Any) -> Any:
    """From n-grams right and guessed by length, tokens said and meant, (..., 10): the geometric mean of the precisions
    times the penalty on brevity.
    """
    right, guessed = sums[..., :_LONGEST], sums[..., _LONGEST : 2 * _LONGEST]
    ratio = (sums[..., -2] + _TINY) / (sums[..., -1] + _SMALL)
    precision = np.prod((right + _TINY) / (guessed + _SMALL), axis=-1) ** (1 / _LONGEST)
    return precision * np.where(ratio < 1, np.exp(1 - 1 / ratio), 1.0)


def _overlap(prediction: Tokens, accepted: Sequence[Tokens]) -> tuple[float, ...]:
    """One sample's counts, in the order that `_bleu` reads."""
    most: Counter[Tokens] = Counter()
    for reference in accepted:
        most |= _grams(reference)
    right = [0] * _LONGEST
    for gram, count in _grams(prediction).items():
        right[len(gram) - 1] += min(count, most[gram])
    nearest = min((abs(len(reference) - len(prediction)), len(reference)) for reference in accepted)[1]
    guessed = [max(0, len(prediction) - n) for n in range(_LONGEST)]
    return (*right, *guessed, len(prediction), nearest)


def rouge_l(said: Sequence[Tokens], meant: Sequence[Sequence[Tokens]]) -> Metric:
    """The mean over images of the F-measure of longest common subsequences, best precision and best recall each."""
    scores = [_rouge(prediction, accepted) for prediction, accepted in zip(said, meant, strict=True)]
    return mean_metric(scores, span=SPANS["rouge_l"])


def _rouge(prediction: Tokens, accepted: Sequence[Tokens]) -> float:
    # The evaluation splits an empty caption into one empty token.
    candidate = prediction or ("",)
    shared = [(_common(candidate, reference or ("",)), len(reference or ("",))) for reference in accepted]
    precision = max(common / len(candidate) for common, _ in shared)
    recall = max(common / length for common, length in shared)
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common(one: Tokens, other: Tokens) -> int:
    """Length of the longest common subsequence, a row of the table as the bits of one number.

    A bit is 0 where the length grows by one (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
    """
    places: dict[str, int] = {}
    for place, token in enumerate(other):
        places[token] = places.get(token, 0) | 1 << place
    every = (1 << len(other)) - 1
    row = every
    for token in one:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & every
    return len(other) - row.bit_count()
