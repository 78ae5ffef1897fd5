"""Which source gives a domain's meter, and what becomes of those that have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from blip_fixtures.meters import HOST, Meter, MeterError, MeterSource, Search, nvml
from blip_fixtures.meters.finding import METER_SOURCES, Meters, find_meters
from blip_fixtures.meters.rapl import DEFAULT_ROOT
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus
from tests.unit.simulated import Power, SimulatedMeter, VirtualClock

CPU, DRAM, GPU = Domain.CPU_PACKAGE, Domain.DRAM, Domain.GPU
ROOT = Path("no-tree")
UNSUPPORTED = MeterError(EnergyStatus.UNSUPPORTED, Reason.verbatim("no such counter"))
FORBIDDEN = MeterError(EnergyStatus.PERMISSION, Reason.verbatim("not for you"))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def meter(clock: VirtualClock, domain: Domain = CPU, **overrides: object) -> SimulatedMeter:
    fields = {"update_period_s": 0.01, "domain": domain, "is_open": True, **overrides}
    return SimulatedMeter(clock, Power([0.0], [100.0]), **fields)  # type: ignore[arg-type]


def source_of(device: str, entries: dict[Domain, Meter | MeterError], asked: list[Search] | None = None) -> MeterSource:
    """A source that knows one device."""

    def meters_of(search: Search) -> dict[Domain, Meter | MeterError]:
        if asked is not None:
            asked.append(search)
        return dict(entries) if search.device == device else {}

    return meters_of


def test_a_source_of_ones_own_serves_its_device(clock: VirtualClock) -> None:
    board = meter(clock, GPU, update_period_s=0.02)
    sources = source_of("npu:0", {GPU: board}), source_of(HOST, {CPU: UNSUPPORTED})
    found = find_meters(["npu:0"], ROOT, sources=sources, clock=clock)
    assert found.ready("npu:0") == {GPU: board}
    assert board.update_period_s == pytest.approx(0.02, rel=0.03)
    assert not board.is_open, "a meter is open while something is measured, not before"
    assert found.ready("cpu") == {}


def test_hosts_meters_serve_every_device_behind_its_own(clock: VirtualClock) -> None:
    package, board = meter(clock), meter(clock, GPU)
    sources = source_of(HOST, {DRAM: UNSUPPORTED, CPU: package}), source_of("cuda:0", {GPU: board})
    found = find_meters(["cuda:0", "cpu"], ROOT, sources=sources, clock=clock)
    assert list(found.ready("cuda:0")) == [GPU, CPU]
    assert list(found.ready("cpu")) == [CPU]
    assert found.absent("cuda:0") == found.absent("cpu") == {DRAM: UNSUPPORTED}


@pytest.mark.parametrize("first", [UNSUPPORTED, FORBIDDEN])
def test_the_next_source_is_asked_where_the_one_before_has_no_meter(clock: VirtualClock, first: MeterError) -> None:
    stand_in = meter(clock)
    sources = source_of(HOST, {CPU: first, DRAM: first}), source_of(HOST, {CPU: stand_in, DRAM: UNSUPPORTED})
    found = find_meters(["cpu"], ROOT, sources=sources, clock=clock)
    assert found.ready("cpu") == {CPU: stand_in}
    assert found.absent("cpu") == {DRAM: first}


def test_the_next_source_is_not_asked_where_there_is_a_meter(clock: VirtualClock) -> None:
    asked: list[Search] = []
    sources = source_of(HOST, {CPU: meter(clock), DRAM: UNSUPPORTED}), source_of(HOST, {DRAM: meter(clock)}, asked)
    found = find_meters(["cpu"], ROOT, sources=sources, clock=clock)
    assert (asked, found.absent("cpu")) == ([], {DRAM: UNSUPPORTED})


def test_the_meters_of_one_source_stay_together_and_the_other_is_closed(clock: VirtualClock) -> None:
    left, taken = meter(clock, DRAM), meter(clock, DRAM)
    sources = source_of(HOST, {CPU: FORBIDDEN, DRAM: left}), source_of(HOST, {CPU: meter(clock), DRAM: taken})
    found = find_meters(["cpu"], ROOT, sources=sources, clock=clock)
    assert found.ready("cpu")[DRAM] is taken
    assert not left.is_open


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (UNSUPPORTED, FORBIDDEN, FORBIDDEN),
        (FORBIDDEN, UNSUPPORTED, FORBIDDEN),
        (UNSUPPORTED, MeterError(EnergyStatus.DRIVER_ERROR, Reason.verbatim("?")), UNSUPPORTED),
    ],
)
def test_where_all_fail_the_error_that_can_be_remedied_stands(
    clock: VirtualClock, first: MeterError, second: MeterError, kept: MeterError
) -> None:
    sources = source_of(HOST, {CPU: first}), source_of(HOST, {CPU: second})
    assert find_meters([], ROOT, sources=sources, clock=clock).absent("cpu") == {CPU: kept}


def test_a_counter_that_stands_still_is_no_meter(clock: VirtualClock) -> None:
    still = meter(clock, freezes_at_s=0.0, read_s=0.001)
    found = find_meters(["cpu"], ROOT, sources=[source_of(HOST, {CPU: still})], clock=clock)
    error = found.absent("cpu")[CPU]
    assert (error.status, error.reason.code) == (EnergyStatus.LOST, "counter_stood_still")
    assert not still.is_open


def test_what_is_lost_is_given_up_where_it_was(clock: VirtualClock) -> None:
    lost = MeterError(EnergyStatus.LOST, Reason.verbatim("gone"))
    sources = (
        source_of(HOST, {CPU: meter(clock)}),
        source_of("cuda:0", {GPU: meter(clock, GPU)}),
        source_of("cuda:1", {GPU: meter(clock, GPU)}),
    )
    found = find_meters(["cuda:0", "cuda:1"], ROOT, sources=sources, clock=clock)
    found.give_up("cuda:0", GPU, lost)
    found.give_up("cuda:0", CPU, lost)
    assert (list(found.ready("cuda:0")), list(found.ready("cuda:1"))) == ([], [GPU])
    assert found.all_absent() == {"cpu_package": lost, "gpu of cuda:0": lost}


def test_without_devices_there_is_nothing_to_read() -> None:
    assert (Meters().ready("cpu"), Meters().all_absent()) == ({}, {})


def test_the_suites_sources_answer_for_host_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "torch_device_uuid", lambda device: f"GPU-of-{device}")
    answers = {device: [set(source(Search(device, ROOT))) for source in METER_SOURCES] for device in (HOST, "cuda:0")}
    assert answers == {HOST: [set(), {CPU, DRAM}, set()], "cuda:0": [{GPU}, set(), set()]}


def test_perf_stands_in_for_the_systems_own_powercap_alone() -> None:
    *_, perf = METER_SOURCES
    assert perf(Search(HOST, ROOT)) == {}
    found = perf(Search(HOST, DEFAULT_ROOT))
    for entry in found.values():
        if not isinstance(entry, MeterError):
            entry.close()
    assert set(found) == {CPU, DRAM}
