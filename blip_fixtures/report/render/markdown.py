"""Blocks to GitHub's Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from blip_fixtures import foreign
from blip_fixtures.report.blocks import Bullets, Code, Details, Heading, Lines, Notes, Paragraph, Picture, Table
from blip_fixtures.report.render.grid import grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.report.blocks import Block


def text(blocks: Sequence[Block]) -> str:
    """The text of a whole document, its last line ended."""
    return "\n\n".join(_text(block) for block in blocks) + "\n"


def _text(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Lines(lines):
            return "\n".join(lines)
        case Bullets(items):
            return _bullets(items)
        case Notes(title, items):
            return f"{title}:\n{_bullets(items)}"
        case Code(commands):
            return "\n".join(["```console", *(f"$ {foreign.code(command)}" for command in commands), "```"])
        case Picture(title, path):
            return f"![{title}]({path})"
        case Table():
            return grid(block)
        case Details(title, inner):
            return "\n\n".join((f"<details>\n<summary>{title}</summary>", *map(_text, inner), "</details>"))
        case _:
            assert_never(block)


def _bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
