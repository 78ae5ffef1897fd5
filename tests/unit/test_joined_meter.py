"""The energy of several cards: one meter whose zones are the cards, its sums, bounds and parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from blip_fixtures.engine import machine_load
from blip_fixtures.engine.energy import Call, Timing, energy_pass
from blip_fixtures.meters import HOST, Conditions, Meter, MeterError, Search
from blip_fixtures.meters.finding import find_meters
from blip_fixtures.meters.joined import JoinedMeter
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus, Scope
from tests.unit.simulated import Power, SimulatedMeter, VirtualClock

DEVICE, GPU = "cuda:0+cuda:1", Domain.GPU
HOT = Reason.of("gpu_hw_thermal")
FORBIDDEN = MeterError(EnergyStatus.PERMISSION, Reason.verbatim("not for you"))
ROOT = Path("no-tree")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_load, "_busy_s", lambda: 0.0)
    monkeypatch.setattr(machine_load, "_own_s", lambda: 0.0)


def board(clock: VirtualClock, watts: float, **overrides: object) -> SimulatedMeter:
    fields = {"update_period_s": 0.02, "domain": GPU, "scope": Scope.BOARD, "least_window_s": 1.0, **overrides}
    return SimulatedMeter(clock, Power([0.0], [watts]), **fields)  # type: ignore[arg-type]


def joined(clock: VirtualClock, first: SimulatedMeter, second: SimulatedMeter) -> JoinedMeter:
    meter = JoinedMeter({"cuda:0": first, "cuda:1": second}, clock)
    meter.update_period_s = 0.02
    return meter


@pytest.mark.parametrize("phase_s", [0.0, 0.007, 0.013])
def test_the_sum_and_each_part_are_within_their_bounds(clock: VirtualClock, phase_s: float) -> None:
    meter = joined(clock, board(clock, 100.0), board(clock, 300.0, phase_s=phase_s, power_limits_w=(700.0,)))
    call = Call(lambda: clock.advance(0.3), samples=4, tokens=8)
    found = energy_pass({GPU: meter}, [call], {GPU: 150.0}, lambda: None, timing=Timing(clock, clock.advance))
    entry = found.energy[GPU]
    assert (entry.status, entry.source, entry.scope) == (EnergyStatus.OK, "simulated", Scope.BOARD)
    assert entry.joules_per_sample == pytest.approx(400 * 0.3 / 4, rel=0.03)
    assert list(entry.by_card) == ["cuda:0", "cuda:1"]
    for card, watts in zip(entry.by_card.values(), (100.0, 300.0), strict=True):
        assert entry.window_s is not None
        assert abs(card.joules - watts * entry.window_s) <= card.error_bound_j
        assert card.error_bound_j < 0.1 * card.joules
        assert card.joules_per_sample == pytest.approx(card.joules / (entry.samples or 0))
    for name, total in (("joules", entry.joules), ("error_bound_j", entry.error_bound_j)):
        assert sum(getattr(card, name) for card in entry.by_card.values()) == pytest.approx(total)


def test_a_meter_of_one_device_has_no_parts(clock: VirtualClock) -> None:
    call = Call(lambda: clock.advance(0.3), samples=4, tokens=8)
    found = energy_pass({GPU: board(clock, 100.0)}, [call], {}, lambda: None, timing=Timing(clock, clock.advance))
    assert found.energy[GPU].by_card == {}


def test_a_card_that_vanishes_takes_the_sum_with_it(clock: VirtualClock) -> None:
    meter = joined(clock, board(clock, 100.0), board(clock, 100.0, fails_after=5))
    call = Call(lambda: clock.advance(0.3), samples=4, tokens=8)
    entry = energy_pass({GPU: meter}, [call], {}, lambda: None, timing=Timing(clock, clock.advance)).energy[GPU]
    assert (entry.status, entry.joules, entry.by_card) == (EnergyStatus.LOST, None, {})


def test_what_each_card_says_of_itself_stands_by_its_name(clock: VirtualClock) -> None:
    first, second = board(clock, 100.0), board(clock, 100.0)
    first.seen, second.seen = [Conditions({"temperature_c": 50})], [Conditions({"temperature_c": 91}, (HOT,))]
    found = joined(clock, first, second).conditions()
    assert found.facts == {"cuda:0": {"temperature_c": 50}, "cuda:1": {"temperature_c": 91}}
    assert found.degraded == (HOT,)


def test_what_weakens_one_card_weakens_the_sum(clock: VirtualClock) -> None:
    polled = Reason.of("polled_power")
    weak = board(clock, 100.0, source="polled", caveat=polled, scope=Scope.PARENT_GPU, least_window_s=5.0)
    meter = joined(clock, board(clock, 100.0), weak)
    assert (meter.source, meter.scope, meter.caveat) == ("simulated+polled", Scope.PARENT_GPU, polled)
    assert (meter.least_window_s, meter.power_limits_w) == (5.0, (300.0, 300.0))


class TestFinding:
    """One search for each card, by the sources that every card has."""

    def found(self, clock: VirtualClock, cards: dict[str, Meter | MeterError]) -> tuple[list[str], object]:
        asked: list[str] = []

        def source(search: Search) -> dict[Domain, Meter | MeterError]:
            asked.append(search.device)
            return {} if search.device == HOST else {GPU: cards[search.device]}

        meters = find_meters([DEVICE], ROOT, sources=[source], clock=clock)
        return asked, meters.by_device[DEVICE][GPU]

    def test_every_card_has_one(self, clock: VirtualClock) -> None:
        first, second = board(clock, 100.0, is_open=True), board(clock, 100.0, is_open=True, update_period_s=0.05)
        asked, meter = self.found(clock, {"cuda:0": first, "cuda:1": second})
        assert asked == [HOST, "cuda:0", "cuda:1"]
        assert isinstance(meter, JoinedMeter)
        assert list(meter.by_card.values()) == [first, second]
        assert meter.update_period_s == pytest.approx(0.05, rel=0.03), "that of the slowest"
        assert not first.is_open
        assert not second.is_open

    def test_one_has_none(self, clock: VirtualClock) -> None:
        first = board(clock, 100.0, is_open=True)
        _, error = self.found(clock, {"cuda:0": first, "cuda:1": FORBIDDEN})
        assert isinstance(error, MeterError)
        assert (error.status, error.reason.code) == (EnergyStatus.PERMISSION, "card_without_meter")
        assert error.reason.args == {"card": "cuda:1", "error": "not for you"}
        assert not first.is_open

    def test_none_has_one(self, clock: VirtualClock) -> None:
        _, error = self.found(clock, {"cuda:0": FORBIDDEN, "cuda:1": FORBIDDEN})
        assert error is FORBIDDEN


def test_where_one_does_not_open_none_stays_open(clock: VirtualClock) -> None:
    first, second = board(clock, 100.0), board(clock, 100.0)

    def refuse() -> None:
        raise FORBIDDEN

    second.open = refuse  # type: ignore[method-assign]  # a driver that says no
    with pytest.raises(MeterError):
        joined(clock, first, second).open()
    assert not first.is_open
