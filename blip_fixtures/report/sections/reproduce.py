"""The commands that measure and render again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Code, Paragraph
from blip_fixtures.report.sections.section import Section

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def _body(selection: Selection, prose: Prose) -> list[Block]:
    measured = selection.commands
    blocks: list[Block] = [Paragraph(prose.say("reproduce_measure" if measured else "reproduce_unknown"))]
    if measured:
        blocks.append(Code(measured))
    rendered = Code(("python -m blip_fixtures.report RECORDS... --out DIR",))
    return [*blocks, Paragraph(prose.say("reproduce_render")), rendered]


REPRODUCE = Section("How to reproduce", _body)
