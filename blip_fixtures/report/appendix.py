"""What stands in the appendix of the document: the spread of the rounds, and the proofs of the optimizations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Bullets, Heading, Paragraph
from blip_fixtures.report.proofs import applied_text
from blip_fixtures.report.sweeps import sweeps_of
from blip_fixtures.report.tables import group_table
from blip_fixtures.report.trust import processes_of

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection


def spread_blocks(selection: Selection, prose: Prose) -> list[Block]:
    """A table of the rounds for each table of a sweep."""
    blocks: list[Block] = []
    for sweep in sweeps_of(selection.records):
        for group in selection.groups(sweep):
            table = group_table(group, selection, prose)
            blocks += [Heading(sweep.title, level=3), *([Paragraph(", ".join(table.held))] if table.held else [])]
            blocks.append(Paragraph(prose.say("no_spread")) if table.spread is None else table.spread)
    _, processes = processes_of(selection.cases(), selection)
    key = "spread_title" if processes < 2 else "spread_title_processes"
    return [Heading("Spread"), Paragraph(prose.say(key, processes=processes)), *blocks] if blocks else []


def proof_blocks(selection: Selection, prose: Prose) -> list[Block]:
    """What the records say to prove that their optimization took effect; of sweeps over optimizations only."""
    groups = [
        group
        for sweep in sweeps_of(selection.records)
        if sweep.axis == "optimization"
        for group in selection.groups(sweep)
    ]
    blocks: list[Block] = []
    for group in groups:
        blocks += _proof(group, selection, prose)
    return [Heading("Proofs"), *blocks] if blocks else []


def _proof(group: Group, selection: Selection, prose: Prose) -> list[Block]:
    lines = [
        f"{selection.value(record.case, 'optimization')}: {applied_text(record.applied, prose)}"
        for record in group.records
        if record.applied
    ]
    return [Paragraph(prose.say("proof_title")), Bullets(tuple(lines))] if lines else []
