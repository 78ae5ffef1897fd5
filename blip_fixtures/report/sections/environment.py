"""Where the records were measured: one list per distinct machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Bullets, Heading, Paragraph
from blip_fixtures.report.machine import distinct_machines, facts
from blip_fixtures.report.sections.section import Section

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def _body(selection: Selection, prose: Prose) -> list[Block]:
    machines = distinct_machines(selection.records)
    if not machines:
        return [Paragraph(prose.say("env_none"))]
    blocks: list[Block] = []
    for number, environments in enumerate(machines, start=1):
        if len(machines) > 1:
            blocks.append(Heading(prose.say("environment_title", number=number), level=3))
        blocks.append(Bullets(tuple(f"{name}: {text}" for name, text in facts(environments, prose) if text)))
    return blocks


ENVIRONMENT = Section("Environment", _body)
