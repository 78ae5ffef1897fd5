"""The five tables, those of registered sweeps, and one for every other sweep of a user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.selection import Group, Selection, select
from blip_fixtures.report.sweeps import sweeps_of
from blip_fixtures.report.tables.every_axis import every_axis_table
from blip_fixtures.report.tables.rows import rows_table, shares_table
from blip_fixtures.report.tables.side_by_side import side_by_side_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.tables.sweep_table import SweepTable


def sweep_tables(records: Sequence[Record], *, lang: str = "en") -> list[SweepTable]:
    """The tables of every sweep that has records, for a terminal: the five in their order, then a user's own."""
    prose = load_prose(lang)
    selection = select(records, foreign.terminal)
    return [
        group_table(group, selection, prose)
        for sweep in sweeps_of(selection.records)
        for group in selection.groups(sweep)
    ]


def group_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """The table of one group of records."""
    sweep = group.sweep
    if not sweep.axis:
        return every_axis_table(group, selection, prose)
    if sweep.datasets:
        return side_by_side_table(group, selection, prose)
    return shares_table(group, selection, prose) if sweep.shares else rows_table(group, selection, prose)
