"""Tables with one row for each record: plain, and with shares of the first row."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.blocks import Cell, Head, Table
from blip_fixtures.report.tables.remarks import row_footnotes
from blip_fixtures.report.tables.spread import spread_table
from blip_fixtures.report.tables.sweep_table import SweepTable, held_lines, row_label

if TYPE_CHECKING:
    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Sweep


def rows_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """One figure per column."""
    sweep = group.sweep
    labels = [row_label(record, sweep, selection) for record in group.records]
    rows = [
        (Cell(label), *(column.cell(record, prose) for column in sweep.columns))
        for label, record in zip(labels, group.records, strict=True)
    ]
    return SweepTable(
        sweep=sweep,
        held=held_lines(group, selection),
        table=Table((Head(sweep.header), *(column.head for column in sweep.columns)), tuple(rows)),
        footnotes=row_footnotes(group, labels, sweep.columns, prose),
        spread=spread_table(sweep.header, list(zip(labels, group.records, strict=True))),
    )


def shares_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """The plain columns, each with its share of the first row's figure beside it."""
    plain = rows_table(group, selection, prose)
    first = plain.table.rows[0]
    heads = [plain.table.heads[0]]
    for head in plain.table.heads[1:]:
        heads += [Head(head.text.strip(), head.unit), Head(f"% of original {head.text.strip()}")]
    rows = []
    for label, *cells in plain.table.rows:
        row = [label]
        for cell, original in zip(cells, first[1:], strict=True):
            row += [cell, _share(cell, original)]
        rows.append(tuple(row))
    return dataclasses.replace(
        plain,
        table=Table(tuple(heads), tuple(rows)),
        footnotes=(*plain.footnotes, _baseline_footnote(group.records[0], group.sweep, selection, prose)),
    )


def _share(cell: Cell, original: Cell) -> Cell:
    share = cell.value / original.value if cell.value is not None and original.value else None
    return Cell(formats.percent(share), share)


def _baseline_footnote(baseline: Record, sweep: Sweep, selection: Selection, prose: Prose) -> str:
    label = row_label(baseline, sweep, selection)
    unknown = [column.name for column in sweep.columns if not column.figure(baseline, prose).value]
    if not unknown:
        return prose.say("baseline", label=label)
    return prose.say("baseline_incomplete", label=label, columns=", ".join(unknown))
