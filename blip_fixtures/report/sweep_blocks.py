"""A sweep in the document: its tables with what stands around them, proofs, and the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Bullets, Heading, Lines, Paragraph, Picture
from blip_fixtures.report.footnotes import notes
from blip_fixtures.report.plots import has_plot
from blip_fixtures.report.proofs import applied_text
from blip_fixtures.report.tables import group_table

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Sweep
    from blip_fixtures.report.tables.sweep_table import SweepTable


def sweep_blocks(sweep: Sweep, selection: Selection, prose: Prose) -> list[Block]:
    """Everything on one sweep; how to run it where no record is of it."""
    groups = selection.groups(sweep)
    blocks: list[Block] = [Heading(sweep.title)]
    if not groups:
        return [*blocks, Paragraph(prose.say("sweep_not_run", command=f"pytest benchmarks -k test_{sweep.name}"))]
    if not sweep.axis:
        blocks.append(Paragraph(prose.say("own_sweep_intro")))
    for group in groups:
        blocks += _table_blocks(group_table(group, selection, prose), prose)
        blocks += _proof(group, selection, prose)
    if sweep.plot is not None and has_plot(groups):
        blocks.append(Picture(sweep.plot.title, f"plots/{sweep.plot.file}"))
    return blocks


def _table_blocks(table: SweepTable, prose: Prose) -> list[Block]:
    blocks = [*_held(table), table.table]
    if table.spread is None:
        return [*blocks, *notes([*table.footnotes, prose.say("no_spread")], prose)]
    return [*blocks, *notes(table.footnotes, prose), Paragraph(prose.say("spread_title")), table.spread]


def _held(table: SweepTable) -> list[Block]:
    return [Lines(table.held)] if table.held else []


def _proof(group: Group, selection: Selection, prose: Prose) -> list[Block]:
    """What the records say to prove that their optimization took effect; where optimizations are the axis only."""
    if group.sweep.axis != "optimization":
        return []
    lines = [
        f"{selection.value(record.case, 'optimization')}: {applied_text(record.applied, prose)}"
        for record in group.records
        if record.applied
    ]
    return [Paragraph(prose.say("proof_title")), Bullets(tuple(lines))] if lines else []
