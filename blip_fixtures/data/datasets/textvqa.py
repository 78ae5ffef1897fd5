"""TextVQA: what is written in a picture, and what ten people answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import PEOPLE, answers_of_people, needed, optional_texts, text
from blip_fixtures.data.datasets.base import Answers, ColumnType, Dataset, Question, Row, RowContext, Split
from blip_fixtures.data.samples import Sample

if TYPE_CHECKING:
    from blip_fixtures.record import Metric


def _sample(row: Row, context: RowContext) -> Sample:
    return Sample(
        id=context.id(row),
        open_image=context.picture(row),
        question=text(row, "question"),
        references=answers_of_people(row, "answers"),
        ocr_tokens=optional_texts(row, "ocr_tokens"),
    )


def _question(row: Row) -> Question:
    return Question(answers_of_people(row, "answers"))


def _metrics(answers: Answers) -> dict[str, Metric]:
    from blip_fixtures.quality.vqa_accuracy import vqa_accuracy

    return {"vqa_accuracy": vqa_accuracy(answers.predictions, answers.references)}


def _row(entry: Row) -> dict[str, Any]:
    answers = entry.get("answers") or [needed(entry, "answer")] * PEOPLE
    return {"question": needed(entry, "question"), "answers": answers, "ocr_tokens": entry.get("ocr_tokens") or []}


DATASET = Dataset(
    name="textvqa",
    label="TextVQA",
    columns={"question": ("question",), "image": ("image",), "answers": ("answers", "answer")},
    # 5,000 questions; licence of the dataset: CC BY 4.0.
    hub=(
        Split("lmms-lab-encoder/textvqa", "data", "validation", samples=5_000),
        Split("lmms-lab/textvqa", "data", "validation", samples=5_000),
    ),
    to_sample=_sample,
    always_filled=frozenset({"question"}),
    to_question=_question,
    metrics=_metrics,
    entry="``question``, and ``answers`` with ten texts, or ``answer`` with the one that all ten people would give",
    to_row=_row,
    row_types={"question": ColumnType.TEXT, "answers": ColumnType.TEXTS, "ocr_tokens": ColumnType.TEXTS},
)
