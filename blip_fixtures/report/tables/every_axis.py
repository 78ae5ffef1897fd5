"""The table of a sweep that nobody registered: all axes as columns, then the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Cell, Head, Table
from blip_fixtures.report.columns import ENERGY, FLOPS, LATENCY, WORD_ERROR_RATE
from blip_fixtures.report.selection import CASE_AXES
from blip_fixtures.report.sweeps import axis_header, axis_in_row
from blip_fixtures.report.tables.remarks import row_footnotes
from blip_fixtures.report.tables.spread import spread_table
from blip_fixtures.report.tables.sweep_table import SweepTable, held_lines

if TYPE_CHECKING:
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection

_COLUMNS = (LATENCY, ENERGY, FLOPS, WORD_ERROR_RATE)


def every_axis_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """One row per record; the axes that vary name it in the footnotes."""
    columns = group.sweep.columns or _COLUMNS
    axes = [
        axis for axis in CASE_AXES if axis != "prompts" or len({record.case.prompts for record in group.records}) > 1
    ]
    values = [[selection.value(record.case, axis) for axis in axes] for record in group.records]
    varying = [index for index in range(len(axes)) if len({row[index] for row in values}) > 1] or [0]
    labels = [" ".join(axis_in_row(axes[index], row[index]) for index in varying) for row in values]
    rows = [
        (*map(Cell, row), *(column.cell(record, prose) for column in columns))
        for row, record in zip(values, group.records, strict=True)
    ]
    heads = (*(Head(axis_header(axis)) for axis in axes), *(column.head for column in columns))
    return SweepTable(
        sweep=group.sweep,
        held=held_lines(group, selection),
        table=Table(heads, tuple(rows)),
        footnotes=row_footnotes(group, labels, columns, prose),
        spread=spread_table("Case", list(zip(labels, group.records, strict=True))),
    )
