"""Quality metrics: each is a value over a whole dataset and a value for every sample.

``python -m blip_fixtures.quality DATASET FILE.jsonl`` scores any model's predictions with the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.quality.captions import caption_metrics
from blip_fixtures.quality.multiple_choice import choice_metrics
from blip_fixtures.quality.vqa_accuracy import vqa_accuracy
from blip_fixtures.quality.word_error_rate import word_error_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric


@dataclass(frozen=True)
class Question:
    """What a prediction is scored against: the accepted answers, and the options where there are any."""

    references: tuple[str, ...]
    choices: tuple[str, ...] = ()
    answer_index: int | None = None


def score(
    dataset: str, predictions: Sequence[str], questions: Sequence[Question], *, digits_from_zero: bool = False
) -> dict[str, Metric]:
    """The dataset's metrics by name: `wer` for all; `vqa_accuracy`; `cider`, `bleu4`, `rouge_l`; `accuracy`,
    `unparsed_share`. Raises `ValueError` where predictions and questions do not pair.
    """
    if len(predictions) != len(questions):
        raise ValueError(f"{len(predictions)} predictions for {len(questions)} samples; give one for each")
    references = [question.references for question in questions]
    metrics = {"wer": word_error_rate(predictions, references)}
    match dataset:
        case "textvqa":
            metrics["vqa_accuracy"] = vqa_accuracy(predictions, references)
        case "coco":
            metrics |= caption_metrics(predictions, references)
        case "scienceqa":
            metrics |= choice_metrics(
                predictions,
                [question.choices for question in questions],
                [question.answer_index or 0 for question in questions],
                digits_from_zero=digits_from_zero,
            )
    return metrics
