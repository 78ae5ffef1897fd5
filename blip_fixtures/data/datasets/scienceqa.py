"""ScienceQA: a question about a picture with options, one of which is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import askable, needed, option, optional_text, options, text
from blip_fixtures.data.datasets.base import Answers, ColumnType, Dataset, Question, Row, RowContext, Split
from blip_fixtures.data.samples import Sample
from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from blip_fixtures.record import Metric


def _sample(row: Row, context: RowContext) -> Sample:
    choices = options(row, "choices")
    answer_index = option(row, "answer", choices)
    return Sample(
        id=context.id(row),
        open_image=context.picture(row),
        question=text(row, "question"),
        references=(choices[answer_index],),
        choices=choices,
        answer_index=answer_index,
        context=askable(optional_text(row, "hint"), "hint"),
    )


def _question(row: Row) -> Question:
    choices = options(row, "choices")
    answer = option(row, "answer", choices)
    return Question((choices[answer],), choices, answer)


def _metrics(answers: Answers) -> dict[str, Metric]:
    from blip_fixtures.quality.multiple_choice import choice_metrics

    return choice_metrics(
        answers.predictions,
        [question.choices for question in answers.questions],
        [question.answer_index or 0 for question in answers.questions],
        digits_from_zero=answers.digits_from_zero,
    )


def _row(entry: Row) -> dict[str, Any]:
    choices = needed(entry, "choices")
    return {
        "question": needed(entry, "question"),
        "choices": choices,
        "answer": _number(needed(entry, "answer"), choices),
        "hint": entry.get("hint") or "",
    }


def _number(answer: Any, choices: Any) -> Any:
    """The number of an answer that is one of the choices; what is no text is looked at where the row is."""
    if not isinstance(answer, str) or not isinstance(choices, list):
        return answer
    if answer not in choices:
        raise ValueError(f"answer {shown(answer)} is none of its choices")
    return choices.index(answer)


DATASET = Dataset(
    name="scienceqa",
    label="ScienceQA",
    columns={"question": ("question",), "image": ("image",), "choices": ("choices",), "answer": ("answer",)},
    # 2,017 questions with an image; licence: CC BY-NC-SA 4.0.
    hub=(
        Split("lmms-lab-encoder/ScienceQA", "ScienceQA-IMG", "test", "test-img", 2_017),
        Split("lmms-lab/ScienceQA", "ScienceQA-IMG", "test", "test-img", 2_017),
    ),
    to_sample=_sample,
    always_filled=frozenset({"question", "choices"}),
    to_question=_question,
    metrics=_metrics,
    entry="``question``, ``choices``, ``answer`` (an option's text, or its number from 0), and optionally ``hint``",
    to_row=_row,
    row_types={
        "question": ColumnType.TEXT,
        "choices": ColumnType.TEXTS,
        "answer": ColumnType.INDEX,
        "hint": ColumnType.TEXT,
    },
)
