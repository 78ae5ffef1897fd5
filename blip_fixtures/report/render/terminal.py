"""Blocks to the lines of a terminal, none of them wider than that."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, assert_never

from blip_fixtures import foreign
from blip_fixtures.report.blocks import Bullets, Code, Details, Heading, Lines, Notes, Paragraph, Picture, Table
from blip_fixtures.report.brief import brief_blocks
from blip_fixtures.report.render.narrow import narrow, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.footnotes import Footnote

# Where there is no terminal to ask.
_WITHOUT_TERMINAL = (80, 24)
_LEAST = 20
_NOTE = "  "


def terminal_width() -> int:
    """The columns of the terminal, one left free: many go to the next line when the last one is taken."""
    return max(shutil.get_terminal_size(_WITHOUT_TERMINAL).columns, _LEAST) - 1


def terminal_lines(records: Sequence[Record], width: int | None = None, further: Sequence[Footnote] = ()) -> list[str]:
    """The tables of a run with their footnotes and `further` ones, as they stand at its end."""
    return lines(brief_blocks(records, further), width)


def lines(blocks: Sequence[Block], width: int | None = None) -> list[str]:
    """All lines, without their ends. An image is not shown."""
    most = terminal_width() if width is None else width
    # A line that goes on may begin with what a runner takes for a command.
    return [foreign.terminal(line)[:most] for block in blocks for line in _lines(block, most)]


def _lines(block: Block, width: int) -> list[str]:
    match block:
        case Heading(text):
            return ["", *wrapped(text, width)]
        case Paragraph(text):
            return ["", *wrapped(text, width)]
        case Lines(found):
            return [line for text in found for line in wrapped(text, width)]
        case Bullets(items):
            return ["", *_hanging([item.replace("**", "") for item in items], "- ", width)]
        case Notes(_, items):
            return _hanging(items, _NOTE, width)
        case Code(commands):
            # A command that is broken cannot be copied.
            return ["", *(f"{_NOTE}{foreign.terminal(command)}" for command in commands)]
        case Picture():
            return []
        case Table():
            return ["", *narrow(block, width)]
        case Details(title, inner):
            return ["", *wrapped(title, width), *(line for each in inner for line in _lines(each, width))]
        case _:
            assert_never(block)


def _hanging(items: Iterable[str], first: str, width: int) -> list[str]:
    """Each item behind `first`, its further lines as far from the edge and two more."""
    shown = []
    for item in items:
        head, *more = wrapped(item, width - len(first))
        shown.append(f"{first}{head}")
        rest = " ".join(more)
        indent = " " * (len(first) + 2)
        shown += [f"{indent}{line}" for line in wrapped(rest, width - len(indent))] if rest else []
    return shown
