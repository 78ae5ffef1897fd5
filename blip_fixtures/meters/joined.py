"""One meter over several cards: each is a zone of it, as a socket is one of the processor's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from blip_fixtures.meters import Conditions, MeterError, Reading
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.meters import Meter


class JoinedMeter:
    """The sum of the meters of `by_card`. A window ends when every card's counter has moved, as for sockets."""

    domain = Domain.GPU

    def __init__(self, by_card: Mapping[str, Meter], clock: Callable[[], float] = time.perf_counter) -> None:
        self.by_card = dict(by_card)
        self.update_period_s = 0.0
        self._clock = clock
        self._learn()

    def _learn(self) -> None:
        """What the meters know of themselves, some of it since they are open."""
        meters = self.by_card.values()
        self.source = "+".join(dict.fromkeys(meter.source for meter in meters))
        scopes = {meter.scope for meter in meters}
        self.scope = Scope.PARENT_GPU if Scope.PARENT_GPU in scopes else Scope.BOARD
        self.least_window_s = max(meter.least_window_s for meter in meters)
        self.power_limits_w = tuple(limit for meter in meters for limit in meter.power_limits_w)
        self.caveat = next((meter.caveat for meter in meters if meter.caveat is not None), None)

    def open(self) -> None:
        """All of them, or none. Raises `MeterError`."""
        try:
            for meter in self.by_card.values():
                meter.open()
        except MeterError:
            self.close()
            raise
        self._learn()

    def read(self) -> Reading:
        """The counters of all cards, one after another. Raises `MeterError`."""
        before_s = self._clock()
        readings = [meter.read() for meter in self.by_card.values()]
        return Reading(
            tuple(count for reading in readings for count in reading.counters_uj),
            tuple(reach for reading in readings for reach in reading.ranges_uj),
            before_s,
            self._clock(),
            sum(reading.slack_uj for reading in readings),
        )

    def conditions(self) -> Conditions:
        """The state of each card, by its name."""
        found = {card: meter.conditions() for card, meter in self.by_card.items()}
        facts: dict[str, Any] = {card: each.facts for card, each in found.items()}
        return Conditions(
            facts,
            tuple(reason for each in found.values() for reason in each.degraded),
            tuple(reason for each in found.values() for reason in each.contended),
        )

    def close(self) -> None:
        """All of them."""
        for meter in self.by_card.values():
            meter.close()


def joined(
    found: Mapping[str, Mapping[Domain, Meter | MeterError]], clock: Callable[[], float]
) -> dict[Domain, Meter | MeterError]:
    """The open meter over all cards, or why one of them has none: a sum stands only where every part of it does."""
    entries = {card: entries[Domain.GPU] for card, entries in found.items() if Domain.GPU in entries}
    meters = {card: entry for card, entry in entries.items() if not isinstance(entry, MeterError)}
    if len(meters) == len(found):
        return {Domain.GPU: JoinedMeter(meters, clock)}
    for meter in meters.values():
        meter.close()
    for card, entry in entries.items():
        if isinstance(entry, MeterError):
            if not meters:
                return {Domain.GPU: entry}
            return {
                Domain.GPU: MeterError(entry.status, Reason.of("card_without_meter", card=card, error=entry.reason))
            }
    return {}
