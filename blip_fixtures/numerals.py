"""Numbers as a language writes them: a point before the decimals in English, a comma in Russian."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Between the whole and its decimals, and between thousands.
_MARKS = {"en": (".", ","), "ru": (",", "\u00a0")}

_BYTES = re.compile(r"\d+\.\d+ [KMGT]iB")


def numeral(shown: str, lang: str) -> str:
    """A number that was formatted for English (``1,234.5``), as `lang` writes it."""
    decimal, thousands = _MARKS[lang]
    return shown.translate({ord("."): decimal, ord(","): thousands})


def fill(template: str, values: Mapping[str, object], lang: str) -> str:
    """The template with its placeholders filled, each number among the values as `lang` writes it.

    A text stays as it is, since a version or an address may look like a number, but for a number of bytes: ``1.5 GiB``.
    Raises what `str.format` does.
    """
    return _Numerals(lang).vformat(template, (), values)


class _Numerals(string.Formatter):
    def __init__(self, lang: str) -> None:
        self._lang = lang

    def format_field(self, value: Any, format_spec: str) -> str:
        shown = str(super().format_field(value, format_spec))
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_number = is_number or (isinstance(value, str) and _BYTES.fullmatch(value) is not None)
        return numeral(shown, self._lang) if is_number else shown
