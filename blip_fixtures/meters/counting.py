"""Differences of counters that wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.meters import MeterError
from blip_fixtures.reasons import Reason
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from blip_fixtures.meters import Reading


def joules_between(first: Reading, second: Reading) -> float:
    """Joules from `first` to `second`, summed over the zones. Raises `MeterError` as `zones_between` does."""
    return sum(_zones_uj(first, second)) / 1e6


def zones_between(first: Reading, second: Reading) -> list[float]:
    """Joules from `first` to `second`, of each zone.

    A counter that is smaller than before has wrapped once, at the range read with it. Raises `MeterError` (``lost``)
    for one that went back and has no range: then nobody knows how much it counted.
    """
    return [count_uj / 1e6 for count_uj in _zones_uj(first, second)]


def _zones_uj(first: Reading, second: Reading) -> list[int]:
    found_uj = []
    for was_uj, now_uj, range_uj in zip(first.counters_uj, second.counters_uj, second.ranges_uj, strict=True):
        if now_uj >= was_uj:
            found_uj.append(now_uj - was_uj)
        elif range_uj is None:
            raise MeterError(EnergyStatus.LOST, Reason.of("counter_went_back", was_uj=was_uj, now_uj=now_uj))
        else:
            found_uj.append((now_uj - was_uj) % range_uj)
    return found_uj
