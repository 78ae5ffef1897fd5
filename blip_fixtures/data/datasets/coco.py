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
    # Images with five captions and more; licence of the annotations: CC BY 4.0. The repositories called COCO-Caption
    # without a year hold all 40,504 images of val2014 as `val`, and as `test` those of test2014, whose captions nobody
    # published. The last repository is somebody's copy: those who read it name the columns `image` and `captions` and
    # count 5,000 rows of `test`; the names of its files are those that the `datasets` library writes.
    hub=(
        Split("lmms-lab-encoder/COCO-Caption2017", "data", "val", "val2017", 5_000),
        Split("lmms-lab/COCO-Caption2017", "data", "val", "val2017", 5_000),
        Split("namkha1032/coco-karpathy", "data", "test", "karpathy-test", 5_000),
    ),
    to_sample=_sample,
    to_question=_question,
    metrics=_metrics,
    notes=_notes,
    entry="``captions``, one or more",
    to_row=_row,
    row_types={"question": ColumnType.TEXT, "answer": ColumnType.TEXTS},
)
