"""COCO captions: what a picture shows, and five captions that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import optional_text, texts
from blip_fixtures.data.datasets.base import Answers, ColumnType, Dataset, Question, Row, RowContext, Split
from blip_fixtures.data.samples import Sample

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Metric


def _sample(row: Row, context: RowContext) -> Sample:
    return Sample(
        id=context.id(row),
        open_image=context.picture(row),
        question=optional_text(row, "question"),
        references=texts(row, "answer"),
    )


def _question(row: Row) -> Question:
    return Question(texts(row, "answer"))


def _metrics(answers: Answers) -> dict[str, Metric]:
    from blip_fixtures.quality.captions import caption_metrics

    return caption_metrics(answers.predictions, answers.references)


def _notes(images: int) -> tuple[Reason, ...]:
    from blip_fixtures.reasons import Reason

    return (Reason.of("one_image_no_cider", scope="quality"),) if images == 1 else ()


def _row(entry: Row) -> dict[str, Any]:
    captions = entry.get("captions") or entry.get("answer") or []
    return {"question": "", "answer": [captions] if isinstance(captions, str) else captions}


DATASET = Dataset(
    name="coco",
    label="COCO",
    columns={"image": ("image",), "answer": ("answer", "answers", "captions", "caption", "sentences")},
    # 5,000 images with five captions and more; licence of the annotations: CC BY 4.0.
    hub=(
        Split("lmms-lab-encoder/COCO-Caption", "data", "val"),
        Split("lmms-lab/COCO-Caption2017", "data", "val"),
    ),
    to_sample=_sample,
    to_question=_question,
    metrics=_metrics,
    notes=_notes,
    entry="``captions``, one or more",
    to_row=_row,
    row_types={"question": ColumnType.TEXT, "answer": ColumnType.TEXTS},
)
