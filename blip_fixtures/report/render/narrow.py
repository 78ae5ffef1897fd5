"""A table for a terminal, never wider than that: its headers give way first, then its labels."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from blip_fixtures.formats import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.report.blocks import Table

GAP = 2
# A label is not wrapped to less, unless nothing else helps.
LEAST_LABEL = 8
# Where a text may go on in the next line, and a name of a table.
_WORDS = re.compile(r"\S*\s+|\S+")
_PARTS = re.compile(r"[^ +_/,;-]*[ +_/,;-]+|[^ +_/,;-]+")


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: wide letters of East Asia two, marks above others none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int, *, in_names: bool = False) -> list[str]:
    """The text in lines of at most `width` columns, which break where a word ends, with `in_names` a part of one too.

    What is wider breaks where the line ends.
    """
    lines = [""]
    for part in (_PARTS if in_names else _WORDS).findall(text):
        if lines[-1] and columns_of(lines[-1]) + columns_of(part.rstrip()) > width:
            lines.append("")
        for character in part:
            if lines[-1] and columns_of(lines[-1]) + columns_of(character) > width:
                lines.append("")
                if character == " ":
                    continue
            lines[-1] += character
    return [line.rstrip() for line in lines]


@dataclass
class _Column:
    """`width` is what it has now; a column of figures stands right, and is wrapped last."""

    head: str
    cells: list[str]
    is_figures: bool

    def __post_init__(self) -> None:
        self.width = max([1, *map(columns_of, (self.head, *self.cells))])

    @property
    def least(self) -> int:
        """The width with its header in several lines."""
        parts = [part.rstrip() for part in _PARTS.findall(self.head)]
        return max([1, *map(columns_of, (*parts, *self.cells))])

    @property
    def least_wrapped(self) -> int:
        """The width with its cells in several lines, too, where they are no figures."""
        return self.least if self.is_figures else min(self.least, LEAST_LABEL)

    def lines(self, text: str) -> list[str]:
        """A cell or the header."""
        return [self._placed(line) for line in wrapped(text, self.width, in_names=True)]

    def _placed(self, line: str) -> str:
        blanks = " " * (self.width - columns_of(line))
        return blanks + line if self.is_figures else line + blanks


def narrow(table: Table, width: int) -> list[str]:
    """The lines of a table. Where even single letters do not fit beside one another, each row is a list."""
    columns = [
        _Column(head.text.strip(), [row[place].text for row in table.rows], _are_figures(table, place))
        for place, head in enumerate(table.heads)
    ]
    between = GAP * (len(columns) - 1)
    if len(columns) + between > width:
        return _listed(columns, width)
    _give_way(columns, width - between)
    rule = (" " * GAP).join("-" * column.width for column in columns)
    rows = (_beside(columns, [column.cells[number] for column in columns]) for number in range(len(table.rows)))
    head = _beside(columns, [column.head for column in columns], at_foot=True)
    return [*head, rule, *chain.from_iterable(rows)]


def _are_figures(table: Table, place: int) -> bool:
    """A column of numbers and gaps: of its cells, and not of its place."""
    cells = [row[place] for row in table.rows]
    return place > 0 and all(cell.value is not None or cell.text == MISSING for cell in cells)


def _give_way(columns: Sequence[_Column], width: int) -> None:
    """Take from the widths until they fit: from headers, from labels, from whatever is widest."""
    for floor in (lambda column: column.least, lambda column: column.least_wrapped, lambda _column: 1):
        while sum(column.width for column in columns) > width:
            able = [column for column in columns if column.width > floor(column)]
            if not able:
                break
            max(able, key=lambda column: column.width).width -= 1


def _beside(columns: Sequence[_Column], texts: Sequence[str], *, at_foot: bool = False) -> list[str]:
    """One row in as many lines as its longest cell needs; what has fewer stands at their head, or at their foot."""
    cells = [column.lines(text) for column, text in zip(columns, texts, strict=True)]
    height = max(map(len, cells))
    for column, lines in zip(columns, cells, strict=True):
        empty = [" " * column.width] * (height - len(lines))
        lines[:] = [*empty, *lines] if at_foot else [*lines, *empty]
    return [(" " * GAP).join(line).rstrip() for line in zip(*cells, strict=True)]


def _listed(columns: Sequence[_Column], width: int) -> list[str]:
    rows = zip(*(column.cells for column in columns), strict=True)
    said = [[f"{column.head}: {text}" for column, text in zip(columns, row, strict=True)] for row in rows]
    return [line for row in said for text in row for line in wrapped(text, width)]
