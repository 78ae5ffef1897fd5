"""Quality metrics: each is a value over a whole dataset and a value for every sample.

``python -m blip_fixtures.quality DATASET FILE.jsonl`` scores any model's predictions with the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import Answers
from blip_fixtures.quality.word_error_rate import word_error_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.data.datasets.base import Question
    from blip_fixtures.record import Metric


def score(
    dataset: str, predictions: Sequence[str], questions: Sequence[Question], *, digits_from_zero: bool = False
) -> dict[str, Metric]:
    """The dataset's metrics by name, and `wer`, which every dataset has.

    Raises `ValueError` where predictions and questions do not pair.
    """
    if len(predictions) != len(questions):
        raise ValueError(f"{len(predictions)} predictions for {len(questions)} samples; give one for each")
    answers = Answers(predictions, questions, digits_from_zero)
    wer = word_error_rate(predictions, answers.references)
    return {"wer": wer, **find_dataset(dataset).metrics(answers)}
