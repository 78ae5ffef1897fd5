"""Blocks to the lines of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from blip_fixtures import foreign
from blip_fixtures.report.blocks import Bullets, Code, Details, Heading, Lines, Notes, Paragraph, Picture, Table
from blip_fixtures.report.render.grid import grid
from blip_fixtures.report.sweep_blocks import summary_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block


def terminal_lines(records: Sequence[Record]) -> list[str]:
    """The tables of a run with their footnotes, as they stand at its end."""
    return lines(summary_blocks(records))


def lines(blocks: Sequence[Block]) -> list[str]:
    """All lines, without their ends. An image is not shown."""
    return [line for block in blocks for line in _lines(block)]


def _lines(block: Block) -> list[str]:
    match block:
        case Heading(text):
            return ["", text]
        case Paragraph(text):
            return ["", text]
        case Lines(found):
            return list(found)
        case Bullets(items):
            return ["", *(f"- {item}" for item in items)]
        case Notes(_, items):
            return [f"  {item}" for item in items]
        case Code(commands):
            return ["", *(f"  {foreign.terminal(command)}" for command in commands)]
        case Picture():
            return []
        case Table():
            return ["", *grid(block).split("\n")]
        case Details(title, inner):
            return ["", title, *lines(inner)]
        case _:
            assert_never(block)
