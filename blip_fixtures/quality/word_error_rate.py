"""Word error rate: word edits that turn the answer into a reference, as a share of the reference's words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from blip_fixtures.quality.metric import summed_metric
from blip_fixtures.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric


def word_error_rate(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Metric:
    """Corpus word error rate: edits of all samples over reference words of all samples; above 1 is possible.

    Each sample is scored against the reference that fits it best. A reference without words has no rate: its edits
    count, its sample's value is `None` unless the answer is empty too.
    """
    counts = [_best_edits(prediction, accepted) for prediction, accepted in zip(predictions, references, strict=True)]
    return summed_metric(
        counts,
        lambda sums: sums[..., 0] / sums[..., 1],
        [_finite(_rate(edits, length)) for edits, length in counts],
        higher_is_better=False,
    )


def _best_edits(prediction: str, accepted: Sequence[str]) -> tuple[int, int]:
    """(edits, reference words) of the reference with the lowest rate."""
    if not accepted:
        raise ValueError("a sample has no reference answer; every row needs at least one")
    return min((_edits(prediction, reference) for reference in accepted), key=lambda pair: _rate(*pair))


def _edits(prediction: str, reference: str) -> tuple[int, int]:
    import jiwer

    said, meant = words(prediction), words(reference)
    if not meant:
        return len(said), 0
    result = jiwer.process_words(" ".join(meant), " ".join(said))
    return result.substitutions + result.deletions + result.insertions, len(meant)


def _rate(edits: int, length: int) -> float:
    if length:
        return edits / length
    return 0.0 if edits == 0 else math.inf


def _finite(rate: float) -> float | None:
    return rate if math.isfinite(rate) else None
