"""A column of a sweep's table: which figure of a record it shows, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Cell, Head
from blip_fixtures.report.labels import dataset_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.record import Record
    from blip_fixtures.report.figures import Figure
    from blip_fixtures.report.prose import Prose


@dataclass(frozen=True)
class Column:
    """A column of figures.

    `field` is the record's field that it shows, so that notes on that field stand beside it. `header` may end in blanks
    that widen the column, and in a sweep with datasets side by side it holds the place of one's name: ``{dataset}``.
    `unit` is that of the figure, `show` its format.
    """

    header: str
    field: str
    figure: Callable[[Record, Prose], Figure]
    show: Callable[[float | None], str]
    unit: str = ""

    @property
    def name(self) -> str:
        """The header in a sentence."""
        return self.header.strip()

    @property
    def head(self) -> Head:
        """The header as a table has it."""
        return Head(self.header, self.unit)

    def of_dataset(self, dataset: str) -> Column:
        """The column for one of several datasets."""
        return dataclasses.replace(self, header=self.header.format(dataset=dataset_label(dataset)))

    def cell(self, record: Record | None, prose: Prose) -> Cell:
        """The figure of one record; `-` where there is no record."""
        value = None if record is None else self.figure(record, prose).value
        return Cell(self.show(value), value)


LATENCY = Column("Latency", "latency", figures.latency_s, formats.latency, "s")
FLOPS = Column("FLOPS", "flops", figures.flops_total, formats.flops, "FLOP")
ENERGY = Column("Energy", "energy", figures.energy_j, formats.energy, "J")
WORD_ERROR_RATE = Column("WER", "quality", figures.word_error_rate, formats.quality)
