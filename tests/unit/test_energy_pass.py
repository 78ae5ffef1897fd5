"""The energy pass on simulated meters: what it records, and what each failure leaves standing."""

from __future__ import annotations

from functools import partial

import pytest

from blip_fixtures.engine import machine_load
from blip_fixtures.engine.energy import Call, EnergyFound, Timing, energy_pass, window_s
from blip_fixtures.engine.idle import MOST_WINDOWS, SETTLE_S, measure_idle_watts
from blip_fixtures.meters import Conditions, MeterError
from blip_fixtures.meters.period import measure_update_period
from blip_fixtures.reasons import Reason, say_all
from blip_fixtures.record import Energy
from blip_fixtures.words import Domain, EnergyStatus, Scope
from tests.unit.simulated import Power, SimulatedMeter, VirtualClock

CALL_S = 0.3
CPU, DRAM, GPU = Domain.CPU_PACKAGE, Domain.DRAM, Domain.GPU
HOT = Reason.of("gpu_hw_thermal")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processor time is used, so nobody else uses any."""
    monkeypatch.setattr(machine_load, "_busy_s", lambda: 0.0)
    monkeypatch.setattr(machine_load, "_own_s", lambda: 0.0)


def meter(clock: VirtualClock, watts: float = 100.0, **overrides: object) -> SimulatedMeter:
    fields = {"update_period_s": 0.01, "least_window_s": 1.0, **overrides}
    return SimulatedMeter(clock, Power([0.0], [watts]), **fields)  # type: ignore[arg-type]


def calls(clock: VirtualClock, tokens: int = 8) -> list[Call]:
    return [Call(lambda: clock.advance(CALL_S), samples=4, tokens=tokens) for _ in range(3)]


def run(
    meters: dict[Domain, SimulatedMeter],
    clock: VirtualClock,
    *,
    idle_watts: dict[Domain, float | MeterError] | None = None,
    work: list[Call] | None = None,
) -> EnergyFound:
    timing = Timing(clock, clock.advance, lambda: 0.5)
    return energy_pass(meters, work or calls(clock), idle_watts or {}, lambda: None, timing=timing)


def codes(entry: Energy) -> list[str]:
    return [reason.code for reason in entry.reasons]


def test_gross_net_and_token_energy_follow_from_the_power(clock: VirtualClock) -> None:
    found = run({CPU: meter(clock)}, clock, idle_watts={CPU: 40.0})
    entry = found.energy[CPU]
    joules_per_call = 100 * CALL_S
    assert entry.joules_per_sample == pytest.approx(joules_per_call / 4, rel=0.02)
    assert entry.joules_per_token == pytest.approx(joules_per_call / 8, rel=0.02)
    assert entry.net_joules_per_sample == pytest.approx(60 * CALL_S / 4, rel=0.02)
    assert (entry.status, entry.reason, entry.source) == ("ok", None, "simulated")
    assert found.missing == {}


def test_the_sums_are_those_of_the_windows(clock: VirtualClock) -> None:
    entry = run({CPU: meter(clock)}, clock).energy[CPU]
    windows = entry.windows
    assert len(windows) == 2
    for name in ("joules", "window_s", "samples", "error_bound_j"):
        assert getattr(entry, name) == pytest.approx(sum(getattr(window, name) for window in windows))
    assert all(window.samples == 4 * 4 for window in windows), "four calls of 0.3 s fill a window of 1 s"


def test_the_second_window_goes_on_where_the_first_ended(clock: VirtualClock) -> None:
    turns: list[int] = []

    def take(turn: int) -> None:
        turns.append(turn)
        clock.advance(CALL_S)

    work = [Call(partial(take, turn), samples=1, tokens=1) for turn in range(3)]
    run({CPU: meter(clock)}, clock, work=work)
    assert turns == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("least_s", "period_s", "wanted_s"), [(1.0, 0.001, 1.0), (1.0, 0.1, 5.0), (5.0, 0.02, 5.0), (5.0, 0.2, 10.0)]
)
def test_a_window_is_as_long_as_the_slowest_counter_needs(
    clock: VirtualClock, least_s: float, period_s: float, wanted_s: float
) -> None:
    slow = meter(clock, least_window_s=least_s, update_period_s=period_s)
    assert window_s({GPU: slow, CPU: meter(clock, update_period_s=0.001)}) == pytest.approx(wanted_s)


def test_without_meters_nothing_runs(clock: VirtualClock) -> None:
    assert run({}, clock) == EnergyFound()
    assert clock() == 0.0


def test_a_meter_that_does_not_open_costs_its_own_domain_only(clock: VirtualClock) -> None:
    broken = meter(clock)

    def refuse() -> None:
        raise MeterError(EnergyStatus.PERMISSION, Reason.verbatim("cannot read it"))

    broken.open = refuse  # type: ignore[method-assign]
    found = run({CPU: broken, DRAM: meter(clock, domain=DRAM)}, clock)
    assert (found.energy[CPU].status, found.energy[CPU].joules) == ("permission", None)
    assert found.energy[DRAM].status == "ok"
    assert list(found.energy) == [CPU, DRAM]


def test_a_meter_lost_midway_costs_its_own_domain_only(clock: VirtualClock) -> None:
    lost = meter(clock, fails_after=150)
    found = run({GPU: lost, DRAM: meter(clock, domain=DRAM)}, clock)
    assert (found.energy[GPU].status, str(found.energy[GPU].reason)) == ("lost", "the simulated counter vanished")
    assert found.energy[DRAM].status == "ok"
    assert not lost.is_open


def test_no_meter_open_means_no_window(clock: VirtualClock) -> None:
    broken = meter(clock)

    def refuse() -> None:
        raise MeterError(EnergyStatus.LOST, Reason.verbatim("gone"))

    broken.open = refuse  # type: ignore[method-assign]
    run({GPU: broken}, clock)
    assert clock() == 0.0


def test_meters_are_closed_also_when_the_model_fails(clock: VirtualClock) -> None:
    opened = meter(clock)

    def fail() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        run({CPU: opened}, clock, work=[Call(fail, 1, 1)])
    assert not opened.is_open


def test_idle_watts_that_are_missing_say_why(clock: VirtualClock) -> None:
    idle: dict[Domain, float | MeterError] = {CPU: MeterError(EnergyStatus.LOST, Reason.verbatim("gone while idle"))}
    found = run({CPU: meter(clock)}, clock, idle_watts=idle)
    entry = found.energy[CPU]
    assert (entry.idle_watts, entry.net_joules_per_sample, entry.status) == (None, None, "ok")
    why = Reason.verbatim("gone while idle")
    assert found.missing == dict.fromkeys(
        ("energy.cpu_package.idle_watts", "energy.cpu_package.net_joules_per_sample"), why
    )


def test_no_tokens_no_joules_per_token(clock: VirtualClock) -> None:
    found = run({CPU: meter(clock)}, clock, work=calls(clock, tokens=0))
    assert found.energy[CPU].joules_per_token is None
    assert found.missing["energy.cpu_package.joules_per_token"] == Reason.of("no_token")


def test_a_share_of_a_gpu_has_no_joules_per_sample(clock: VirtualClock) -> None:
    entry = run({GPU: meter(clock, scope=Scope.PARENT_GPU)}, clock, idle_watts={GPU: 10.0}).energy[GPU]
    assert (entry.joules_per_sample, entry.joules_per_token, entry.net_joules_per_sample) == (None, None, None)
    assert entry.joules is not None
    assert (entry.status, codes(entry)) == (EnergyStatus.DEGRADED, ["mig_shares_counter"])


def test_what_the_device_reports_is_recorded_and_flags_the_figure(clock: VirtualClock) -> None:
    hot = Conditions({"temperature_c": 91}, degraded=(HOT,))
    seen = [Conditions({"temperature_c": 40}), hot]
    entry = run({GPU: meter(clock, scope=Scope.BOARD, seen=seen)}, clock).energy[GPU]
    assert entry.status == "degraded"
    assert entry.reasons == (HOT,)
    assert entry.conditions[:2] == ({"temperature_c": 40}, {"temperature_c": 91})
    assert entry.joules_per_sample is not None


def test_the_state_of_the_machine_stands_beside_a_machine_wide_figure(clock: VirtualClock) -> None:
    conditions = run({CPU: meter(clock)}, clock).energy[CPU].conditions
    assert len(conditions) == 4, "before and after each of two windows"
    assert all(set(facts) == {"cpu_frequency_mhz", "load_average"} for facts in conditions)


def test_other_processes_on_the_device_make_it_contended(clock: VirtualClock) -> None:
    seen = [Conditions(contended=(Reason.of("gpu_other_processes", count=2),), degraded=(HOT,))]
    entry = run({GPU: meter(clock, scope=Scope.BOARD, seen=seen)}, clock).energy[GPU]
    assert entry.status == "contended"
    assert codes(entry) == ["gpu_other_processes", "gpu_hw_thermal"]
    assert say_all(entry.reasons) == (
        "2 other compute processes were on the GPU; the hardware slowed the GPU's clocks down because it was hot"
    )


def test_processor_time_of_others_counts_for_machine_wide_counters_alone(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_load, "_busy_s", lambda: 2.0 * clock())
    monkeypatch.setattr(machine_load, "_own_s", lambda: 1.5 * clock())
    board = meter(clock, domain=GPU, scope=Scope.BOARD)
    found = run({GPU: board, CPU: meter(clock)}, clock)
    assert found.energy[GPU].status == "ok"
    assert found.energy[CPU].status == "contended"
    assert codes(found.energy[CPU]) == ["others_took_processor_time"]
    assert "took 25 % of the busy processor time" in str(found.energy[CPU].reason)


def test_windows_that_disagree_are_named(clock: VirtualClock) -> None:
    rising = meter(clock)
    rising.power = Power([0.0, 1.3], [50.0, 150.0])
    entry = run({CPU: rising}, clock).energy[CPU]
    assert entry.status == "degraded"
    assert codes(entry) == ["windows_differ"]
    assert str(entry.reason).startswith("the windows differ by more than 10 %: ")


def test_polled_power_weakens_every_number(clock: VirtualClock) -> None:
    entry = run({GPU: meter(clock, caveat=Reason.of("polled_power"))}, clock).energy[GPU]
    assert (entry.status, codes(entry)) == ("degraded", ["polled_power"])


def test_idle_watts_are_those_of_an_idle_window(clock: VirtualClock) -> None:
    gone = meter(clock, fails_after=0)
    watts = measure_idle_watts({CPU: meter(clock, watts=33.0), DRAM: gone}, timing=Timing(clock, clock.advance))
    assert watts[CPU] == pytest.approx(33.0, rel=0.02)
    assert isinstance(watts[DRAM], MeterError)


def idle_watts(clock: VirtualClock, *levels: float) -> tuple[dict[Domain, float | MeterError], SimulatedMeter]:
    """Idle watts of a device whose power has another of `levels` in each window, the last one for ever."""
    # A window begins with waits for the counter and ends with some, of a few hundredths of a second each.
    settling = meter(clock, update_period_s=0.001)
    span_s = 1.0 + 0.01
    settling.power = Power([0.0, *(SETTLE_S + span_s * number for number in range(1, len(levels)))], list(levels))
    return measure_idle_watts({GPU: settling}, timing=Timing(clock, clock.advance)), settling


@pytest.mark.parametrize("device_w", [(20.0,), (90.0, 20.0), (300.0, 90.0, 20.0), (200.0, 90.0, 40.0, 20.0)])
def test_idle_watts_are_those_of_two_windows_that_agree(clock: VirtualClock, device_w: tuple[float, ...]) -> None:
    watts, settled = idle_watts(clock, *device_w)
    assert watts[GPU] == pytest.approx(20.0, rel=0.05)
    assert clock() == pytest.approx(SETTLE_S + 1.0 * (len(device_w) + 1), abs=0.2)
    assert not settled.is_open


def test_idle_watts_that_never_settle_are_no_number(clock: VirtualClock) -> None:
    watts, _ = idle_watts(clock, *(20.0 + 40.0 * (number % 2) for number in range(2 * MOST_WINDOWS)))
    error = watts[GPU]
    assert isinstance(error, MeterError)
    assert (error.status, error.reason.code) == (EnergyStatus.UNRESOLVED, "idle_windows_differ")
    assert str(error.reason).startswith("the idle power did not settle: after 5 windows the last two still differed")
    found = run({GPU: meter(clock)}, clock, idle_watts=watts)
    assert (found.energy[GPU].status, found.energy[GPU].net_joules_per_sample) == ("ok", None)
    assert found.missing["energy.gpu.net_joules_per_sample"] == error.reason


def test_a_domain_that_has_settled_waits_for_no_other(clock: VirtualClock) -> None:
    calm, restless = meter(clock, watts=33.0), meter(clock, domain=GPU)
    restless.power = Power([0.0, *range(1, 30)], [20.0 + 40.0 * (number % 2) for number in range(30)])
    watts = measure_idle_watts({CPU: calm, GPU: restless}, timing=Timing(clock, clock.advance))
    assert watts[CPU] == pytest.approx(33.0, rel=0.02)
    assert list(watts) == [CPU, GPU]
    assert calm.reads < restless.reads


@pytest.mark.parametrize("period_s", [0.001, 0.02, 0.1, 0.9])
def test_the_update_period_is_measured(clock: VirtualClock, period_s: float) -> None:
    counter = meter(clock, update_period_s=period_s, read_s=period_s / 100)
    assert measure_update_period(counter, clock) == pytest.approx(period_s, rel=0.03)
    assert clock() < 6


def test_a_counter_that_never_moves_is_lost(clock: VirtualClock) -> None:
    with pytest.raises(MeterError, match="lost: the simulated counter of cpu_package did not move in 2 s"):
        measure_update_period(meter(clock, freezes_at_s=0.0, read_s=0.001), clock)


def test_a_lost_counter_keeps_what_the_device_told_about_itself(clock: VirtualClock) -> None:
    still = meter(clock, freezes_at_s=0.0, read_s=0.001, scope=Scope.BOARD, seen=[Conditions(degraded=(HOT,))])
    entry = run({GPU: still}, clock).energy[GPU]
    assert (entry.status, entry.joules) == (EnergyStatus.LOST, None)
    assert codes(entry) == ["counter_stood_still", "gpu_hw_thermal"]
