"""The Russian document: no English sentence in it, decimal commas in its prose, points in its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blip_fixtures import foreign
from blip_fixtures.numerals import fill, numeral
from blip_fixtures.reasons import VERBATIM, Reason
from blip_fixtures.record import read_records
from blip_fixtures.report.document import document
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.render import markdown
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import SWEEPS

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
FOLDERS = ("instructblip-tiny", "instructblip-flan-t5-xl", "optimizations/instructblip-flan-t5-xl")
SENTENCE = re.compile(r"(?:\b[A-Za-z][a-z']+ ){3,}[A-Za-z]+")
DECIMAL_POINT = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])")
# Lines of names: the held axes above a table, versions, platforms.
NAMES = ("- Версии", "- Платформа", "**Запуск:**", *(held for sweep in SWEEPS.values() for held, _ in sweep.held))


def russian_lines(folder: str) -> list[str]:
    selection = select(read_records(PUBLISHED / folder / "records.json"), foreign.markdown)
    text = markdown.text(document(selection, load_prose("ru")))
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()


def prose_lines(folder: str) -> list[str]:
    """Without tables, headings, pictures, lines of names, code within a line, and what older releases said."""
    lines = [line for line in russian_lines(folder) if not line.startswith(("|", "#", "![", *NAMES))]
    records = read_records(PUBLISHED / folder / "records.json")
    reasons = [record.reason for record in records if record.reason is not None and record.reason.code == VERBATIM]
    for said in {foreign.markdown(str(reason)) for reason in reasons}:
        lines = [line.replace(said, "") for line in lines]
    return [re.sub(r"`[^`]*`", "", line) for line in lines]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_line_is_untranslated(folder: str) -> None:
    lines = prose_lines(folder)
    assert sum(bool(re.search("[а-я]", line)) for line in lines) > 30
    assert [line for line in lines if SENTENCE.search(line)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_prose_has_decimal_commas_and_tables_have_points(folder: str) -> None:
    assert [line for line in prose_lines(folder) if DECIMAL_POINT.search(line)] == []
    tables = [line for line in russian_lines(folder) if line.startswith("|")]
    assert any(DECIMAL_POINT.search(line) for line in tables)
    assert not any(re.search(r"\d,\d", line) for line in tables)


def test_what_people_say() -> None:
    text = "\n".join(russian_lines("instructblip-tiny"))
    assert "в 1,05 раза дольше первого" in text
    assert "модель сгенерировала разное число токенов" in text
    assert "flash attention применялось в vision" in text
    assert "меньше предела" in Reason.of("faster_than_measured", percent=97.0).say("ru")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.035, "1,03 1,035"),
        (2, "2,00 2"),
        ("2.13.0", None),
    ],
)
def test_numbers_are_those_of_the_language_and_texts_stay(value: object, shown: str | None) -> None:
    if shown is None:
        assert fill("{value}", {"value": value}, "ru") == value
    else:
        assert fill("{value:.2f} {value}", {"value": value}, "ru") == shown


def test_thousands_bytes_and_versions() -> None:
    assert fill("{value:,}", {"value": 5000}, "ru") == "5\u00a0000"
    assert fill("{value:,}", {"value": 5000}, "en") == "5,000"
    assert fill("{value}", {"value": "1.5 GiB"}, "ru") == "1,5 GiB"
    assert fill("{value}", {"value": "torch 2.8"}, "ru") == "torch 2.8"
    assert numeral("1.03", "en") == "1.03"
