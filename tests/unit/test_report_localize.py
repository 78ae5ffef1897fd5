"""The suite's own reasons, said in Russian."""

from __future__ import annotations

import re

import pytest

from blip_fixtures.optimizations import OPTIMIZATIONS
from blip_fixtures.report.localize import localized
from blip_fixtures.report.prose import load_prose
from tests.unit.records import make_record

CYRILLIC = re.compile("[а-я]{3}")


def in_russian(text: str) -> str:
    (record,) = localized([make_record(status="unavailable", reason=text)], load_prose("ru"))
    return record["reason"] or ""


@pytest.mark.parametrize(
    "text",
    [
        *(reason for entry in OPTIMIZATIONS.values() if (reason := entry.why_unavailable("cpu")) is not None),
        "3 coco samples do not fill a batch of 16; raise --blip-limit or give more data",
        "this release reads no energy counter",
    ],
)
def test_known_reasons_are_translated(text: str) -> None:
    assert CYRILLIC.search(in_russian(text))


def test_numbers_and_scopes_survive() -> None:
    record = make_record(notes=["latency: timed on the first 2 of 64 batches; quality uses all"])
    (translated,) = localized([record], load_prose("ru"))
    assert translated["notes"] == ["latency: по первым 2 из 64 батчей; качество — по всем"]


def test_foreign_texts_stay() -> None:
    assert in_russian("RuntimeError: CUDA error") == "RuntimeError: CUDA error"


def test_english_changes_nothing() -> None:
    record = make_record(notes=["latency: timed on the first 2 of 64 batches; quality uses all"])
    assert localized([record], load_prose("en")) == [record]
