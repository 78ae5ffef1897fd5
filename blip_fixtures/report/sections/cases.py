"""What the sections have in common: how their rows name cases, and what they say of those that have no row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Cell, Head, Paragraph
from blip_fixtures.report.footnotes import Layout, Remark, gather, sentence
from blip_fixtures.report.selection import CASE_AXES, Selection
from blip_fixtures.report.sweeps import axis_header, axis_phrase
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose


@dataclass(frozen=True)
class CaseNames:
    """How the rows of one section name their cases: a column per axis that varies, the rest said once."""

    axes: tuple[str, ...]
    constants: str
    selection: Selection

    @property
    def heads(self) -> list[Head]:
        """Those of the varying axes."""
        return [Head(axis_header(axis)) for axis in self.axes]

    def cells(self, record: Record) -> list[Cell]:
        """The varying axes of one case."""
        return [Cell(self.selection.value(record.case, axis)) for axis in self.axes]

    def label(self, record: Record) -> str:
        """The varying axes in one phrase: ``CPU fp16 batch 4``."""
        return " ".join(axis_phrase(axis, self.selection.value(record.case, axis)) for axis in self.axes)

    def gathered(self, remarks: Sequence[Remark], records: Sequence[Record], prose: Prose) -> tuple[str, ...]:
        """The footnotes of a table with a row for each of `records`."""
        return gather(remarks, Layout(tuple(self.label(record) for record in records)), prose)

    def same_in_every_row(self, prose: Prose) -> list[Block]:
        """One line with the axes that do not vary; nothing when all do."""
        return [Paragraph(prose.say("constants", constants=self.constants))] if self.constants else []


def case_names(records: Sequence[Record], selection: Selection, *, hide: Iterable[str] = ()) -> CaseNames:
    """Names for these records; the dataset stays a column where nothing varies, axes in `hide` are left out."""
    hidden = set(hide)
    values = {
        axis: {selection.value(record.case, axis) for record in records} for axis in CASE_AXES if axis not in hidden
    }
    varying = tuple(axis for axis, found in values.items() if len(found) > 1) or tuple(values)[:1]
    constants = [f"{axis_header(axis)} {found.pop()}" for axis, found in values.items() if axis not in varying]
    return CaseNames(varying, ", ".join(constants), selection)


def cases_that_ran(selection: Selection) -> list[Record]:
    """Those that have figures."""
    return [record for record in selection.cases() if record.status == Status.OK]


def scoped_notes(record: Record, label: str, field: str, prose: Prose) -> list[Remark]:
    """Only the notes on this field: the others stand under the sweeps' tables already."""
    return [Remark(label, "", prose.say_reason(note)) for note in record.notes if note.scope == field]


def absent_rows(
    cases: Sequence[Record], shown: Sequence[Record], path: str, selection: Selection, prose: Prose
) -> list[str]:
    """Which cases that ran have no row in a section, and why."""
    names = case_names(cases, selection)
    labels_of: dict[str, list[str]] = {}
    for record in cases:
        if record not in shown:
            labels_of.setdefault(figures.why_missing(record, path, prose), []).append(names.label(record))
    layout = Layout(tuple(names.label(record) for record in cases))
    return [
        prose.say("no_row", rows=layout.names(labels, prose), text=sentence(reason))
        for reason, labels in labels_of.items()
    ]


def reasons_of(selection: Selection, path: str, prose: Prose) -> str:
    """The distinct reasons why the field at `path` is null, of the cases that ran unless none did."""
    cases = cases_that_ran(selection) or selection.cases()
    return sentence("; ".join(dict.fromkeys(figures.why_missing(record, path, prose) for record in cases)))
