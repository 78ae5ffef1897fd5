"""The clocks of a GPU in the timed rounds, and whether it was throttled there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.case import cards_of
from blip_fixtures.meters.clocks import Clocks
from blip_fixtures.reasons import Reason
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.engine.loop import Loop
    from blip_fixtures.engine.passes import Found
    from blip_fixtures.meters import Conditions


class WatchedLoop:
    """`loop`, with the clocks of `device` read as soon as a round has ended: they are still those of the round.

    The reference product comes after a reading, so that a round begins as it would without one.
    """

    def __init__(self, loop: Loop, device: str) -> None:
        self._loop = loop
        self._device = device
        self._readings: Sequence[Conditions] = ()
        self._reason: Reason | None = None

    def __call__(self, run: Callable[[Any], object], setup: Callable[[], Any], rounds: int, warmup: int) -> list[float]:
        """Seconds of each round."""
        with Clocks(self._device) as clocks:

            def noting() -> Any:
                clocks.note()
                return setup()

            rounds_s = self._loop(run, noting, rounds, warmup)
            clocks.note()
        # Each round's is the one after it; a loop that runs the target once more, for a profiler, has one more.
        self._readings = clocks.readings[warmup + 1 : warmup + 1 + rounds]
        self._reason = clocks.reason
        return rounds_s

    def told(self, found: Found) -> Found:
        """`found` with what was read in the rounds of its latency."""
        if found.latency is not None:
            found.latency = msgspec.structs.replace(
                found.latency, conditions=tuple(each.facts for each in self._readings)
            )
        found.notes = [*_notes(self._readings, self._reason, cards_of(self._device)), *found.notes]
        return found


def _notes(readings: Sequence[Conditions], reason: Reason | None, cards: Sequence[str]) -> list[Reason]:
    if reason is not None:
        return [Reason.of("clocks_not_read", scope=PassName.LATENCY), _of_latency(reason)]
    slowed = {why.code: why for each in readings for why in each.degraded}.values()
    notes = [_of_latency(why) for why in slowed]
    for card in cards:
        facts = [each.facts if len(cards) == 1 else each.facts[card] for each in readings]
        sm, memory, temperature = (
            [each[name] for each in facts if isinstance(each[name], int)]
            for name in ("sm_clock_mhz", "memory_clock_mhz", "temperature_c")
        )
        if sm and memory and temperature:
            said = {"low": min(sm), "high": max(sm), "memory": min(memory), "temperature": max(temperature)}
            if len(cards) == 1:
                notes.append(Reason.of("clocks_in_rounds", scope=PassName.LATENCY, **said))
            else:
                notes.append(Reason.of("clocks_of_card", scope=PassName.LATENCY, card=card, **said))
    return notes


def _of_latency(reason: Reason) -> Reason:
    return msgspec.structs.replace(reason, scope=PassName.LATENCY)
