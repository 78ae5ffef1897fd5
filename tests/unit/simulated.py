"""An energy counter of a device whose power over time is known exactly, on a clock that only the simulation moves."""

from __future__ import annotations

import bisect
import random
from dataclasses import dataclass, field

from blip_fixtures.meters import Conditions, MeterError, Reading
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus, Scope


@dataclass
class VirtualClock:
    """Seconds that pass when somebody says so."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class Power:
    """Piecewise constant watts: `watts[i]` from `edges_s[i]` on, the last one for ever."""

    def __init__(self, edges_s: list[float], watts: list[float]) -> None:
        self._edges_s, self.watts = edges_s, watts
        self._joules = [0.0]
        for start_s, end_s, level in zip(edges_s, edges_s[1:], watts, strict=False):
            self._joules.append(self._joules[-1] + level * (end_s - start_s))

    @classmethod
    def drawn(cls, chance: random.Random, span_s: float) -> Power:
        """Bursts of random lengths and levels over `span_s` seconds: idle, bursting, or anything between."""
        edges_s, watts = [0.0], [chance.uniform(5, 300)]
        while edges_s[-1] < span_s:
            edges_s.append(edges_s[-1] + chance.expovariate(1 / (span_s * 10 ** chance.uniform(-4, -1))))
            watts.append(chance.choice([chance.uniform(5, 300), 5.0, 300.0]))
        return cls(edges_s, watts)

    def joules(self, seconds: float) -> float:
        """The integral from 0."""
        piece = bisect.bisect_right(self._edges_s, seconds) - 1
        return self._joules[piece] + self.watts[piece] * (seconds - self._edges_s[piece])


@dataclass
class SimulatedMeter:
    """Shows the exact integral, as of the last of its updates; each reading takes `read_s` of virtual time."""

    clock: VirtualClock
    power: Power
    update_period_s: float
    read_s: float = 1e-4
    phase_s: float = 0.0
    range_uj: int | None = None
    offset_uj: int = 0
    domain: Domain = Domain.CPU_PACKAGE
    source: str = "simulated"
    scope: Scope = Scope.MACHINE
    least_window_s: float = 0.0
    caveat: Reason | None = None
    power_limits_w: tuple[float | None, ...] = (300.0,)
    is_open: bool = False
    fails_after: int | None = None
    freezes_at_s: float = float("inf")
    reads: int = 0
    seen: list[Conditions] = field(default_factory=list)

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def conditions(self) -> Conditions:
        return self.seen.pop(0) if self.seen else Conditions()

    def read(self) -> Reading:
        self.reads += 1
        if self.fails_after is not None and self.reads > self.fails_after:
            raise MeterError(EnergyStatus.LOST, Reason.verbatim("the simulated counter vanished"))
        before_s = self.clock()
        self.clock.advance(self.read_s / 2)
        at_s = min(self.clock(), self.freezes_at_s)
        updates = max(int((at_s - self.phase_s) / self.update_period_s), 0)
        shown_uj = round(self.power.joules(self.phase_s + updates * self.update_period_s) * 1e6) + self.offset_uj
        self.clock.advance(self.read_s / 2)
        if self.range_uj is not None:
            shown_uj %= self.range_uj
        return Reading((shown_uj,), (self.range_uj,), before_s, self.clock())
