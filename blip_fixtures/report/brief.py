"""What a terminal shows of a run: a table for each sweep, and each reason once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.report.blocks import Bullets, Cell, Head, Heading, Lines, Notes, Table
from blip_fixtures.report.footnotes import Footnote
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.selection import CASE_AXES, Selection, case_key, select
from blip_fixtures.report.summary import choices
from blip_fixtures.report.sweeps import axis_header, sweeps_of
from blip_fixtures.report.tables import group_table
from blip_fixtures.report.tables.against import against_first
from blip_fixtures.report.trust import change, mark, trusts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.selection import Group
    from blip_fixtures.report.sweeps import Sweep
    from blip_fixtures.report.tables.sweep_table import SweepTable


def brief_blocks(records: Sequence[Record], further: Sequence[Footnote] = ()) -> list[Block]:
    """Every sweep's table below its title, with its footnotes, and `further` notes behind them.

    Groups of a sweep are one table where they have the same columns: what tells them apart stands in each row.
    """
    prose = load_prose("en")
    selection = select(records, foreign.terminal)
    parts = [
        _Part.of(sweep, groups, selection, prose)
        for sweep in sweeps_of(selection.records)
        for groups in _alike([(group, group_table(group, selection, prose)) for group in selection.groups(sweep)])
    ]
    said = _Once([note for part in parts for note in part.notes] + list(further), prose)
    blocks: list[Block] = []
    items = choices(selection, prose, links=False)
    if items:
        blocks += [Heading(prose.say("summary_title")), Bullets(tuple(items))]
    for part in parts:
        blocks += [Heading(part.title), *([Lines((part.held,))] if part.held else []), part.table]
        blocks += [Notes("", said.texts(part.notes))] if part.notes else []
    if further:
        blocks.append(Lines(("", *said.texts(further))))
    return blocks


def _alike(pairs: Sequence[tuple[Group, SweepTable]]) -> list[list[tuple[Group, SweepTable]]]:
    """Those that have the same columns together."""
    found: dict[tuple[str, ...], list[tuple[Group, SweepTable]]] = {}
    for group, table in pairs:
        found.setdefault(tuple(head.text for head in table.table.heads), []).append((group, table))
    return list(found.values())


@dataclass(frozen=True)
class _Part:
    """One table of the summary."""

    title: str
    held: str
    table: Table
    notes: tuple[Footnote, ...]

    @classmethod
    def of(cls, sweep: Sweep, pairs: Sequence[tuple[Group, SweepTable]], selection: Selection, prose: Prose) -> _Part:
        groups = [group for group, _ in pairs]
        axes = [axis for _, axis in sweep.held]
        if len({group.records[0].case.prompts for group in groups}) > 1:
            axes.append("prompts")
        values = {axis: [str(selection.value(group.records[0].case, axis)) for group in groups] for axis in axes}
        differing = [axis for axis in axes if len(set(values[axis])) > 1]
        heads = [*(Head(axis_header(axis)) for axis in differing), *pairs[0][1].table.heads]
        rows: list[tuple[Cell, ...]] = []
        notes: list[Footnote] = []
        told: list[Cell] = []
        for number, (group, table) in enumerate(pairs):
            own = [values[axis][number] for axis in differing]
            rows += [(*map(Cell, own), *row) for row in table.table.rows]
            against = against_first(group, selection, prose)
            footnotes = (*table.footnotes, *(() if against is None else against.footnotes))
            notes += [_of_group(", ".join(own), footnote, prose) for footnote in footnotes]
            told += _told(group, table, selection)
        if any(cell.text for cell in told):
            heads.append(Head("vs first"))
            rows = [(*row, cell) for row, cell in zip(rows, told, strict=True)]
        held = [f"{axis_header(axis)} {found[0]}" for axis, found in values.items() if axis not in differing]
        whole = Table(tuple(heads), tuple(rows))
        if not sweep.axis:
            whole, alike = _without_alike(whole)
            held += alike
        return cls(sweep.title, ", ".join(held), whole, tuple(dict.fromkeys(notes)))


def _told(group: Group, table: SweepTable, selection: Selection) -> list[Cell]:
    """How each row stands to the first one: ``-12 %, faster``. Of datasets side by side the footnotes say it."""
    if group.datasets or not group.sweep.axis:
        return [Cell("")] * len(table.table.rows)
    trusts = trusts_of(group, selection)
    found = [trusts.get(case_key(record)) for record in group.records]
    return [Cell("") if trust is None else Cell(f"{change(trust)}, {mark(trust)}", trust.change) for trust in found]


def _without_alike(table: Table) -> tuple[Table, list[str]]:
    """A table of all axes without those that have one value in all rows, and these; one axis is left in any case."""
    axes = {axis_header(axis) for axis in CASE_AXES}
    alike = [
        place
        for place, head in enumerate(table.heads)
        if head.text in axes and len({row[place].text for row in table.rows}) == 1
    ]
    if all(place in alike for place, head in enumerate(table.heads) if head.text in axes):
        alike = alike[1:]
    kept = [place for place in range(len(table.heads)) if place not in alike]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    held = [f"{table.heads[place].text} {table.rows[0][place].text}" for place in alike]
    return Table(tuple(table.heads[place] for place in kept), rows), held


def _of_group(name: str, footnote: str, prose: Prose) -> Footnote:
    """A footnote of a table that stands with others; `name` is empty where it stands alone."""
    if not isinstance(footnote, Footnote):
        footnote = Footnote.of_all(footnote)
    return footnote.named(name, prose) if name else footnote


@dataclass
class _Once:
    """Says a text in full where it first stands, and where it stands again only which one it is."""

    notes: Sequence[Footnote]
    prose: Prose
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._counts = Counter(note.text for note in self.notes)

    def texts(self, notes: Sequence[Footnote]) -> tuple[str, ...]:
        """The footnotes as they are shown; several of one place that were said before are one."""
        shown: list[str] = []
        again: dict[tuple[str, str], list[int]] = {}
        for note in notes:
            if note.text in self._numbers:
                again.setdefault((note.key, note.where), []).append(self._numbers[note.text])
            elif self._counts[note.text] > 1:
                number = self._numbers[note.text] = len(self._numbers) + 1
                shown.append(_joined(note.key, note.where, f"[{number}] {note.text}", self.prose))
            else:
                shown.append(str(note))
        for (key, where), numbers in again.items():
            listed = ", ".join(f"[{number}]" for number in numbers)
            shown.append(_joined(key, where, self.prose.say("note_again", numbers=listed), self.prose))
        return tuple(shown)


def _joined(key: str, where: str, text: str, prose: Prose) -> str:
    return prose.say(key, where=where, text=text) if key else text
