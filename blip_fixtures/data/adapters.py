"""One adapter for each dataset: a row in the hub's columns becomes a `Sample`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import answers_of_people, option, text, texts
from blip_fixtures.data.images import encoded_image
from blip_fixtures.data.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class RowContext:
    """Where a row comes from: its number, the folder of its file, and whether pictures of other modes are converted."""

    number: int
    folder: Path
    convert: bool = False


@dataclass(frozen=True)
class Adapter:
    """`columns` are needed; each may go by one of the names listed, the hub's own first.

    `to_sample` gets a row whose columns have their first names. It may use further columns when they are there, and
    raises `ValueError` naming the column whose value no sample can be made of.
    """

    columns: dict[str, tuple[str, ...]]
    to_sample: Callable[[Mapping[str, Any], RowContext], Sample]

    def missing(self, found: Iterable[str]) -> list[str]:
        """The needed columns that go by none of their names in `found`."""
        names = set(found)
        return [column for column, known in self.columns.items() if not names.intersection(known)]

    def sample(self, row: Mapping[str, Any], context: RowContext) -> Sample:
        """The sample of a row in any of the known namings."""
        renamed = dict(row)
        for column, known in self.columns.items():
            renamed[column] = row[next(name for name in known if name in row)]
        return self.to_sample(renamed, context)


def _id(row: Mapping[str, Any], context: RowContext) -> str:
    return str(row.get("question_id", row.get("id", context.number)))


def _textvqa(row: Mapping[str, Any], context: RowContext) -> Sample:
    return Sample(
        id=_id(row, context),
        open_image=encoded_image(row["image"], context.folder, convert=context.convert),
        question=text(row, "question"),
        references=answers_of_people(row, "answers"),
        ocr_tokens=tuple(row.get("ocr_tokens") or ()),
    )


def _coco(row: Mapping[str, Any], context: RowContext) -> Sample:
    return Sample(
        id=_id(row, context),
        open_image=encoded_image(row["image"], context.folder, convert=context.convert),
        question=str(row.get("question") or ""),
        references=texts(row, "answer"),
    )


def _scienceqa(row: Mapping[str, Any], context: RowContext) -> Sample:
    choices = texts(row, "choices")
    answer_index = option(row, "answer", choices)
    return Sample(
        id=_id(row, context),
        open_image=encoded_image(row["image"], context.folder, convert=context.convert),
        question=text(row, "question"),
        references=(choices[answer_index],),
        choices=choices,
        answer_index=answer_index,
        context=row.get("hint") or "",
    )


ADAPTERS = {
    "textvqa": Adapter(
        {"question": ("question",), "image": ("image",), "answers": ("answers", "answer")},
        _textvqa,
    ),
    "coco": Adapter(
        {"image": ("image",), "answer": ("answer", "answers", "captions", "caption", "sentences")},
        _coco,
    ),
    "scienceqa": Adapter(
        {"question": ("question",), "image": ("image",), "choices": ("choices",), "answer": ("answer",)},
        _scienceqa,
    ),
}
