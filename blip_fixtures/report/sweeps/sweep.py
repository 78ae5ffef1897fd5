"""What the document must know of a sweep: one value, one file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.record import CaseFields
    from blip_fixtures.report.columns import Column


class PlotKind(StrEnum):
    """What is drawn over the values of the axis."""

    LATENCY_AND_ENERGY = "lines of latency and energy"
    LATENCY_AND_QUALITY = "lines of latency and word error rate, one for each dataset"
    BARS = "bars of latency and energy"


@dataclass(frozen=True)
class Plot:
    """The plot below a sweep's tables: a file name under ``plots/``, its title, and what the x axis says."""

    file: str
    title: str
    kind: PlotKind
    x_label: str = ""
    is_log2: bool = False


@dataclass(frozen=True)
class Sweep:
    """A sweep as the document shows it. `name` is that in the records: the benchmark is ``test_<name>``.

    `axis` is the field of the case that varies; a sweep without one has every axis as a column. `header` stands above
    the axis's values, `row_name` before bare values in a footnote, and `unit` is how one stands in a phrase (``batch
    {}``), in the captions of plots `caption_unit`. `held` are the lines above the table: what a line begins with, and
    the axis whose value ends it. `shared` are the fields of the case that may differ within one table; `order` sorts
    its rows, which else are in the order of the file; `columns` are those of `report/columns.py` or alike. With
    `datasets` the columns stand there once for each of them. With `shares` each column has its share of the first row's
    figure beside it.
    """

    name: str
    title: str
    axis: str = ""
    header: str = ""
    row_name: str = ""
    unit: str = "{}"
    caption_unit: str = "{}"
    held: tuple[tuple[str, str], ...] = ()
    shared: frozenset[str] = frozenset()
    order: Callable[[CaseFields], Any] | None = None
    columns: tuple[Column, ...] = ()
    datasets: tuple[str, ...] = ()
    shares: bool = False
    plot: Plot | None = None
