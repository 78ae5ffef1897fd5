"""What a dataset is: everything that the suite knows of one stands in one `Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import askable, identity
from blip_fixtures.data.images import encoded_image

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.data.images import EncodedImage
    from blip_fixtures.data.samples import Sample
    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Metric

Row = Mapping[str, Any]
IMAGE = "image"
# What may name a row.
_NAMES = ("question_id", "id")


@dataclass(frozen=True)
class Split:
    """The parquet files of one split of a repository of the hub: those that match ``config/split-*.parquet``.

    `name` is what the split is called whatever file it lies in, by default as in the files; `samples` is how many it
    has in all, where that is known.
    """

    repository: str
    config: str
    split: str
    name: str = ""
    samples: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.split)

    @property
    def pattern(self) -> str:
        """Which files of the repository hold the split."""
        return f"{self.config}/{self.split}-*.parquet"


@dataclass(frozen=True)
class RowContext:
    """Where a row comes from: its number, the folder of its file, and whether pictures of other modes are converted."""

    number: int
    folder: Path
    convert: bool = False

    def id(self, row: Row) -> str:
        """The row's own name, or its number. Raises `ValueError` for a name that is none."""
        return identity(row, _NAMES, self.number)

    def picture(self, row: Row) -> EncodedImage:
        """What decodes the row's picture when it is called. Raises `ImageError` where the row holds none."""
        return encoded_image(row[IMAGE], self.folder, convert=self.convert)


@dataclass(frozen=True)
class Question:
    """What a prediction is scored against: the accepted answers, and the options where there are any."""

    references: tuple[str, ...]
    choices: tuple[str, ...] = ()
    answer_index: int | None = None

    @classmethod
    def of(cls, sample: Sample) -> Question:
        """What a prediction for `sample` is scored against."""
        return cls(sample.references, sample.choices, sample.answer_index)


@dataclass(frozen=True)
class Answers:
    """Predictions and, in the same order, what each is scored against.

    `digits_from_zero` says that the prompt numbered the options from 0, so that a digit in a prediction names one.
    """

    predictions: Sequence[str]
    questions: Sequence[Question]
    digits_from_zero: bool = False

    @property
    def references(self) -> list[tuple[str, ...]]:
        """The accepted answers to each question."""
        return [question.references for question in self.questions]


class ColumnType(StrEnum):
    """How a column stands in a parquet file that `make-folder` writes: a text, a list of texts, an option's number."""

    TEXT = "text"
    TEXTS = "texts"
    INDEX = "index"


def no_notes(images: int) -> tuple[Reason, ...]:  # noqa: ARG001  # the signature of all `Dataset.notes`
    """For a dataset whose scores need none."""
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One dataset. Functions raise `ValueError`, naming the column, for a value that they can make nothing of.

    - `name`: in test ids, options, records and folders; `label`: in documents.
    - `columns` are needed; each may go by one of the names listed, the hub's own first. ``image`` is one of them.
    - `hub`: repositories that hold the dataset as parquet. The first one's split is measured unless another is asked
      for by its name; those of one name are tried in order.
    - `samples`: a folder with parquet files that `--blip-data=sample` reads; those of the suite's own are packaged.
    - `to_sample` gets a row whose columns have their first names; it may use further columns of `row_types` when they
      are there. No others are read from a file.
    - `always_filled`: fields of a prompt that are filled in every row; of the others some rows have none.
    - `prompts`: by preset, the settings that `prompts.toml` explains. It has those of the suite's own datasets.
    - `to_question` gets a row of a file of predictions.
    - `metrics` scores answers; the word error rate is scored for every dataset.
    - `notes` gets the number of images that were scored, and says what a reader of the scores must know.
    - `entry`: what an entry for `make-folder` has, beside its image, as a line of help; `to_row` makes of it a row with
      the columns of `row_types`.
    """

    name: str
    label: str
    columns: Mapping[str, tuple[str, ...]]
    to_sample: Callable[[Row, RowContext], Sample]
    to_question: Callable[[Row], Question]
    metrics: Callable[[Answers], dict[str, Metric]]
    entry: str
    to_row: Callable[[Row], dict[str, Any]]
    row_types: Mapping[str, ColumnType]
    hub: tuple[Split, ...] = ()
    samples: Path | None = None
    always_filled: frozenset[str] = frozenset()
    prompts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Callable[[int], tuple[Reason, ...]] = no_notes

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"a dataset cannot be called {self.name!r}; use letters, digits and underscores")
        if IMAGE not in self.columns:
            raise ValueError(
                f"the dataset {self.name} has no column {IMAGE!r}; name the column that holds its pictures"
            )

    @property
    def has_options(self) -> bool:
        """Whether every question has options, one of which is right."""
        return "choices" in self.always_filled

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits on the hub, that which is measured first."""
        return tuple(dict.fromkeys(split.name for split in self.hub))

    def on_hub(self, name: str | None = None) -> tuple[Split, ...]:
        """Where the hub has the split of that name, else the one that is measured; nowhere where it has none."""
        return tuple(split for split in self.hub if split.name == (name or self.hub[0].name))

    def missing(self, found: Iterable[str]) -> list[str]:
        """The needed columns that go by none of their names in `found`."""
        names = set(found)
        return [column for column, known in self.columns.items() if not names.intersection(known)]

    def read_of(self, found: Iterable[str]) -> list[str]:
        """The columns of a file that are read: those that are needed, those of `row_types`, and what names a row."""
        wanted = {*self.row_types, *_NAMES}
        there = list(found)
        for known in self.columns.values():
            wanted.update(next(([name] for name in known if name in there), []))
        return [name for name in there if name in wanted]

    def sample(self, row: Row, context: RowContext) -> Sample:
        """The sample of a row in any of the known namings. Raises `ValueError` for one that cannot be asked."""
        renamed = dict(row)
        for column, known in self.columns.items():
            renamed[column] = row[next(name for name in known if name in row)]
        sample = self.to_sample(renamed, context)
        for field_of_prompt in ("question", "context", "choices", "ocr_tokens"):
            value = getattr(sample, field_of_prompt)
            for part in (value,) if isinstance(value, str) else value:
                askable(part, field_of_prompt)
        return sample
