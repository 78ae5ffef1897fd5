"""One adapter for each dataset: a row in the hub's columns becomes a `Sample`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.Image import Image


@dataclass(frozen=True)
class Adapter:
    """`columns` must be in the file; `to_sample(row, number)` may use further ones when they are there."""

    columns: frozenset[str]
    to_sample: Callable[[Mapping[str, Any], int], Sample]


def _opener(image: Mapping[str, Any]) -> Callable[[], Image]:
    """Decodes when called, so that samples hold encoded bytes only."""

    def open_image() -> Image:
        from PIL import Image

        with Image.open(io.BytesIO(image["bytes"])) as picture:
            return picture.convert("RGB")

    return open_image


def _textvqa(row: Mapping[str, Any], number: int) -> Sample:
    return Sample(
        id=str(row.get("question_id", number)),
        open_image=_opener(row["image"]),
        question=row["question"],
        references=tuple(row["answers"]),
        ocr_tokens=tuple(row.get("ocr_tokens") or ()),
    )


def _coco(row: Mapping[str, Any], number: int) -> Sample:
    return Sample(
        id=str(row.get("question_id", row.get("id", number))),
        open_image=_opener(row["image"]),
        question=row["question"],
        references=tuple(row["answer"]),
    )


def _scienceqa(row: Mapping[str, Any], number: int) -> Sample:
    choices = tuple(row["choices"])
    answer_index = int(row["answer"])
    return Sample(
        id=str(row.get("question_id", row.get("id", number))),
        open_image=_opener(row["image"]),
        question=row["question"],
        references=(choices[answer_index],),
        choices=choices,
        answer_index=answer_index,
        context=row.get("hint") or "",
    )


ADAPTERS = {
    "textvqa": Adapter(frozenset({"question", "image", "answers"}), _textvqa),
    "coco": Adapter(frozenset({"question", "image", "answer"}), _coco),
    "scienceqa": Adapter(frozenset({"question", "image", "choices", "answer"}), _scienceqa),
}
