"""Which meters a run has: one for each domain that its devices need, or the reason why there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blip_fixtures.meters import MeterError, domains_of, own_domain
from blip_fixtures.meters.nvml import NvmlMeter, torch_device_uuid
from blip_fixtures.meters.perf import open_perf
from blip_fixtures.meters.period import measure_update_period
from blip_fixtures.meters.rapl import DEFAULT_ROOT, open_rapl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from blip_fixtures.meters import Meter

HOST = "host"


@dataclass
class Meters:
    """Every domain's meter or `MeterError`, by device: the host's counters serve all devices, a GPU's its own."""

    by_device: dict[str, dict[str, Meter | MeterError]] = field(default_factory=dict)

    def ready(self, device: str) -> dict[str, Meter]:
        """The domains that can be measured while `device` works, its own first."""
        entries = self._entries(device)
        return {domain: entry for domain, entry in entries.items() if not isinstance(entry, MeterError)}

    def absent(self, device: str) -> dict[str, MeterError]:
        """The domains that cannot, each with its error."""
        return {domain: entry for domain, entry in self._entries(device).items() if isinstance(entry, MeterError)}

    def all_absent(self) -> dict[str, MeterError]:
        """Every error of the run, by ``cpu_package`` or ``gpu of cuda:0``."""
        return {
            domain if device == HOST else f"{domain} of {device}": entry
            for device, entries in self.by_device.items()
            for domain, entry in entries.items()
            if isinstance(entry, MeterError)
        }

    def give_up(self, device: str, domain: str, error: MeterError) -> None:
        """From now on the domain is absent: nobody waits again for a meter that was lost."""
        self.by_device[device if domain == "gpu" else HOST][domain] = error

    def _entries(self, device: str) -> dict[str, Meter | MeterError]:
        entries = {**self.by_device.get(device, {}), **self.by_device.get(HOST, {})}
        order = [*domains_of(device), *entries]
        return {domain: entries[domain] for domain in dict.fromkeys(order) if domain in entries}


def find_meters(
    devices: Iterable[str],
    rapl_root: Path,
    *,
    find_uuid: Callable[[str], str] = torch_device_uuid,
    clock: Callable[[], float] = time.perf_counter,
) -> Meters:
    """Open the meters of `devices` once, measure how often they move, and close them until an energy pass wants them.

    perf is asked only where the system's own powercap cannot be read: a root that somebody named is meant.
    """
    host: dict[str, Meter | MeterError] = {**open_rapl(rapl_root, clock=clock)}
    if rapl_root == DEFAULT_ROOT and isinstance(host["cpu_package"], MeterError):
        host = _better(host, open_perf(clock=clock))
    meters = Meters({HOST: {domain: _with_period(entry, clock) for domain, entry in host.items()}})
    for device in dict.fromkeys(devices):
        if own_domain(device) == "gpu":
            meters.by_device[device] = {"gpu": _gpu(device, find_uuid, clock)}
    return meters


def _better(
    powercap: Mapping[str, Meter | MeterError], perf: Mapping[str, Meter | MeterError]
) -> dict[str, Meter | MeterError]:
    """Perf's meter where it has one; where both fail, the error that can be remedied."""
    chosen: dict[str, Meter | MeterError] = dict(powercap)
    for domain, entry in perf.items():
        first = powercap[domain]
        can_be_remedied = isinstance(entry, MeterError) and entry.status == "permission"
        if not isinstance(entry, MeterError) or (
            can_be_remedied and isinstance(first, MeterError) and first.status == "unsupported"
        ):
            chosen[domain] = entry
    return chosen


def _gpu(device: str, find_uuid: Callable[[str], str], clock: Callable[[], float]) -> Meter | MeterError:
    meter = NvmlMeter(find_uuid(device), clock=clock)
    try:
        meter.open()
    except MeterError as error:
        return error
    return _with_period(meter, clock)


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
