"""The values of a row's columns, checked: the same rules for parquet files and for files of predictions.

A row that passes can be asked and scored: what the engine would stumble over midway is refused here.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whose answers a TextVQA question has; VQA accuracy is defined over ten.
PEOPLE = 10
# Options are called by the letters of the alphabet.
MOST_CHOICES = 26
# Some pages: a prompt is cut after some hundred words, and what compares answers takes time with their lengths.
MOST_CHARACTERS = 10_000
MOST_TEXTS = 5_000
MOST_CHARACTERS_OF_AN_ID = 200
# The text that a processor reads as the picture itself, so that a second one would be a picture that is not there.
IMAGE_TOKEN = "<image>"
# Control characters but tab and ends of lines, and surrogates, which no encoding writes. Those above DEL are let pass:
# text that was decoded wrongly once is full of them.
UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def text(row: Mapping[str, Any], column: str, *, may_be_blank: bool = False) -> str:
    """The text in `column`. Raises `ValueError` naming the column where there is none, or none that can be used."""
    value = row.get(column)
    if not isinstance(value, str) or not (may_be_blank or value.strip()):
        raise ValueError(f"{column} is {shown(value)} where a text is needed")
    return _sound(value, column)


def free_text(row: Mapping[str, Any], column: str) -> str:
    """The text in `column` where it is scored and not asked, so that it may be blank and hold any character.

    Raises `ValueError`.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"{column} is {shown(value)} where a text is needed")  # noqa: TRY004  # bad input
    return _short(value, column)


def optional_text(row: Mapping[str, Any], column: str) -> str:
    """The text in `column`, empty where the row has none. Raises `ValueError`."""
    return "" if row.get(column) is None else text(row, column, may_be_blank=True)


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The texts in `column`, at least one. Raises `ValueError`."""
    value = row.get(column)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{column} is {shown(value)} where a list of texts is needed")
    if len(value) > MOST_TEXTS:
        raise ValueError(f"{column} has {len(value):,} texts where at most {MOST_TEXTS:,} are read")
    return tuple(_sound(each, column) for each in value)


def optional_texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The texts in `column`, none where the row has none. Raises `ValueError`."""
    return texts(row, column) if row.get(column) not in (None, []) else ()


def answers_of_people(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The answers of ten people in `column`. Raises `ValueError`."""
    answers = texts(row, column)
    if len(answers) != PEOPLE:
        raise ValueError(f"{column} has {len(answers)} texts where those of {PEOPLE} people are needed")
    return answers


def options(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The options in `column`, no more than there are letters for. Raises `ValueError`."""
    found = texts(row, column)
    if len(found) > MOST_CHOICES:
        raise ValueError(f"{column} has {len(found)} options where at most {MOST_CHOICES} have letters")
    return found


def option(row: Mapping[str, Any], column: str, choices: tuple[str, ...]) -> int:
    """The 0-based number of one of `choices` in `column`. Raises `ValueError`."""
    number = row.get(column)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(choices):
        raise ValueError(f"{column} is {shown(number)} where an index into its {len(choices)} choices is needed")
    return number


def identity(row: Mapping[str, Any], columns: tuple[str, ...], number: int) -> str:
    """What the first of `columns` with a value calls the row, else its number. Raises `ValueError`."""
    for column in columns:
        value = row.get(column)
        if value is None:
            continue
        if isinstance(value, float) and math.isfinite(value):
            return str(value)
        if not isinstance(value, (int, str)):
            raise ValueError(f"{column} is {shown(value)} where a text or a number is needed")  # noqa: TRY004  # bad input
        if isinstance(value, str) and len(value) > MOST_CHARACTERS_OF_AN_ID:
            raise ValueError(
                f"{column} has {len(value):,} characters where at most {MOST_CHARACTERS_OF_AN_ID} make a name"
            )
        return _sound(str(value), column)
    return str(number)


def askable(value: str, column: str) -> str:
    """A text that becomes part of a prompt. Raises `ValueError` where the model would read it as a picture."""
    if IMAGE_TOKEN in value:
        raise ValueError(f"{column} holds {IMAGE_TOKEN}, which stands for the picture itself in a prompt")
    return value


def needed(entry: Mapping[str, Any], name: str) -> Any:
    """The value of an entry that somebody wrote by hand. Raises `ValueError` where it is missing or empty."""
    value = entry.get(name)
    if value is None or value in ("", []):
        raise ValueError(f"{name} is missing")
    return value


def _sound(value: str, column: str) -> str:
    found = UNSPEAKABLE.search(_short(value, column))
    if found is not None:
        raise ValueError(f"{column} has a text with the character {found[0]!r}, which is no part of a text")
    return value


def _short(value: str, column: str) -> str:
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"{column} has a text of {len(value):,} characters where at most {MOST_CHARACTERS:,} are read")
    return value
