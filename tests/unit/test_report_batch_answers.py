"""The section on answers that change with the batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.record import Record
from blip_fixtures.report.document import write_document
from blip_fixtures.report.sections.batch_answers import compared
from tests.unit.records import make_record

ANSWERS = ("stop", "red", "12", "a dog", "exit")
IDS = ("q1", "q2", "q3", "q4", "q5")


def answered(size: int, *answers: str, **overrides: Any) -> Record:
    return make_record(batch_size=size, sweeps=["batch_size"], predictions=answers, **overrides)


def section(tmp_path: Path, *records: Record, lang: str = "en") -> str:
    text = write_document(records, tmp_path, lang=lang).readme.read_text(encoding="utf-8")
    return text.partition("## Answers by batch size\n")[2].partition("\n## ")[0]


def test_the_share_and_the_first_that_differs_are_told(tmp_path: Path) -> None:
    """Batches of two leave the last sample out."""
    text = section(
        tmp_path,
        answered(2, "stop", "rad", "12", "a cat", sample_ids=IDS[:4]),
        answered(1, *ANSWERS, sample_ids=IDS),
        answered(4, "stop", "red", "12", "a dog", sample_ids=IDS[:4]),
    )
    assert "| 2          | 1                   | 50 % [8.9, 91.1]  | 4       |" in text
    assert "| 4          | 1                   | 0 % [0, 49]       | 4       |" in text
    assert '- batch 2: the first that differs is sample q2, "red" in batches of 1 and "rad" here.' in text
    assert "batch 4:" not in text


def test_records_without_names_have_numbers(tmp_path: Path) -> None:
    records = answered(1, *ANSWERS), answered(2, "stop", "red", "12", ""), answered(4, *ANSWERS[:4])
    assert 'the first that differs is sample number 3, counted from 0, "a dog" in batches' in section(
        tmp_path, *records
    )
    assert "первым отличается пример № 3 (считая с 0) — «a dog» в батчах по 1 и «» здесь" in section(
        tmp_path, *records, lang="ru"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"optimization": "int8"},
        {"image_size": 336},
        {"sequence_length": 50},
        {"device": "cuda:0", "device_name": "H200"},
        {"device_name": "another processor"},
        {"prompts": "seed"},
        {"data": {"revision": "another"}},
        {"data": {"samples": 16}},
        {"data": {"split": "test"}},
        {"generation": {"num_beams": 5}},
        {"environment": {"checkpoint_revision": "another"}},
    ],
    ids=lambda other: "-".join(str(value) for value in other.values()),
)
def test_only_what_was_measured_alike_is_compared(other: dict[str, Any]) -> None:
    assert not compared([answered(1, *ANSWERS), answered(4, *ANSWERS[:4], **other)])
    assert compared([answered(1, *ANSWERS), answered(4, *ANSWERS[:4])])


def test_samples_of_other_names_are_not_compared(tmp_path: Path) -> None:
    records = answered(1, *ANSWERS, sample_ids=IDS), answered(2, *ANSWERS[:4], sample_ids=IDS[1:])
    text = section(tmp_path, *records)
    assert "| batch_size" not in text
    assert "its samples are not those of the smallest batch" in text
    assert compared(records)[0].samples == 0


@pytest.mark.parametrize("records", [[answered(1, *ANSWERS)], [answered(1), answered(4)], [answered(4, *ANSWERS)] * 2])
def test_there_is_no_section_without_a_second_batch_size(tmp_path: Path, records: list[Record]) -> None:
    assert section(tmp_path, *records) == ""


def test_a_long_answer_is_cut_between_escapes_and_stays_text(tmp_path: Path) -> None:
    long = "a" * 58 + "**bold** <script>"
    text = section(tmp_path, answered(1, long, sample_ids=["*q*"]), answered(2, "x", sample_ids=["*q*"]))
    assert f'sample \\*q\\*, "{"a" * 58}\\*..." in batches' in text
