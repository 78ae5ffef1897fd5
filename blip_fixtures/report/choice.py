"""The best row of a table by one figure, as far as rows can be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.gate.trust import compared
from blip_fixtures.words import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.trust import Trust
    from blip_fixtures.record import Record
    from blip_fixtures.report.selection import Group, Selection


@dataclass(frozen=True)
class Choice:
    """The best row of a group by one figure, and those that cannot be told from it. `best` is none of `ties`."""

    group: Group
    best: Record
    ties: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """What the group's rows are compared with."""
        return self.group.records[0]

    @property
    def is_no_better(self) -> bool:
        """Whether the first row itself is the best, or cannot be told from it."""
        return self.first in (self.best, *self.ties)


def best_of(
    group: Group,
    selection: Selection,
    read: Callable[[Record], float | None],
    *,
    largest: bool,
    among: Sequence[Record] | None = None,
) -> Choice | None:
    """The row with the best figure; the others that are no slower for all that can be told are ties."""
    rows = [record for record in (group.records if among is None else among) if read(record) is not None]
    if group.records[0] not in rows:
        return None
    best = (max if largest else min)(rows, key=lambda record: read(record) or 0.0)
    trusts = _beside(best, rows, selection)
    # What was timed in turns may say that another one is faster than the one with the best figure.
    faster = [(trust.change, place) for place, trust in enumerate(trusts) if trust and trust.mark == Mark.FASTER]
    if faster:
        best = rows[min(faster)[1]]
        trusts = _beside(best, rows, selection)
    ties = [row for row, trust in zip(rows, trusts, strict=True) if trust is None or trust.mark != Mark.SLOWER]
    return Choice(group, best, tuple(row for row in ties if row is not best))


def _beside(best: Record, rows: Sequence[Record], selection: Selection) -> list[Trust | None]:
    """How each row stands to the best one; that one itself to itself."""
    return compared(selection.timings(best), [selection.timings(row) for row in rows])
