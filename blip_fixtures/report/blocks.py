"""What a document is made of before it is text. `render/` turns the same blocks into Markdown and into terminal lines.

Texts hold no layout but Markdown's `code` and **strong** within a line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading; the document's own has level 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Sentences that flow."""

    text: str


@dataclass(frozen=True)
class Lines:
    """Lines that stay lines, as those above a table."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Notes:
    """Footnotes of the table before them."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Commands, one a line."""

    commands: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """An image at `path`, which is relative to the document."""

    title: str
    path: str


@dataclass(frozen=True)
class Head:
    """What stands above a column; blanks at its end widen the column. `unit` is that of the column's raw numbers."""

    text: str
    unit: str = ""


@dataclass(frozen=True)
class Cell:
    """One place of a table: the `text` that is shown, and the raw number behind it where there is one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are heads."""

    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Details:
    """Blocks that a reader opens under their title."""

    title: str
    blocks: tuple[Block, ...]


Block = Details | Heading | Paragraph | Lines | Bullets | Notes | Code | Picture | Table
