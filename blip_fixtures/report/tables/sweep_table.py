"""One table of a sweep with what stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Table
    from blip_fixtures.report.selection import Group, Selection
    from blip_fixtures.report.sweeps import Sweep


@dataclass(frozen=True)
class SweepTable:
    """`held` are the lines above the table (``BatchSize: 1``), `footnotes` plain sentences below it.

    `spread` is a second table with the latency's median, quartiles and number of rounds; `None` where no record kept
    its rounds.
    """

    sweep: Sweep
    held: tuple[str, ...]
    table: Table
    footnotes: tuple[str, ...]
    spread: Table | None


def held_lines(group: Group, selection: Selection) -> tuple[str, ...]:
    """``BatchSize: 1`` and so on; the prompts too where the sweep ran with several."""
    case = group.records[0].case
    lines = [label + selection.held_value(case, axis) for label, axis in group.sweep.held]
    prompts = {record.case.prompts for record in selection.records if group.sweep.name in record.sweeps}
    if lines and len(prompts) > 1:
        lines.append(f"Prompts: {case.prompts}")
    return tuple(lines)


def row_label(record: Record, sweep: Sweep, selection: Selection) -> str:
    """What the first column says: ``GPU``, ``16``, ``Compile``."""
    return selection.value(record.case, sweep.axis)
