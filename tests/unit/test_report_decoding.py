"""The section Decoding: how answers came about where that is not the plain way, and what rows say that differ in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.report.document import write_document
from tests.unit.records import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.record import Record

BEAMS = {"decoding": "beam", "num_beams": 5}


def document(tmp_path: Path, *records: Record, lang: str = "en") -> str:
    return write_document(records, tmp_path, lang=lang).readme.read_text(encoding="utf-8")


def lines(text: str) -> list[str]:
    """Those of the section."""
    body = text.partition("\n## Decoding\n")[2].partition("\n## ")[0]
    return [line for line in body.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize(
    ("generation", "said", "russian"),
    [
        ({"decoding": "rank"}, "the options are ranked; the likeliest is the answer, and no token", "варианты ответа"),
        (
            {**BEAMS, "length_penalty": -1, "repetition_penalty": 1.5, "min_new_tokens": 1, "new_tokens": 10},
            "beam search with 5 beams, length penalty -1, repetition penalty 1.5, 1 to 10 new tokens.",
            "лучевой поиск, лучей 5, штраф за длину -1, штраф за повторы 1,5, новых токенов от 1 до 10.",
        ),
        ({"num_beams": 3}, "beam search with 3 beams, length penalty 1, at most 50 new tokens.", "лучей 3"),
        ({"repetition_penalty": 1.2}, "greedy, repetition penalty 1.2, at most 50 new", "жадное декодирование, штраф"),
        ({**BEAMS, "fixed": True, "min_new_tokens": 8}, "length penalty 1, exactly 50 new tokens.", "ровно 50"),
    ],
)
def test_what_is_not_plain_is_named(tmp_path: Path, generation: dict[str, Any], said: str, russian: str) -> None:
    record = make_record(generation=generation)
    (line,) = lines(document(tmp_path, record))
    assert line.startswith("- TextVQA: ")
    assert said in line
    assert russian in lines(document(tmp_path, record, lang="ru"))[0]


@pytest.mark.parametrize("generation", [{}, {"decoding": "greedy"}, {"fixed": True, "min_new_tokens": 3}])
def test_plain_decoding_has_no_section(tmp_path: Path, generation: dict[str, Any]) -> None:
    assert "## Decoding" not in document(tmp_path, make_record(generation=generation))


def test_each_dataset_is_named_once(tmp_path: Path) -> None:
    records = [make_record(dataset="coco", batch_size=size, generation=BEAMS, sweeps=["batch_size"]) for size in (1, 2)]
    found = lines(document(tmp_path, *records, make_record(dataset="scienceqa", generation={"decoding": "rank"})))
    assert [line.partition(":")[0] for line in found] == ["- COCO", "- ScienceQA"]


@pytest.mark.parametrize("other", [{"repetition_penalty": 1.5}, {"decoding": "rank"}, {"min_new_tokens": 8}])
def test_rows_that_differ_in_decoding_say_so(tmp_path: Path, other: dict[str, Any]) -> None:
    rows = [make_record(batch_size=1, sweeps=["batch_size"]), make_record(batch_size=2, sweeps=["batch_size"])]
    assert "not measured alike" not in document(tmp_path, *rows)
    rows[1] = make_record(batch_size=2, sweeps=["batch_size"], generation=other)
    assert "The rows were not measured alike; they differ in decoding." in document(tmp_path, *rows)


def test_the_split_stands_in_the_line_on_the_run(tmp_path: Path) -> None:
    record = make_record(dataset="coco", data={"source": "hub", "split": "karpathy-test", "samples": 5000})
    assert "(5000 COCO karpathy-test)" in document(tmp_path, record)
