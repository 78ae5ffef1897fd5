"""Energy meters. A meter reads the counter of one domain; the rest of the code sees neither NVML nor sysfs.

No meter is built yet, so every record carries `absent` energies, each with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from blip_fixtures.record import Energy


@dataclass(frozen=True)
class Reading:
    """A raw counter value in joules and the monotonic clock in seconds just before and just after it was read."""

    joules: float
    before_s: float
    after_s: float


class Meter(Protocol):
    """Reads the energy counter of one domain (``gpu``, ``cpu_package``, ``dram``)."""

    domain: str
    source: str
    scope: str
    update_period_s: float

    def open(self) -> None:
        """Find the counter."""
        ...

    def read(self) -> Reading:
        """The counter now."""
        ...

    def close(self) -> None:
        """Let go of the counter."""
        ...


def own_domain(device: str) -> str:
    """The domain whose joules a row on `device` shows."""
    return "cpu_package" if device == "cpu" else "gpu"


def absent(status: str, reason: str) -> Energy:
    """A domain without a number, and why."""
    return {
        "joules_per_sample": None,
        "joules_per_token": None,
        "joules": None,
        "window_s": None,
        "samples": None,
        "error_bound_j": None,
        "idle_watts": None,
        "net_joules_per_sample": None,
        "status": status,
        "reason": reason,
        "source": None,
        "scope": None,
    }
