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


class Footnote(str):
    """A sentence below a table: `where` it belongs, and the `text`, which a document says once."""

    where: str
    text: str

    @classmethod
    def of(cls, where: str, text: str) -> Footnote:
        """``Energy of all rows: ...``."""
        found = cls(f"{where}: {text}")
        found.where, found.text = where, text
        return found


def gather(remarks: Sequence[Remark], layout: Layout, prose: Prose) -> tuple[str, ...]:
    """One footnote per distinct text, naming its rows and columns; gaps first."""
    footnotes = []
    for is_gap in (True, False):
        key = "gap" if is_gap else "remark"
        for text in dict.fromkeys(remark.text for remark in remarks if remark.is_gap == is_gap):
            alike = [remark for remark in remarks if remark.is_gap == is_gap and remark.text == text]
            where = prose.say(key, where=_places(alike, layout, prose))
            footnotes.append(Footnote.of(where, sentence(text)))
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
    if not isinstance(item, Footnote):
        return item
    first = met.setdefault(item.text, heading)
    short = prose.say("as_above", where=item.where, heading=first)
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
