"""Values as JSON has them, within bounds: what a record may hold where it names no fields.

The bounds are generous and there for one reason: no number is too large to be shown or divided, no text and no nesting
too large to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

# Characters. The longest text of a record is an answer or what an error said.
MOST_CHARACTERS = 100_000
MOST_CHARACTERS_OF_A_NAME = 1_000
# Entries of a mapping or a list without a name of its own.
MOST_ENTRIES = 10_000
LARGEST_WHOLE = 2**63 - 1
LARGEST = 1e30

Text = Annotated[str, Meta(max_length=MOST_CHARACTERS)]
Key = Annotated[str, Meta(max_length=MOST_CHARACTERS_OF_A_NAME)]

if TYPE_CHECKING:
    # To a reader a value without a definition is anything; what it may be is checked where it comes in.
    Argument = Any
    Facts = Mapping[str, Any]
else:
    _WHOLE = Annotated[int, Meta(ge=-LARGEST_WHOLE - 1, le=LARGEST_WHOLE)]
    _NUMBER = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
    _SCALAR = None | bool | _WHOLE | _NUMBER | Text
    _ENTRIES = Meta(max_length=MOST_ENTRIES)

    # An argument of a reason: one value, or a list of them.
    Argument = _SCALAR | Annotated[list[_SCALAR], _ENTRIES]

    _FLAT = Argument | Annotated[dict[Key, _SCALAR], _ENTRIES]
    _LIST = Annotated[list[_FLAT], _ENTRIES]
    _INNER = _SCALAR | _LIST | Annotated[dict[Key, _FLAT], _ENTRIES]
    _MIDDLE = _SCALAR | _LIST | Annotated[dict[Key, _INNER], _ENTRIES]
    _OUTER = _SCALAR | _LIST | Annotated[dict[Key, _MIDDLE], _ENTRIES]

    # Facts by name, nested at most five deep.
    Facts = Annotated[Mapping[Key, _OUTER], _ENTRIES]


def fitting(text: str) -> str:
    """A text as a record can hold it: a compiler's message may have any length, and a path need not be text at all."""
    shown = text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
    return shown.encode(errors="backslashreplace").decode()
