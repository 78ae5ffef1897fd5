"""Remarks on single cells and rows, gathered into few footnotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Details, Heading, Notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose

MOST_NAMES = 8


@dataclass(frozen=True)
class Remark:
    """What a reader must know about a row, or about one of its columns. A gap is a cell that shows ``-``."""

    row: str
    column: str
    text: str
    is_gap: bool = False


class Footnote(str):
    """A footnote as a document says it, with its parts, by which a shorter summary can say a shared text once.

    `key` is the sentence of the prose that joins `where` and `text`; without one the footnote is its text alone.
    """

    key: str
    where: str
    text: str

    def __new__(cls, said: str, *, key: str = "", where: str = "", text: str = "") -> Footnote:
        """Of what is said already."""
        found = super().__new__(cls, said)
        found.key, found.where, found.text = key, where, text or said
        return found

    @classmethod
    def of(cls, key: str, where: str, text: str, prose: Prose) -> Footnote:
        """``remark`` or ``gap``, of which place, and what it says."""
        return cls(prose.say(key, where=where, text=text), key=key, where=where, text=text)

    @classmethod
    def of_all(cls, said: str) -> Footnote:
        """One that names no place of its own."""
        return cls(said)

    def named(self, name: str, prose: Prose) -> Footnote:
        """The same of a table called `name`."""
        where = ", ".join(part for part in (name, self.where) if part)
        return Footnote.of(self.key or "remark", where, self.text, prose)


@dataclass(frozen=True)
class Layout:
    """The rows and columns a table's remarks may name.

    `row_name` stands before bare numbers (``image_size 224``); `aliases` shorten sets of columns (all latency columns
    of a size table become ``latency``; all columns become nothing).
    """

    rows: tuple[str, ...]
    row_name: str = ""
    aliases: Mapping[frozenset[str], str] = field(default_factory=dict)

    def names(self, labels: Sequence[str], prose: Prose) -> str:
        """``GPU, CPU``, ``image_size 224, 336``, or ``all rows``."""
        distinct = list(dict.fromkeys(labels))
        if len(set(self.rows)) > 1 and set(distinct) == set(self.rows):
            return prose.say("all_rows")
        shown = ", ".join(distinct[:MOST_NAMES])
        if len(distinct) > MOST_NAMES:
            shown = prose.say("others", names=shown, count=len(distinct) - MOST_NAMES)
        return " ".join(part for part in (self.row_name, shown) if part)


def gather(remarks: Sequence[Remark], layout: Layout, prose: Prose) -> tuple[Footnote, ...]:
    """One footnote per distinct text, naming its rows and columns; gaps first."""
    footnotes = []
    for is_gap in (True, False):
        key = "gap" if is_gap else "remark"
        for text in dict.fromkeys(remark.text for remark in remarks if remark.is_gap == is_gap):
            alike = [remark for remark in remarks if remark.is_gap == is_gap and remark.text == text]
            footnotes.append(Footnote.of(key, _places(alike, layout, prose), sentence(text), prose))
    return tuple(footnotes)


def notes(footnotes: Sequence[str], prose: Prose) -> list[Block]:
    """Footnotes as one list under a small heading; nothing when there are none."""
    return [Notes(prose.say("footnotes_title"), tuple(footnotes))] if footnotes else []


def once_each(blocks: Sequence[Block], prose: Prose) -> list[Block]:
    """The blocks of a document, whose later footnotes say where a text stands that a reader has met already."""
    met: dict[str, str] = {}
    return list(_once_each(blocks, prose, met, ""))


def _once_each(blocks: Sequence[Block], prose: Prose, met: dict[str, str], heading: str) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Heading):
            heading = block.text if block.level <= _TITLE_LEVEL else heading
        if isinstance(block, Notes):
            yield Notes(block.title, tuple(_once(item, prose, met, heading) for item in block.items))
        elif isinstance(block, Details):
            yield Details(block.title, tuple(_once_each(block.blocks, prose, met, heading)))
        else:
            yield block


def _once(item: str, prose: Prose, met: dict[str, str], heading: str) -> str:
    if not isinstance(item, Footnote) or not item.key:
        return item
    first = met.setdefault(item.text, heading)
    short = Footnote.of(item.key, item.where, prose.say("as_above", heading=first), prose)
    return short if first != heading and len(short) < len(item) else item


# Sections and sweeps, by whose titles a reader finds them.
_TITLE_LEVEL = 2


def sentence_case(text: str) -> str:
    """`text` with a capital letter first."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """`text` with a full stop unless it ends a sentence already."""
    stripped = text.strip()
    return stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."


def _places(remarks: Sequence[Remark], layout: Layout, prose: Prose) -> str:
    """Rows with the same columns share a place: ``Energy of GPU, CPU; FLOPS of all rows``."""
    columns_of_row: dict[str, list[str]] = {}
    for remark in remarks:
        columns = columns_of_row.setdefault(remark.row, [])
        if remark.column and remark.column not in columns:
            columns.append(remark.column)
    rows_of_columns: dict[tuple[str, ...], list[str]] = {}
    for row, columns in columns_of_row.items():
        rows_of_columns.setdefault(tuple(columns), []).append(row)
    places = []
    for columns_alike, labels in rows_of_columns.items():
        names = layout.names(labels, prose)
        shown = layout.aliases.get(frozenset(columns_alike), ", ".join(columns_alike))
        places.append(prose.say("place", columns=shown, rows=names) if shown else names)
    return "; ".join(places)
