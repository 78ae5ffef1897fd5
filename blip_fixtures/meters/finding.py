"""Which meters a run has: one for each domain that its devices need, or the reason why there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.meters import HOST, MeterError, Search, domains_of, nvml, own_domain, perf, rapl
from blip_fixtures.meters.joined import joined
from blip_fixtures.meters.period import measure_update_period
from blip_fixtures.words import Domain, EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.meters import Meter, MeterSource

# In the order in which they are asked; one that stands in for another comes behind it.
METER_SOURCES: tuple[MeterSource, ...] = (
    nvml.meters_of,
    rapl.meters_of,
    perf.meters_of,
)


@dataclass
class Meters:
    """Every domain's meter or `MeterError`, by device: the host's counters serve all devices, a GPU's its own."""

    by_device: dict[str, dict[Domain, Meter | MeterError]] = field(default_factory=dict)

    def ready(self, device: str) -> dict[Domain, Meter]:
        """The domains that can be measured while `device` works, its own first."""
        entries = self._entries(device)
        return {domain: entry for domain, entry in entries.items() if not isinstance(entry, MeterError)}

    def absent(self, device: str) -> dict[Domain, MeterError]:
        """The domains that cannot, each with its error."""
        return {domain: entry for domain, entry in self._entries(device).items() if isinstance(entry, MeterError)}

    def all_absent(self) -> dict[str, MeterError]:
        """Every error of the run, by ``cpu_package`` or ``gpu of cuda:0``."""
        return {
            str(domain) if device == HOST else f"{domain} of {device}": entry
            for device, entries in self.by_device.items()
            for domain, entry in entries.items()
            if isinstance(entry, MeterError)
        }

    def give_up(self, device: str, domain: Domain, error: MeterError) -> None:
        """From now on the domain is absent: nobody waits again for a meter that was lost."""
        self.by_device[device if domain == Domain.GPU else HOST][domain] = error

    def _entries(self, device: str) -> dict[Domain, Meter | MeterError]:
        entries = {**self.by_device.get(device, {}), **self.by_device.get(HOST, {})}
        order = [*domains_of(device), *entries]
        return {domain: entries[domain] for domain in dict.fromkeys(order) if domain in entries}


def find_meters(
    devices: Iterable[str],
    rapl_root: Path,
    *,
    sources: Sequence[MeterSource] = METER_SOURCES,
    clock: Callable[[], float] = time.perf_counter,
) -> Meters:
    """Open the meters of the host and of `devices` once, measure how often they move, and close them.

    They stay closed until an energy pass wants them. A source is asked where those before it have no meter for the
    device's own domain. Several cards have one meter together.
    """
    meters = Meters()
    for device in dict.fromkeys((HOST, *devices)):
        of_cards = {card: _asked(Search(card, rapl_root, clock), sources) for card in cards_of(device)}
        entries = joined(of_cards, clock) if len(of_cards) > 1 else of_cards[device]
        meters.by_device[device] = {domain: _with_period(entry, clock) for domain, entry in entries.items()}
    return meters


def _asked(search: Search, sources: Sequence[MeterSource]) -> dict[Domain, Meter | MeterError]:
    """What the sources have for one card or the host."""
    entries: dict[Domain, Meter | MeterError] = {}
    for source in sources:
        own = entries.get(own_domain(search.device))
        if own is None or isinstance(own, MeterError):
            entries = _better(entries, source(search))
    return entries


def _better(
    before: Mapping[Domain, Meter | MeterError], other: Mapping[Domain, Meter | MeterError]
) -> dict[Domain, Meter | MeterError]:
    """The other source's meter where it has one; where both fail, the error that can be remedied."""
    chosen = dict(before)
    for domain, entry in other.items():
        first = before.get(domain)
        can_be_remedied = isinstance(entry, MeterError) and entry.status == EnergyStatus.PERMISSION
        if (
            first is None
            or not isinstance(entry, MeterError)
            or (can_be_remedied and isinstance(first, MeterError) and first.status == EnergyStatus.UNSUPPORTED)
        ):
            if first is not None and not isinstance(first, MeterError):
                first.close()
            chosen[domain] = entry
    return chosen


def _with_period(entry: Meter | MeterError, clock: Callable[[], float]) -> Meter | MeterError:
    """The open meter with its period measured, closed; the error of one that does not move."""
    if isinstance(entry, MeterError):
        return entry
    try:
        entry.update_period_s = measure_update_period(entry, clock)
    except MeterError as error:
        return error
    finally:
        entry.close()
    return entry
