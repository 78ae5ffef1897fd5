"""What stands below a sweep's table: why a cell is `-`, what weakens a figure, and the records' own notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report import figures
from blip_fixtures.report.footnotes import Layout, Remark, gather
from blip_fixtures.report.tables.comparability import comparability
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.columns import Column
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group
    from blip_fixtures.report.sweeps import Sweep


def row_footnotes(group: Group, labels: Sequence[str], columns: Sequence[Column], prose: Prose) -> tuple[str, ...]:
    """The footnotes of a table with one row for each record."""
    remarks: list[Remark] = []
    for label, record in zip(labels, group.records, strict=True):
        for column in columns:
            remarks += cell_remarks(label, column, record, prose)
        remarks += note_remarks(label, record, group.sweep, columns, prose)
        remarks += [Remark(label, "", text) for text in row_texts(record, group, prose)]
    layout = Layout(tuple(labels), group.sweep.row_name)
    rows = list(zip(labels, group.records, strict=True))
    return (*gather(remarks, layout, prose), *row_facts(rows, group.sweep, columns, layout, prose))


def row_facts(
    rows: Sequence[tuple[str, Record]], sweep: Sweep, columns: Sequence[Column], layout: Layout, prose: Prose
) -> list[str]:
    """Where the energies come from, and what makes the rows less comparable than they look."""
    sources = _energy_sources(rows, layout, prose) if any(column.field == "energy" for column in columns) else []
    return [*sources, *comparability(rows, sweep.axis, layout, prose)]


def cell_remarks(row: str, column: Column, record: Record, prose: Prose) -> list[Remark]:
    """Why a cell is `-`, what weakens its figure, and that a figure is too small for its format."""
    figure = column.figure(record, prose)
    if not formats.is_known(figure.value):
        return [Remark(row, column.name, figure.reason, is_gap=True)]
    remarks = [Remark(row, column.name, figure.caveat)] if figure.caveat else []
    if figure.value and not column.show(figure.value).strip("-0."):
        remarks.append(Remark(row, column.name, prose.say("too_small", value=prose.number(f"{figure.value:.2e}"))))
    return remarks


def note_remarks(
    row: str, record: Record, sweep: Sweep, columns: Sequence[Column], prose: Prose, *, all_columns: bool = False
) -> list[Remark]:
    """The record's notes, each beside the columns of its scope; a note without scope, or on the sweep, is the row's."""
    remarks = []
    for note in record.notes:
        if note.scope in {"", sweep.name, sweep.axis}:
            names = [column.name for column in columns] if all_columns else [""]
        else:
            names = [column.name for column in columns if column.field == note.scope]
        remarks += [Remark(row, name, prose.say_reason(note)) for name in names]
    return remarks


def row_texts(record: Record, group: Group, prose: Prose) -> list[str]:
    """Dropped samples, a replaced measurement, and the fate of a case that failed but kept some figures."""
    texts = []
    if record.status != Status.OK and (record.latency is not None or record.flops is not None):
        texts.append(figures.case_fate(record, prose))
    if record.status == Status.OK and record.data is not None and record.data.dropped:
        texts.append(prose.say("dropped", samples=record.data.dropped))
    if record.status == Status.OK and record.data is not None and record.data.skipped:
        texts.append(prose.say("skipped", rows=record.data.skipped))
    if group.was_replaced(record):
        texts.append(prose.say("replaced"))
    return texts


def _energy_sources(rows: Sequence[tuple[str, Record]], layout: Layout, prose: Prose) -> list[str]:
    """One footnote for every counter behind a table's energies: its source, its scope, and the largest error bound."""
    labels_of: dict[tuple[str, str], list[str]] = {}
    share_of: dict[tuple[str, str], float] = {}
    for label, record in rows:
        entry = figures.own_energy(record)
        if entry is None or entry.joules_per_sample is None or entry.source is None:
            continue
        counter = (entry.source, formats.word(entry.scope))
        labels_of.setdefault(counter, []).append(label)
        if entry.error_bound_j is not None and entry.joules:
            share_of[counter] = max(share_of.get(counter, 0.0), entry.error_bound_j / entry.joules)
    said = []
    for counter, labels in labels_of.items():
        percent = prose.number(formats.significant(100 * share_of[counter], 2)) if counter in share_of else None
        key = "energy_source" if percent is not None else "energy_source_unbounded"
        source, scope = counter
        said.append(prose.say(key, rows=layout.names(labels, prose), source=source, scope=scope, percent=percent or ""))
    return said
