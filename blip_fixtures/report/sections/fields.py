"""Sections that show one field of the record: a row for each case that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Cell, Head, Paragraph, Table
from blip_fixtures.report.footnotes import Remark, notes
from blip_fixtures.report.sections.cases import absent_rows, case_names, cases_that_ran, reasons_of, scoped_notes
from blip_fixtures.report.sections.section import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


@dataclass(frozen=True)
class FieldColumn:
    """A column that shows the field at `path` of a record, whose numbers have the unit `unit`.

    A record that has nothing but fields that are not `enough` gets no row. An `optional` column stands only where a
    record has a number in it that is not 0.
    """

    header: str
    path: str
    show: Callable[[Any], str]
    unit: str = ""
    enough: bool = True
    optional: bool = False

    def cell(self, record: Record) -> Cell:
        """The field of one record."""
        value = dig(record, self.path)
        return Cell(self.show(value), value if isinstance(value, (int, float)) else None)


@dataclass(frozen=True)
class FieldSection:
    """What one such section shows.

    Its sentences are ``<field>_intro`` and ``<field>_none`` of the prose; `facts` fills the former's placeholders, and
    `below` are further blocks between the table and its notes. A `recent` field is one that older releases did not
    write: where no record has it there is no section. Of a section that `folds` rows that differ in one axis alone are
    one, with all its values.
    """

    field: str
    heading: str
    columns: tuple[FieldColumn, ...]
    facts: Callable[[Sequence[Record], Prose], Mapping[str, str]] = lambda _shown, _prose: {}
    below: Callable[[Sequence[Record], Selection, Prose], list[Block]] = lambda _shown, _selection, _prose: []
    recent: bool = False
    folds: bool = False

    @property
    def section(self) -> Section:
        """It as a section of the document."""
        return Section(self.heading, self.body)

    def body(self, selection: Selection, prose: Prose) -> list[Block]:
        """Table and footnotes, or the reasons why no record has the field."""
        cases = cases_that_ran(selection)
        parts = [column.path for column in self.columns if column.enough]
        shown = [record for record in cases if any(dig(record, path) is not None for path in parts)]
        if not shown and self.recent:
            return []
        if not shown:
            return [Paragraph(prose.say(f"{self.field}_none", reasons=reasons_of(selection, parts[0], prose)))]
        names = case_names(shown, selection)
        columns = [
            column
            for column in self.columns
            if not column.optional or any(dig(record, column.path) for record in shown)
        ]
        remarks: list[Remark] = []
        for record in shown:
            remarks += self._remarks(record, columns, names.label(record), prose)
        heads = (*names.heads, *(Head(column.header, column.unit) for column in columns))
        rows = [(*names.cells(record), *(column.cell(record) for column in columns)) for record in shown]
        rows = folded(rows, len(names.axes)) if self.folds else rows
        absent = absent_rows(cases, shown, parts[0], selection, prose)
        return [
            Paragraph(prose.say(f"{self.field}_intro", **self.facts(shown, prose))),
            *names.same_in_every_row(prose),
            Table(heads, tuple(rows)),
            *self.below(shown, selection, prose),
            *notes([*names.gathered(remarks, shown, prose), *absent], prose),
        ]

    def _remarks(self, record: Record, columns: Sequence[FieldColumn], label: str, prose: Prose) -> list[Remark]:
        gaps = [
            Remark(label, column.header, figures.why_missing(record, column.path, prose), is_gap=True)
            for column in columns
            if dig(record, column.path) is None
        ]
        return [*gaps, *scoped_notes(record, label, self.field, prose)]


def folded(rows: Sequence[tuple[Cell, ...]], axes: int) -> list[tuple[Cell, ...]]:
    """Rows that are equal but for one of their first `axes` cells as one row, whose cell has all the values there."""
    found = list(rows)
    for axis in range(axes):
        alike: dict[tuple[Cell, ...], list[Cell]] = {}
        for row in found:
            alike.setdefault((*row[:axis], *row[axis + 1 :]), []).append(row[axis])
        found = [
            (*rest[:axis], Cell(", ".join(cell.text for cell in cells)), *rest[axis:]) for rest, cells in alike.items()
        ]
    return found


def dig(record: Record, path: str) -> Any:
    """The value at a dotted path: fields of structs, keys of mappings; `None` where there is none."""
    value: Any = record
    for name in path.split("."):
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
    return value
