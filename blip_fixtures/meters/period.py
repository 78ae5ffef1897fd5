"""How often a counter moves, measured, since neither NVML nor RAPL tells."""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING

from blip_fixtures.meters import MeterError
from blip_fixtures.reasons import Reason
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.meters import Meter

# Enough intervals for a median; a slow counter gives fewer in the time it may take.
_ENOUGH_INTERVALS = 20
_FEW_INTERVALS = 3
_PATIENCE_S = 1.0
_FROZEN_S = 2.0
_LONGEST_S = 5.0


def measure_update_period(meter: Meter, clock: Callable[[], float]) -> float:
    """Median seconds between two moves of the counter, of the slowest zone where there are several.

    Takes 20 intervals, or one second and at least three, and five seconds at the most. Raises `MeterError` (``lost``)
    for a counter that does not move in two seconds, and what reading raises.
    """
    start_s = clock()
    reading = meter.read()
    moves_s: list[list[float]] = [[] for _ in reading.counters_uj]
    while True:
        earlier, reading = reading, meter.read()
        for zone, (was, now) in enumerate(zip(earlier.counters_uj, reading.counters_uj, strict=True)):
            if now != was:
                moves_s[zone].append((reading.before_s + reading.after_s) / 2)
        intervals = min(len(moves) for moves in moves_s) - 1
        elapsed_s = clock() - start_s
        if intervals >= _ENOUGH_INTERVALS or (intervals >= _FEW_INTERVALS and elapsed_s > _PATIENCE_S):
            return max(statistics.median(_gaps(moves)) for moves in moves_s)
        if intervals < 0 and elapsed_s > _FROZEN_S:
            stood_still = Reason.of(
                "counter_stood_still", source=meter.source, domain=meter.domain, seconds=round(elapsed_s)
            )
            raise MeterError(EnergyStatus.LOST, stood_still)
        if elapsed_s > _LONGEST_S:
            # One move, or few: the period is no longer than the time waited for it.
            return max(max(_gaps(moves), default=elapsed_s) for moves in moves_s)


def _gaps(moves_s: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(moves_s)]
