"""Bounds of what people and files may ask for: whole numbers, names and paths, and how much of them a message shows.

Each function raises `ValueError` with what can be given instead.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Parsed = TypeVar("Parsed")

# Far above what a machine measures in a month, and as much as a record holds (`record/units.py`): of tokens so many
# that an answer is no longer than a text of it may be.
MOST_ROUNDS = 100_000
MOST_SAMPLES = 1_000_000
MOST_NEW_TOKENS = 20_000
MOST_PROCESSES = 1_000
MOST_OF_AXIS = {"batch_size": 100_000, "image_size": 10_000, "sequence_length": 100_000}
MOST_BEAMS = 1_000
# Bytes, of a part between slashes and of all of it: what file systems and the kernel take.
MOST_OF_NAME, MOST_OF_PATH = 255, 4095
MOST_OF_TEXT = 1000
_MOST_SHOWN = 80
_WHOLE = re.compile(r"[0-9]+")
# Of no use in a name, and of much to who wants to deceive a reader: control characters, halves of surrogates (bytes
# that are no UTF-8), separators of lines, and marks that turn the direction of writing.
_UNWRITABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


def whole_number(text: str, least: int, most: int) -> int:
    """A number of ASCII digits within bounds, however many they are."""
    digits = text.lstrip("0") or "0"
    if not _WHOLE.fullmatch(text) or len(digits) > len(str(most)) or not least <= int(digits) <= most:
        raise ValueError(f"give a whole number of at least {least} and at most {most:,}")
    return int(digits)


def some_text(text: str, most: int = MOST_OF_TEXT) -> str:
    """As `readable`, and not blank."""
    if not text.strip():
        raise ValueError("it is empty; give a value, or leave the option out where it has a default")
    return readable(text, most)


def readable(text: str, most: int = MOST_OF_TEXT) -> str:
    """A text that has an end and can be written."""
    if len(text) > most:
        raise ValueError(f"it has {len(text):,} characters; give at most {most:,}")
    found = _UNWRITABLE.search(text)
    if found is not None:
        raise ValueError(
            f"character {found.start() + 1} is no text (U+{ord(found[0]):04X}); give it without control characters, in "
            "UTF-8"
        )
    return text


def name_or_path(text: str) -> str:
    """A text that may be a path: no longer than one can be."""
    encoded = os.fsencode(some_text(text, MOST_OF_PATH))
    longest = max(map(len, encoded.split(b"/")))
    if longest > MOST_OF_NAME or len(encoded) > MOST_OF_PATH:
        raise ValueError(
            f"it is too long for a path; give one of at most {MOST_OF_PATH:,} bytes, {MOST_OF_NAME} between slashes"
        )
    return text


def money(text: str) -> float:
    """More than none, in whatever money."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) or not float(text) > 0:
        raise ValueError("give a number above 0, such as 2.5")
    return float(text)


def path(text: str) -> Path:
    """A path of the file system, whether something is there or not."""
    return Path(name_or_path(text))


def shortened(text: str, most: int = _MOST_SHOWN) -> str:
    """The beginning of a long text, and how long it is."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def argument(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """`parse` for argparse, which says of an `ArgumentTypeError` what stands in it."""

    def parsed(text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"it cannot be {shortened(text)!r}: {error}") from None

    return parsed
