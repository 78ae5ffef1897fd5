"""TOML from outside: a small file, read without what would take a parser all memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from blip_fixtures.spelling import shown
from blip_fixtures.whole_files import BadFileError, read_text

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 2**20
# Python's parser keeps every beginning of a dotted key, so that memory grows with the square of its length.
_MOST_DOTS = 16
# What may hold dots and is no key: comments and texts, each in the form that TOML gives it.
_TEXTS = re.compile(
    r"#[^\n]*"
    r"|\"{3}(?:[^\\]|\\.)*?\"{3}"
    r"|'{3}.*?'{3}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
# From the beginning of a key only, and nothing given back: a megabyte of letters is gone through once.
_LONG_KEY = re.compile(rf"(?<![\w \t-])[ \t]*+(?:[\w-]*+[ \t]*+\.[ \t]*+){{{_MOST_DOTS}}}")


def read_table(path: Path) -> dict[str, Any]:
    """The file's table. Raises `BadFileError` for what is no TOML or too much of it, and `OSError`."""
    import tomllib

    text = read_text(path, most_bytes=_MOST_BYTES)
    if _LONG_KEY.search(_TEXTS.sub("x", text)):
        raise BadFileError(f"it has a key of more than {_MOST_DOTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFileError(shown(str(error))[1:-1]) from None
    except RecursionError:
        raise BadFileError("it is nested too deeply") from None
    except ValueError:
        # What Python says of it is for programmers, and does not tell which of the two it is.
        raise BadFileError("it has a number of some thousands of digits, or a date that no calendar has") from None
