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
    """`columns` must be in the file; `to_sample(row, number)` may use further ones when they are there.

    `to_sample` raises `ValueError` naming the column whose value no sample can be made of.
    """

    columns: frozenset[str]
    to_sample: Callable[[Mapping[str, Any], int], Sample]


def _opener(image: Any) -> Callable[[], Image]:
    """Decodes when called, so that samples hold encoded bytes only."""
    encoded = image.get("bytes") if isinstance(image, dict) else None
    if not encoded:
        raise ValueError("image holds no bytes")

    def open_image() -> Image:
        from PIL import Image

        with Image.open(io.BytesIO(encoded)) as picture:
            return picture.convert("RGB")

    return open_image


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{column} is {value!r} where a text is needed")
    return value


def _texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    value = row[column]
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{column} is {value!r} where a list of texts is needed")
    return tuple(value)


def _textvqa(row: Mapping[str, Any], number: int) -> Sample:
    return Sample(
        id=str(row.get("question_id", number)),
        open_image=_opener(row["image"]),
        question=_text(row, "question"),
        references=_texts(row, "answers"),
        ocr_tokens=tuple(row.get("ocr_tokens") or ()),
    )


def _coco(row: Mapping[str, Any], number: int) -> Sample:
    return Sample(
        id=str(row.get("question_id", row.get("id", number))),
        open_image=_opener(row["image"]),
        question=_text(row, "question"),
        references=_texts(row, "answer"),
    )


def _scienceqa(row: Mapping[str, Any], number: int) -> Sample:
    choices = _texts(row, "choices")
    answer_index = row["answer"]
    if not isinstance(answer_index, int) or not 0 <= answer_index < len(choices):
        raise ValueError(f"answer is {answer_index!r} where an index into its {len(choices)} choices is needed")
    return Sample(
        id=str(row.get("question_id", row.get("id", number))),
        open_image=_opener(row["image"]),
        question=_text(row, "question"),
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
