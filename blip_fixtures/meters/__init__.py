"""Energy meters. A meter reads the counters of one domain; the rest of the code sees neither NVML nor sysfs.

`finding.py` says which meters this machine has, `nvml.py`, `rapl.py` and `perf.py` read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from blip_fixtures.record import Energy


# What a counter sees: every process on every socket; one GPU board; a GPU whose MIG instances share it.
MACHINE, BOARD, PARENT_GPU = "machine", "board", "parent_gpu"


class MeterError(RuntimeError):
    """A meter that cannot be read: `status` is the record's word for it, `reason` says what, why and what next."""

    def __init__(self, status: str, reason: str) -> None:
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
    degraded: tuple[str, ...] = ()
    contended: tuple[str, ...] = ()


class Meter(Protocol):
    """Reads the energy counters of one domain.

    `scope` is what the counters see (`MACHINE`, `BOARD`, `PARENT_GPU`), `update_period_s` how often they move
    (0.0 until it was measured), `least_window_s` the shortest window to measure with. `power_limits_w` is the most
    that each zone can draw, `None` where the machine does not say. `caveat` weakens every number of this meter.
    """

    domain: str
    source: str
    scope: str
    update_period_s: float
    least_window_s: float
    power_limits_w: tuple[float | None, ...]
    caveat: str | None

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


def own_domain(device: str) -> str:
    """The domain whose joules a row on `device` shows."""
    return "cpu_package" if device == "cpu" else "gpu"


def domains_of(device: str) -> tuple[str, ...]:
    """Every domain that works for a case on `device`, its own first."""
    host = ("cpu_package", "dram")
    return host if device == "cpu" else ("gpu", *host)


def absent(status: str, reason: str | None, *, source: str | None = None, scope: str | None = None) -> Energy:
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
        "source": source,
        "scope": scope,
    }
