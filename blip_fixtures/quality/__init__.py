"""Quality metrics: each is a value over a whole dataset and a value for every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.quality.exact_match import exact_match
from blip_fixtures.quality.word_error_rate import word_error_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric


def score(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Metric]:
    """Every metric by name. `references[i]` are the accepted answers to the question of `predictions[i]`."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} samples; give one for each")
    return {"wer": word_error_rate(predictions, references), "exact_match": exact_match(predictions, references)}
