"""What plots show of a record: a figure, its error bar, and the word where it has none."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.quality.intervals import interval_of
from blip_fixtures.report import figures
from blip_fixtures.report.sweeps import PlotKind
from blip_fixtures.report.tables.spread import quartiles_s
from blip_fixtures.words import EnergyStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose

MOST_OF_A_REASON = 90


@dataclass(frozen=True)
class Quantity:
    """One kind of axis. `name` ends the keys of its texts in the prose; `ends` are those of its error bar.

    Where series lie far apart, `may_be_log` lets the axis be logarithmic, in all plots of a document then.
    """

    name: str
    figure: Callable[[Record, Prose], figures.Figure]
    ends: Callable[[Record], tuple[float, float] | None]
    unit: str = ""
    may_be_log: bool = True

    def title(self, prose: Prose) -> str:
        """What stands above its panel."""
        return prose.say(f"plot_title_{self.name}")

    def axis(self, prose: Prose, unit: str, *, is_log: bool) -> str:
        """What stands beside its axis: name, unit, and that the axis is logarithmic."""
        said = prose.say(f"plot_axis_{self.name}")
        said = f"{said} ({prose.say(f'plot_unit_{unit}')})" if unit else said
        return f"{said}, {prose.say('plot_log_scale')}" if is_log else said

    def gap_word(self, record: Record, prose: Prose) -> str:
        """What became of a record that has no such figure: ``out of memory``."""
        if record.status != Status.OK:
            return prose.case_status(record.status)
        entry = figures.own_energy(record) if self is ENERGY else None
        if entry is not None and entry.status != EnergyStatus.OK:
            return prose.energy_status(entry.status)
        return prose.say("plot_no_figure")


def _quartiles(record: Record) -> tuple[float, float] | None:
    found = quartiles_s(record)
    return None if found is None else found[1:]


def _energy_bound(record: Record) -> tuple[float, float] | None:
    entry, bound_j = figures.own_energy(record), figures.energy_bound_j(record)
    if entry is None or entry.joules_per_sample is None or bound_j is None:
        return None
    return entry.joules_per_sample - bound_j, entry.joules_per_sample + bound_j


def _interval(record: Record) -> tuple[float, float] | None:
    metric = record.quality.get("wer")
    found = None if metric is None else interval_of("wer", metric)
    return None if found is None else found.ends


LATENCY = Quantity("latency", figures.latency_s, _quartiles, "s")
ENERGY = Quantity("energy", figures.energy_j, _energy_bound, "j")
THROUGHPUT = Quantity("throughput", figures.samples_per_s, lambda _record: None, "per_s")
WORD_ERROR_RATE = Quantity("wer", figures.word_error_rate, _interval, may_be_log=False)


@dataclass(frozen=True)
class Shown:
    """The quantities of a plot, one for each panel, and in one line why the second is another one than planned."""

    quantities: tuple[Quantity, ...]
    remark: str = ""


def shown_of(kind: PlotKind, records: Sequence[Record], prose: Prose) -> Shown:
    """What a plot of that kind shows of these records: throughput where it would have an empty half."""
    wanted = WORD_ERROR_RATE if kind is PlotKind.LATENCY_AND_QUALITY else ENERGY
    if _is_known(wanted, records, prose):
        return Shown((LATENCY, wanted))
    instead = (THROUGHPUT,) if _is_known(THROUGHPUT, records, prose) else ()
    why = _why_none(wanted, records, prose)
    said = prose.say(f"plot_no_{wanted.name}", why=why)
    return Shown((LATENCY, *instead), f"{said}; {prose.say('plot_instead')}" if instead else said)


def _is_known(quantity: Quantity, records: Sequence[Record], prose: Prose) -> bool:
    return any(quantity.figure(record, prose).value is not None for record in records)


def _why_none(quantity: Quantity, records: Sequence[Record], prose: Prose) -> str:
    """The words for it of the cases that ran, or their reason in full where there is no word."""
    ran = [record for record in records if record.status == Status.OK] or list(records)
    words = dict.fromkeys(quantity.gap_word(record, prose) for record in ran)
    if list(words) == [prose.say("plot_no_figure")]:
        words = dict.fromkeys(quantity.figure(record, prose).reason for record in ran)
    return textwrap.shorten("; ".join(words), MOST_OF_A_REASON, placeholder=" ...", break_on_hyphens=False)
