"""The values of a row's columns, checked: the same rules for parquet files and for files of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whose answers a TextVQA question has; VQA accuracy is defined over ten.
PEOPLE = 10


def text(row: Mapping[str, Any], column: str, *, may_be_blank: bool = False) -> str:
    """The text in `column`. Raises `ValueError` naming the column where there is none."""
    value = row.get(column)
    if not isinstance(value, str) or not (may_be_blank or value.strip()):
        raise ValueError(f"{column} is {value!r} where a text is needed")
    return value


def texts(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The texts in `column`, at least one. Raises `ValueError`."""
    value = row.get(column)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{column} is {value!r} where a list of texts is needed")
    return tuple(value)


def answers_of_people(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """The answers of ten people in `column`. Raises `ValueError`."""
    answers = texts(row, column)
    if len(answers) != PEOPLE:
        raise ValueError(f"{column} has {len(answers)} texts where those of {PEOPLE} people are needed")
    return answers


def option(row: Mapping[str, Any], column: str, choices: tuple[str, ...]) -> int:
    """The 0-based number of one of `choices` in `column`. Raises `ValueError`."""
    number = row.get(column)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(choices):
        raise ValueError(f"{column} is {number!r} where an index into its {len(choices)} choices is needed")
    return number


def needed(entry: Mapping[str, Any], name: str) -> Any:
    """The value of an entry that somebody wrote by hand. Raises `ValueError` where it is missing or empty."""
    if entry.get(name) in (None, "", []):
        raise ValueError(f"{name} is missing")
    return entry[name]
