"""A window: the span between two readings of an energy counter, with the work inside and nothing else.

A counter shows the energy up to its last update, so a reading is late by up to one update period. Instead of guessing
how much that is, a window begins right after a counter moved and, when the work is over, waits for its next move. The
counter only grows, so the energy at the end of the work lies between the last value seen and the next one, or the one
behind that where a value is published later than it was taken. The middle of the first step is the figure, the way to
the end of the second the error bound, whatever the power did meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blip_fixtures.meters import MeterError
from blip_fixtures.meters.counting import joules_between, zones_between
from blip_fixtures.reasons import Reason
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blip_fixtures.meters import Conditions, Meter, Reading

# No processor package or GPU board draws more; used where the machine does not say what a zone may draw.
MOST_WATTS = 1000.0
# Below so many update periods a window says more about the counter than about the work.
LEAST_PERIODS = 10
# How long to wait for a counter's next move: some periods, and a moment for one that moves faster than it is read.
_WAIT_PERIODS = 5
_WAIT_S = 0.05
# A reading that took longer than this is tried again.
_QUICK_PERIODS = 0.05
_QUICK_S = 2e-4
_TRIES = 5


@dataclass(frozen=True)
class WindowEnergy:
    """What one window saw: `joules` within `error_bound_j` of the truth, over `window_s` seconds.

    `zones` has the same two numbers of each zone, such as a card of several.
    """

    joules: float
    error_bound_j: float
    window_s: float
    zones: tuple[tuple[float, float], ...] = ()


@dataclass
class Span:
    """One meter's readings of one window; `error` is what stopped it, the other meters go on."""

    meter: Meter
    fresh_s: float = 0.0
    readings: list[Reading] = field(default_factory=list)
    moves: list[Reading] = field(default_factory=list)
    conditions: list[Conditions] = field(default_factory=list)
    error: MeterError | None = None

    @contextlib.contextmanager
    def marked(self) -> Iterator[None]:
        """A `MeterError` inside is this span's own error."""
        try:
            yield
        except MeterError as error:
            self.error = self.error or error

    def begin(self) -> None:
        """The first reading: one that shows a move, so that its value is as fresh as a value can be."""
        with self.marked():
            self.conditions.append(self.meter.conditions())
            for _ in range(_TRIES):
                age_s, first = self._fresh_reading()
                if age_s <= self._quick_s:
                    break
            self.fresh_s = first.after_s - age_s
            self.readings.append(first)

    def _fresh_reading(self) -> tuple[float, Reading]:
        """The reading that shows a move, and how old its value may be.

        A move that came later than the period after the one before it may show a value that was ready earlier, as
        where the process that writes a file was interrupted.
        """
        period_s = self.meter.update_period_s
        waiting = self.meter.read()
        one, _ = _until_moved(self.meter, waiting)
        two, fresh_s = _until_moved(self.meter, one or waiting)
        if one is None or two is None:
            return period_s, two or one or waiting
        late_s = max((two.before_s + two.after_s - one.before_s - one.after_s) / 2 - period_s, 0.0)
        return two.after_s - fresh_s + late_s, two

    def read(self) -> None:
        """One more reading, unless the meter has failed."""
        if self.error is None:
            with self.marked():
                self.readings.append(self.meter.read())

    def end(self) -> None:
        """The last reading; again where it took long, as on a machine that gave the processor to somebody else."""
        if self.error is None:
            with self.marked():
                for _ in range(_TRIES):
                    last = self.meter.read()
                    if last.after_s - last.before_s <= self._quick_s:
                        break
                self.readings.append(last)

    @property
    def _quick_s(self) -> float:
        """Seconds that are small against what the counter leaves open anyway."""
        return max(_QUICK_PERIODS * self.meter.update_period_s, _QUICK_S)

    def follow(self) -> None:
        """Wait for two moves behind the last reading, and look at the device once more.

        The first may show a value that was ready before the reading and only published behind it; the second cannot.
        """
        if self.error is None and self.readings:
            with self.marked():
                reading: Reading | None = self.readings[-1]
                while reading is not None and len(self.moves) < 2:
                    reading, _ = _until_moved(self.meter, reading)
                    if reading is not None:
                        self.moves.append(reading)
                self.conditions.append(self.meter.conditions())

    def _between_moves(self, seen_j: float, most_j: float) -> tuple[float, float]:
        """The energy at the end of the work, between the last value seen and the next, and how far it may be off.

        `most_j` is what the device can draw in one period, for a move that did not come.
        """
        steps_j = [joules_between(one, two) for one, two in itertools.pairwise([self.readings[-1], *self.moves])]
        steps_j += [most_j] * (2 - len(steps_j))
        return seen_j + steps_j[0] / 2, steps_j[0] / 2 + steps_j[1]

    def _seen_j(self) -> float:
        return sum(joules_between(one, two) for one, two in itertools.pairwise(self.readings))

    def energy(self) -> WindowEnergy:
        """The energy between the first and the last reading. Raises `MeterError` where there is no number."""
        if self.error is not None:
            raise self.error
        first, last = self.readings[0], self.readings[-1]
        window_s = last.before_s - first.after_s
        period_s = self.meter.update_period_s
        if window_s < LEAST_PERIODS * period_s:
            reason = Reason.of("window_too_short", window_s=window_s, periods=LEAST_PERIODS, period_s=period_s)
            raise MeterError(EnergyStatus.UNRESOLVED, reason)
        # One socket of two that stands still would make a plausible half of the truth.
        if any(len(set(values)) == 1 for values in zip(*(each.counters_uj for each in self.readings), strict=True)):
            reason = Reason.of(
                "counter_stood_still", source=self.meter.source, domain=self.meter.domain, seconds=window_s
            )
            raise MeterError(EnergyStatus.LOST, reason)
        seen_j = self._seen_j()
        most_watts = sum(MOST_WATTS if watts is None else watts for watts in self.meter.power_limits_w)
        joules, above_j = self._between_moves(seen_j, period_s * most_watts)
        # Besides the last step: how old the first value may be, and how long the two readings took.
        unsure_s = (first.after_s - self.fresh_s) + (last.after_s - last.before_s)
        bound_j = above_j + unsure_s * most_watts + (last.slack_uj - first.slack_uj) / 1e6
        if joules - bound_j > most_watts * window_s:
            reason = Reason.of(
                "more_than_can_be_drawn",
                joules=joules,
                window_s=window_s,
                watts=joules / window_s,
                most_watts=most_watts,
            )
            raise MeterError(EnergyStatus.IMPLAUSIBLE, reason)
        return WindowEnergy(joules, bound_j, window_s, self._zones(unsure_s, (last.slack_uj - first.slack_uj) / 1e6))

    def _zones(self, unsure_s: float, slack_j: float) -> tuple[tuple[float, float], ...]:
        """(joules, error bound) of each zone; how much of the slack is whose nobody knows."""
        limits_w = [MOST_WATTS if watts is None else watts for watts in self.meter.power_limits_w]
        if len(limits_w) == 1:
            return ()
        seen = [zones_between(one, two) for one, two in itertools.pairwise(self.readings)]
        steps = [zones_between(one, two) for one, two in itertools.pairwise([self.readings[-1], *self.moves])]
        steps += [[self.meter.update_period_s * watts for watts in limits_w]] * (2 - len(steps))
        return tuple(
            (sum(of_zone) + one / 2, one / 2 + two + unsure_s * watts + slack_j)
            for of_zone, one, two, watts in zip(zip(*seen, strict=True), *steps, limits_w, strict=True)
        )


@contextlib.contextmanager
def energy_window(meters: Sequence[Meter]) -> Iterator[list[Span]]:
    """The work inside, between two readings of every meter; one that fails marks its own span alone."""
    spans = [Span(meter) for meter in meters]
    # The fastest counter last before the work and first behind it: it ages soonest.
    slowest_first = sorted(spans, key=lambda span: -span.meter.update_period_s)
    for span in slowest_first:
        span.begin()
    with _sparse_reads(spans):
        yield spans
    for span in reversed(slowest_first):
        span.end()
    for span in reversed(slowest_first):
        span.follow()


@contextlib.contextmanager
def _sparse_reads(spans: Sequence[Span]) -> Iterator[None]:
    """Reads each counter so often that it cannot wrap twice unseen, and no more: rarely within minutes, mostly never.

    A 32-bit counter of 15 microjoules wraps after 65,536 J: at 250 W that is four minutes, one call of a big model.
    """
    intervals_s = [seconds for span in spans if (seconds := _half_range_s(span)) is not None]
    if not intervals_s:
        yield
        return
    over = threading.Event()

    def read_now_and_then() -> None:
        while not over.wait(min(intervals_s)):
            for span in spans:
                span.read()

    thread = threading.Thread(target=read_now_and_then, name="sparse energy reads", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _half_range_s(span: Span) -> float | None:
    """Seconds in which the counter moves by half its range at the most power that the device can draw."""
    if not span.readings:
        return None
    limits_w, ranges_uj = span.meter.power_limits_w, span.readings[0].ranges_uj
    seconds = [
        reach / 2e6 / (MOST_WATTS if limit is None else limit)
        for reach, limit in zip(ranges_uj, limits_w, strict=True)
        if reach is not None
    ]
    return min(seconds, default=None)


def _until_moved(meter: Meter, reading: Reading) -> tuple[Reading | None, float]:
    """The first reading in which every zone differs from `reading`, and since when its values may stand.

    `None` where a zone does not move within a few update periods.
    """
    first = earlier = reading
    fresh_s: list[float | None] = [None] * len(reading.counters_uj)
    give_up_s = reading.after_s + _WAIT_PERIODS * meter.update_period_s + _WAIT_S
    while earlier.after_s < give_up_s:
        latest = meter.read()
        for zone, (was, now) in enumerate(zip(earlier.counters_uj, latest.counters_uj, strict=True)):
            if now != was:
                fresh_s[zone] = earlier.before_s
        if all(now != was for was, now in zip(first.counters_uj, latest.counters_uj, strict=True)):
            return latest, min((since for since in fresh_s if since is not None), default=first.before_s)
        earlier = latest
    # Nothing moved: its value may be as old as a period.
    return None, first.before_s - meter.update_period_s
