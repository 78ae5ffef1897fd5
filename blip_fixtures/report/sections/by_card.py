"""What each card of several had of a sum: memory and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures import formats
from blip_fixtures.report.blocks import Cell, Head, Paragraph, Table
from blip_fixtures.report.sections.cases import case_names
from blip_fixtures.words import Domain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.record import CardEnergy, CardMemory, Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def memory_by_card(shown: Sequence[Record], selection: Selection, prose: Prose) -> list[Block]:
    """The memory of each card; nothing where every model lies on one device."""
    heads = tuple(Head(f"{name} (MiB)", "byte") for name in ("weights", "peak", "reserved"))

    def cells(card: CardMemory) -> list[Cell]:
        numbers = (card.weights_bytes, card.peak_bytes, card.reserved_bytes)
        return [Cell(formats.mebibytes(number), number) for number in numbers]

    found = [(record, record.memory.by_card) for record in shown if record.memory is not None]
    return _table(found, (heads, cells), selection, prose, "memory_by_card")


def energy_by_card(shown: Sequence[Record], selection: Selection, prose: Prose) -> list[Block]:
    """The energy of each card; nothing where every model lies on one device."""
    heads = (Head("gross (J/sample)", "J"), Head("both windows (J)", "J"), Head("error bound (J)", "J"))

    def cells(card: CardEnergy) -> list[Cell]:
        return [
            Cell(formats.energy(card.joules_per_sample), card.joules_per_sample),
            Cell(formats.significant(card.joules, 4), card.joules),
            Cell(formats.significant(card.error_bound_j, 2), card.error_bound_j),
        ]

    found = [(record, record.energy[Domain.GPU].by_card) for record in shown if Domain.GPU in record.energy]
    return _table(found, (heads, cells), selection, prose, "energy_by_card")


def _table(
    found: Sequence[tuple[Record, Mapping[str, Any]]],
    columns: tuple[tuple[Head, ...], Callable[[Any], list[Cell]]],
    selection: Selection,
    prose: Prose,
    sentence: str,
) -> list[Block]:
    across = [(record, by_card) for record, by_card in found if by_card]
    if not across:
        return []
    heads, cells = columns
    names = case_names([record for record, _ in across], selection)
    rows = tuple(
        (*names.cells(record), Cell(card), *cells(part)) for record, by_card in across for card, part in by_card.items()
    )
    return [
        Paragraph(prose.say(sentence)),
        *names.same_in_every_row(prose),
        Table((*names.heads, Head("card"), *heads), rows),
    ]
