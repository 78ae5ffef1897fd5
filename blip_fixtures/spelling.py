"""What a message says of a name or a value from outside: which known name looks like it, and the value in short."""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

# A sentence has room for this much of a value.
_MOST_CHARACTERS = 120
_MOST_DIGITS = 20


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean textvqa?`` for the end of a message, or nothing where no known name looks like `name`."""
    from difflib import get_close_matches

    # A comparison takes time with the square of the length, and nobody misspells a name by a hundred characters.
    found = get_close_matches(name[:_MOST_CHARACTERS], list(known), n=1)
    # A name that is right is not what is wrong.
    return f"; did you mean {found[0]}?" if found and found[0] != name else ""


def shown(value: Any) -> str:
    """`value` as Python writes it, in one line of printable characters: a long one in part, and however deep it is."""
    return _SHORT.repr(value)


class _Short(Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _MOST_CHARACTERS
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 4

    def repr_int(self, value: int, level: int) -> str:
        del level
        # Python writes no number of some thousands of digits.
        return repr(value) if abs(value) < 10**_MOST_DIGITS else f"a number of more than {_MOST_DIGITS} digits"


_SHORT = _Short()
