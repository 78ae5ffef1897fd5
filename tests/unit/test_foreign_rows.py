"""Rows from outside: what a case would stumble over midway is named before the run, or skipped and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import RowContext
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.words import DataErrors
from tests.unit.test_sources import picture

ROWS: dict[str, dict[str, Any]] = {
    "textvqa": {"question_id": "1", "question": "q?", "answers": ["a"] * 10, "ocr_tokens": ["a"]},
    "coco": {"id": "1", "question": "", "answer": ["a dog"]},
    "scienceqa": {"id": "1", "question": "q?", "choices": ["a", "b"], "answer": 1, "hint": "h"},
}
LETTER = "where at most 26 have letters"
ASKED = "holds <image>, which stands for the picture itself in a prompt"
LONG = "has a text of 10,001 characters where at most 10,000 are read"
# Of one dataset, a column, a value in it, and what is said of it.
BAD: list[tuple[str, str, Any, str]] = [
    ("textvqa", "question", "what is <image>?", f"question {ASKED}"),
    ("textvqa", "question", "x" * 10_001, f"question {LONG}"),
    ("textvqa", "question", "a\0b", r"question has a text with the character '\x00'"),
    ("textvqa", "question", "\x1b[31m", r"question has a text with the character '\x1b'"),
    ("textvqa", "question", None, "question is None where a text is needed"),
    ("textvqa", "ocr_tokens", ["a", None], "ocr_tokens is ['a', None] where a list of texts is needed"),
    ("textvqa", "ocr_tokens", ["<image>"], f"ocr_tokens {ASKED}"),
    ("textvqa", "ocr_tokens", ["x" * 10_001], f"ocr_tokens {LONG}"),
    ("textvqa", "ocr_tokens", ["a"] * 5_001, "ocr_tokens has 5,001 texts where at most 5,000 are read"),
    ("textvqa", "ocr_tokens", ["\x07"], "ocr_tokens has a text with the character"),
    ("textvqa", "answers", ["a"] * 9 + [None], "answers is ['a', 'a', 'a', 'a', ...] where a list of texts is needed"),
    ("textvqa", "question_id", "x" * 5_000, "question_id has 5,000 characters where at most 200 make a name"),
    ("textvqa", "question_id", "a\nb\0", "question_id has a text with the character"),
    ("coco", "id", "x" * 201, "id has 201 characters where at most 200 make a name"),
    ("coco", "question", "<image>", f"question {ASKED}"),
    ("coco", "answer", ["x" * 10_001], f"answer {LONG}"),
    ("coco", "answer", ["\x7f"], "answer has a text with the character"),
    ("coco", "answer", [], "answer is [] where a list of texts is needed"),
    ("scienceqa", "choices", ["a"] * 27, f"choices has 27 options {LETTER}"),
    ("scienceqa", "choices", ["a", "<image>"], f"choices {ASKED}"),
    ("scienceqa", "choices", ["a", None], "choices is ['a', None] where a list of texts is needed"),
    ("scienceqa", "choices", [], "choices is [] where a list of texts is needed"),
    ("scienceqa", "answer", 2, "answer is 2 where an index into its 2 choices is needed"),
    ("scienceqa", "hint", "look: <image>", f"hint {ASKED}"),
    ("scienceqa", "hint", "x" * 10_001, f"hint {LONG}"),
    ("scienceqa", "question", "<image>", f"question {ASKED}"),
]
# A column of a type that a row cannot change: it is told of the whole file, or of each row.
WRONG: list[tuple[str, str, list[Any]]] = [
    (dataset, column, values)
    for dataset, row in ROWS.items()
    for column in row
    for values in ([5] * 3, [0.5] * 3, [[[["a"]]]] * 3, [[5]] * 3, [{"a": "b"}] * 3, [True] * 3, [b"a"] * 3)
    if (column, values) not in [("answer", [5] * 3)]
]


def write(folder: Path, dataset: str, column: str, values: list[Any]) -> None:
    row = ROWS[dataset]
    columns = {name: [value] * len(values) for name, value in row.items()}
    columns["image"] = [picture() for _ in values]
    columns[column] = values
    (folder / dataset).mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / dataset / "part.parquet")


@pytest.mark.parametrize(("dataset", "column", "value", "complaint"), BAD)
def test_a_bad_value_is_named_or_skipped(tmp_path: Path, dataset: str, column: str, value: Any, complaint: str) -> None:
    sound = ROWS[dataset][column]
    write(tmp_path, dataset, column, [sound, value, sound])
    with pytest.raises(DataError) as caught:
        load_samples(dataset, str(tmp_path))
    said = str(caught.value)
    assert f"part.parquet, row 1 (counted from 0): {complaint}" in said
    assert said.endswith("; mend the row, or pass --blip-data-errors=skip to leave it out")
    assert said.isprintable()
    samples = load_samples(dataset, str(tmp_path), errors=DataErrors.SKIP)
    assert (len(samples), samples.skipped) == (2, 1)


@pytest.mark.parametrize(("dataset", "column", "values"), WRONG, ids=str)
def test_a_column_of_any_type_is_read_or_named(tmp_path: Path, dataset: str, column: str, values: list[Any]) -> None:
    write(tmp_path, dataset, column, values)
    try:
        samples = load_samples(dataset, str(tmp_path))
    except DataError as error:
        said = str(error)
    else:
        # What names a row may be a number.
        assert column in ("id", "question_id")
        said = samples[0].id
    assert said.isprintable()


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({}, "7"),
        ({"question_id": None, "id": None}, "7"),
        ({"question_id": None, "id": "b"}, "b"),
        ({"question_id": 5, "id": "b"}, "5"),
        ({"id": 2.0}, "2.0"),
    ],
)
def test_what_names_a_row(row: dict[str, Any], name: str) -> None:
    assert RowContext(7, Path()).id(row) == name


@pytest.mark.parametrize("text", ["tab\tand\nlines\r\n", "Ω\x9d", "\u202e", "\U0001f600", "</s> <pad>", "<Image>"])
def test_a_text_that_is_merely_odd_is_asked(text: str) -> None:
    row = {**ROWS["textvqa"], "question": text, "image": picture()}
    assert find_dataset("textvqa").sample(row, RowContext(0, Path())).question == text
