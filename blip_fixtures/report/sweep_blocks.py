"""A sweep in the document: its tables, how its rows stand to the first one, and the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Heading, Lines, Paragraph, Picture
from blip_fixtures.report.footnotes import notes, sentence_case
from blip_fixtures.report.plots import has_plot
from blip_fixtures.report.sweeps.batch_size import BATCH_SIZE
from blip_fixtures.report.tables import group_table
from blip_fixtures.report.tables.against import against_first

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Sweep
    from blip_fixtures.report.tables.sweep_table import SweepTable


def sweep_blocks(sweep: Sweep, selection: Selection, prose: Prose, price: float | None = None) -> list[Block]:
    """The tables of one sweep with what stands around them; how to run it where no record is of it.

    `price` is that of an hour of the machine.
    """
    groups = selection.groups(sweep)
    blocks: list[Block] = [Heading(sweep.title)]
    if not groups:
        return [*blocks, Paragraph(prose.say("sweep_not_run", command=f"pytest benchmarks -k test_{sweep.name}"))]
    if not sweep.axis:
        blocks.append(Paragraph(prose.say("own_sweep_intro")))
    for group in groups:
        blocks += _table_blocks(group, selection, prose, price)
    if sweep.plot is not None and has_plot(groups):
        blocks.append(Picture(sweep.plot.title, f"plots/{sweep.plot.file}"))
    return blocks


def _table_blocks(group: Group, selection: Selection, prose: Prose, price: float | None) -> list[Block]:
    table = group_table(group, selection, prose)
    against = against_first(group, selection, prose, price)
    blocks = [*_held(table), table.table]
    if against is None:
        return [*blocks, *notes(table.footnotes, prose)]
    footnotes = (*table.footnotes, *against.footnotes)
    if group.sweep.name == BATCH_SIZE.name:
        # Its throughput is what a reader looks for first, so it stands in the summary.
        return [*blocks, *notes(footnotes, prose)]
    below: list[Block] = [] if against.table is None else [Paragraph(f"{sentence_case(against.title)}:"), against.table]
    return [*blocks, *below, *notes(footnotes, prose)]


def _held(table: SweepTable) -> list[Block]:
    return [Lines(table.held)] if table.held else []
