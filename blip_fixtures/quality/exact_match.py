"""Exact match: the share of answers that equal a reference, word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric


def exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Metric:
    """The share of predictions in 0..1 whose words are those of one of their references."""
    hits: list[float | None] = [
        float(words(prediction) in [words(reference) for reference in accepted])
        for prediction, accepted in zip(predictions, references, strict=True)
    ]
    return {
        "value": sum(hit for hit in hits if hit is not None) / len(hits) if hits else None,
        "per_sample": hits,
        "higher_is_better": True,
    }
