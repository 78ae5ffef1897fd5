"""Energy meters. A meter reads the counters of one domain; the rest of the code sees neither NVML nor sysfs.

A source of meters is one file: `nvml.py`, `rapl.py` and `perf.py` each have a function `meters_of(search)`, and
`METER_SOURCES` in `finding.py` names them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from blip_fixtures.record import Energy
from blip_fixtures.words import Domain

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.reasons import Reason
    from blip_fixtures.words import EnergyStatus, Scope


class MeterError(RuntimeError):
    """A meter that cannot be read: `status` is the record's word for it, `reason` says what, why and what next."""

    def __init__(self, status: EnergyStatus, reason: Reason) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Reading:
    """Raw counters in microjoules, one for each zone of the domain, read between two monotonic clock readings.

    `ranges_uj` is where each counter wraps, read together with it; `None` for one that never does. `slack_uj` only
    grows: what the counters may be wrong by on top of their update period, for a counter that is itself an estimate.
    """

    counters_uj: tuple[int, ...]
    ranges_uj: tuple[int | None, ...]
    before_s: float
    after_s: float
    slack_uj: int = 0


@dataclass(frozen=True)
class Conditions:
    """What the device tells about itself at one moment: facts for the record, and reasons not to trust a number."""

    facts: dict[str, Any] = field(default_factory=dict)
    degraded: tuple[Reason, ...] = ()
    contended: tuple[Reason, ...] = ()


class Meter(Protocol):
    """Reads the energy counters of one domain.

    `update_period_s` is how often they move (0.0 until it was measured), `least_window_s` the shortest window to
    measure with. `power_limits_w` is the most that each zone can draw, `None` where the machine does not say. `caveat`
    weakens every number of this meter.
    """

    domain: Domain
    source: str
    scope: Scope
    update_period_s: float
    least_window_s: float
    power_limits_w: tuple[float | None, ...]
    caveat: Reason | None

    def open(self) -> None:
        """Find the counters and read them once. Raises `MeterError`."""
        ...

    def read(self) -> Reading:
        """The counters now. Raises `MeterError`."""
        ...

    def conditions(self) -> Conditions:
        """The state of the device now; never raises for a fact that cannot be read, it says ``unknown``."""
        ...

    def close(self) -> None:
        """Let go of the counters; harmless when it is closed already."""
        ...


# The device whose meters see the whole machine, so that they serve every case.
HOST = "cpu"


@dataclass(frozen=True)
class Search:
    """What a source of meters is asked for: the meters of `device`, a torch device, with `clock` in seconds."""

    device: str
    rapl_root: Path
    clock: Callable[[], float] = time.perf_counter


# An open meter, or why there is none, for each domain that the source knows of; empty for a device that is not its own.
MeterSource = Callable[[Search], "dict[Domain, Meter | MeterError]"]


def own_domain(device: str) -> Domain:
    """The domain whose joules a row on `device` shows."""
    return Domain.CPU_PACKAGE if device == HOST else Domain.GPU


def domains_of(device: str) -> tuple[Domain, ...]:
    """Every domain that works for a case on `device`, its own first."""
    host = (Domain.CPU_PACKAGE, Domain.DRAM)
    return host if device == HOST else (Domain.GPU, *host)


def absent(status: EnergyStatus, reason: Reason, *, source: str | None = None, scope: Scope | None = None) -> Energy:
    """A domain without a number, and why."""
    return Energy(
        joules_per_sample=None,
        joules_per_token=None,
        joules=None,
        window_s=None,
        samples=None,
        error_bound_j=None,
        idle_watts=None,
        net_joules_per_sample=None,
        status=status,
        reason=reason,
        source=source,
        scope=scope,
    )
