"""Tables with one row for each value of the axis, and columns for each of several datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Cell, Head, Table
from blip_fixtures.report.footnotes import Layout, Remark, gather
from blip_fixtures.report.tables.remarks import cell_remarks, note_remarks, row_facts, row_texts
from blip_fixtures.report.tables.spread import dataset_spread_table
from blip_fixtures.report.tables.sweep_table import SweepTable, held_lines, row_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.columns import Column
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection

# Fields whose columns a footnote names together where it is about those of all datasets.
_ALIASES = {"quality": "all_word_error_rates", "latency": "all_latencies"}


def side_by_side_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """The sweep's columns for each of the group's datasets."""
    sweep = group.sweep
    columns = {dataset: [column.of_dataset(dataset) for column in sweep.columns] for dataset in group.datasets}
    listed = [(row_label(record, sweep, selection), record) for record in group.records]
    by_row: dict[str, dict[str, Record]] = {}
    for label, record in listed:
        by_row.setdefault(label, {})[record.case.dataset] = record
    rows = []
    remarks: list[Remark] = []
    for label, by_dataset in by_row.items():
        row = [Cell(label)]
        for dataset, its_columns in columns.items():
            found = by_dataset.get(dataset)
            row += [column.cell(found, prose) for column in its_columns]
            remarks += (
                _not_run(label, dataset, its_columns, group, prose)
                if found is None
                else _remarks(label, found, its_columns, group, prose)
            )
        rows.append(tuple(row))
    layout = Layout(tuple(by_row), sweep.row_name, _aliases(columns, prose))
    heads = (Head(sweep.header), *(column.head for its_columns in columns.values() for column in its_columns))
    return SweepTable(
        sweep=sweep,
        held=held_lines(group, selection),
        table=Table(heads, tuple(rows)),
        footnotes=(*gather(remarks, layout, prose), *row_facts(listed, sweep, sweep.columns, layout, prose)),
        spread=dataset_spread_table(sweep.header, listed),
    )


def _aliases(columns: Mapping[str, Sequence[Column]], prose: Prose) -> dict[frozenset[str], str]:
    """Sets of columns that a footnote does not list one by one."""
    names_of: dict[str, set[str]] = {}
    for column in (column for its_columns in columns.values() for column in its_columns):
        names_of.setdefault(column.field, set()).add(column.name)
    aliases = {frozenset(names): prose.say(_ALIASES[field]) for field, names in names_of.items() if field in _ALIASES}
    return {**aliases, frozenset(name for names in names_of.values() for name in names): ""}


def _not_run(label: str, dataset: str, columns: Sequence[Column], group: Group, prose: Prose) -> list[Remark]:
    text = prose.say("dataset_not_run", command=f'pytest benchmarks -k "test_{group.sweep.name} and {dataset}"')
    return [Remark(label, column.name, text, is_gap=True) for column in columns]


def _remarks(label: str, record: Record, columns: Sequence[Column], group: Group, prose: Prose) -> list[Remark]:
    remarks = [remark for column in columns for remark in cell_remarks(label, column, record, prose)]
    remarks += note_remarks(label, record, group.sweep, columns, prose, all_columns=True)
    texts = row_texts(record, group, prose)
    return remarks + [Remark(label, column.name, text) for text in texts for column in columns]
