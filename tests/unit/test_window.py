"""Windows against an analytic oracle: the power over time is known, so the truth is its integral."""

from __future__ import annotations

import bisect
import math
import random
import time
from dataclasses import replace

import pytest

from blip_fixtures.engine.window import MOST_WATTS, Span, energy_window
from blip_fixtures.meters import MeterError, Reading
from blip_fixtures.words import EnergyStatus
from tests.unit.simulated import Power, SimulatedMeter, VirtualClock

DRAWS = 1000


def simulated(watts: float = 100.0, period_s: float = 0.1, **overrides: object) -> SimulatedMeter:
    return SimulatedMeter(VirtualClock(), Power([0.0], [watts]), period_s, **overrides)  # type: ignore[arg-type]


def window(meter: SimulatedMeter, seconds: float) -> Span:
    with energy_window([meter]) as spans:
        meter.clock.advance(seconds)
    return spans[0]


def truth_j(meter: SimulatedMeter, span: Span) -> float:
    return meter.power.joules(span.readings[-1].before_s) - meter.power.joules(span.readings[0].after_s)


def drawn(seed: int, least_periods: float, most_periods: float) -> tuple[SimulatedMeter, float]:
    """A meter, and a length in update periods that is even on a log scale."""
    chance = random.Random(seed)
    period_s = 10 ** chance.uniform(-3, -1)
    periods = math.exp(chance.uniform(math.log(least_periods), math.log(most_periods)))
    clock = VirtualClock(chance.uniform(0, 3 * period_s))
    meter = SimulatedMeter(
        clock,
        Power.drawn(chance, (periods + 20) * period_s),
        period_s,
        read_s=period_s * 10 ** chance.uniform(-3, -1.5),
        phase_s=chance.uniform(0, period_s),
        range_uj=chance.choice([None, 2**38]),
        offset_uj=chance.randrange(2**38),
    )
    return meter, periods


def test_the_integral_lies_within_the_bound_in_every_draw() -> None:
    missed = []
    for seed in range(DRAWS):
        meter, periods = drawn(seed, 10.01, 100)
        span = window(meter, periods * meter.update_period_s)
        found = span.energy()
        if abs(found.joules - truth_j(meter, span)) > found.error_bound_j:
            missed.append(seed)
    assert missed == []


def test_a_sixth_of_the_bound_would_not_hold() -> None:
    """The draws are hard enough to find a bound that is too small."""
    missed = 0
    for seed in range(DRAWS // 10):
        meter, periods = drawn(seed, 10.01, 100)
        span = window(meter, periods * meter.update_period_s)
        found = span.energy()
        missed += abs(found.joules - truth_j(meter, span)) > found.error_bound_j / 6
    assert missed > DRAWS // 50


def test_every_draw_below_ten_periods_is_unresolved() -> None:
    for seed in range(DRAWS // 5):
        meter, periods = drawn(seed, 0.1, 9.5)
        with pytest.raises(MeterError, match="unresolved: a window of"):
            window(meter, periods * meter.update_period_s).energy()


@pytest.mark.parametrize("periods", [0.1, 1, 5, 9.9])
def test_a_window_below_ten_periods_is_unresolved(periods: float) -> None:
    span = window(simulated(period_s=0.1, read_s=1e-6), periods * 0.1)
    with pytest.raises(MeterError) as caught:
        span.energy()
    error = caught.value
    assert (error.status, error.reason.code) == (EnergyStatus.UNRESOLVED, "window_too_short")
    assert error.reason.args["periods"] == 10


@pytest.mark.parametrize("periods", [10, 50, 100])
def test_at_constant_power_the_bound_is_one_and_a_half_periods_over_the_window(periods: float) -> None:
    meter = simulated(100.0, 0.1, read_s=1e-6)
    found = window(meter, periods * 0.1 + 1e-3).energy()
    assert found.error_bound_j / found.joules == pytest.approx(1.5 / periods, rel=0.1)


def test_a_wrap_inside_the_window_counts_nothing_twice() -> None:
    plain, wrapped = simulated(), simulated(range_uj=600_000_000, offset_uj=500_000_000)
    assert window(wrapped, 5.0).energy() == window(plain, 5.0).energy()


def test_the_bound_holds_though_the_power_changes_at_the_very_end() -> None:
    meter = SimulatedMeter(VirtualClock(), Power([0.0, 2.05], [10.0, 300.0]), 0.1, read_s=1e-5)
    span = window(meter, 2.0)
    assert abs(span.energy().joules - truth_j(meter, span)) <= span.energy().error_bound_j


def test_a_frozen_counter_is_lost_and_not_zero() -> None:
    span = window(simulated(freezes_at_s=0.15), 5.0)
    with pytest.raises(MeterError, match="lost: the simulated counter of cpu_package did not move in 5"):
        span.energy()


class InterruptedWriter(SimulatedMeter):
    """A counter in a file, whose writer is sometimes interrupted between taking a value and writing it."""

    def prepare(self, chance: random.Random, span_s: float) -> None:
        self.published_s: list[float] = [self.phase_s]
        self.taken_s: list[float] = [self.phase_s]
        while self.published_s[-1] < span_s:
            taken_s = self.published_s[-1] + self.update_period_s
            is_interrupted = chance.random() < 0.15
            self.taken_s.append(taken_s)
            self.published_s.append(taken_s + (chance.uniform(0.5, 8) * self.update_period_s if is_interrupted else 0))

    def read(self) -> Reading:
        before_s = self.clock()
        self.clock.advance(self.read_s)
        place = max(bisect.bisect_right(self.published_s, before_s + self.read_s / 2) - 1, 0)
        shown_uj = round(self.power.joules(self.taken_s[place]) * 1e6)
        return Reading((shown_uj,), (None,), before_s, self.clock())


def test_values_that_are_published_late_do_not_break_the_bound() -> None:
    missed = 0
    for seed in range(DRAWS // 2):
        chance = random.Random(seed)
        meter = InterruptedWriter(
            VirtualClock(chance.uniform(0, 0.02)), Power([0.0], [100.0]), 0.004, read_s=4e-5, power_limits_w=(300.0,)
        )
        meter.prepare(chance, 3.0)
        span = window(meter, chance.uniform(0.5, 1.0))
        missed += abs(span.energy().joules - truth_j(meter, span)) > span.energy().error_bound_j
    assert missed == 0


class TwoSockets(SimulatedMeter):
    """The second counter never moves."""

    def read(self) -> Reading:
        one = super().read()
        return replace(one, counters_uj=(*one.counters_uj, 7), ranges_uj=(*one.ranges_uj, None))


def test_one_frozen_socket_does_not_make_half_a_figure() -> None:
    meter = TwoSockets(VirtualClock(), Power([0.0], [100.0]), 0.1, power_limits_w=(300.0, 300.0))
    with pytest.raises(MeterError, match="lost: the simulated counter of cpu_package did not move"):
        window(meter, 5.0).energy()


def test_a_counter_that_was_reset_is_implausible_where_it_wraps() -> None:
    meter = simulated(range_uj=2**38, offset_uj=10**9)
    with energy_window([meter]) as (span,):
        meter.clock.advance(5.0)
        meter.offset_uj = 0
    with pytest.raises(MeterError, match=r"implausible: .* more than the 300 W that the hardware can draw"):
        span.energy()


def test_a_counter_that_was_reset_is_lost_where_it_does_not_wrap() -> None:
    meter = simulated(offset_uj=10**9)
    with energy_window([meter]) as (span,):
        meter.clock.advance(5.0)
        meter.offset_uj = 0
    with pytest.raises(MeterError) as caught:
        span.energy()
    assert (caught.value.status, caught.value.reason.code) == (EnergyStatus.LOST, "counter_went_back")


def test_without_a_limit_only_the_impossible_is_implausible() -> None:
    assert window(simulated(MOST_WATTS * 0.9, power_limits_w=(None,)), 5.0).energy().joules > 0
    with pytest.raises(MeterError, match="implausible"):
        window(simulated(MOST_WATTS * 1.2, power_limits_w=(None,)), 5.0).energy()


def test_one_meters_failure_leaves_the_other_alone() -> None:
    clock = VirtualClock()
    good = SimulatedMeter(clock, Power([0.0], [50.0]), 0.01)
    bad = SimulatedMeter(clock, Power([0.0], [50.0]), 0.1, fails_after=1500)
    with energy_window([bad, good]) as spans:
        bad.fails_after = bad.reads
        clock.advance(3.0)
    assert spans[1].energy().joules == pytest.approx(150, rel=0.02)
    with pytest.raises(MeterError, match="the simulated counter vanished"):
        spans[0].energy()


def test_what_the_work_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), energy_window([simulated()]):
        raise ZeroDivisionError


class RealTimeMeter(SimulatedMeter):
    """A counter of real time whose range is so small that a window wraps several times."""

    def read(self) -> Reading:
        self.clock.now_s = time.perf_counter()
        return super().read()


def test_a_window_of_several_wraps_is_read_in_between() -> None:
    clock = VirtualClock(time.perf_counter())
    begun_s = clock()
    meter = RealTimeMeter(
        clock, Power([0.0, begun_s], [0.0, 100.0]), 0.001, read_s=0.0, range_uj=10_000_000, power_limits_w=(100.0,)
    )
    with energy_window([meter]) as (span,):
        time.sleep(0.35)
    assert len(span.readings) > 4
    long_s = span.readings[-1].before_s - span.readings[0].after_s
    assert span.energy().joules == pytest.approx(100 * long_s, rel=0.05)


def test_a_window_below_half_the_range_is_not_read_in_between() -> None:
    assert len(window(simulated(range_uj=2**38), 5.0).readings) == 2
