"""perf's power events: what is opened, the unit of the counts, and what each refusal becomes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from blip_fixtures.meters import Conditions, Meter, MeterError
from blip_fixtures.meters.counting import joules_between
from blip_fixtures.meters.perf import PerfMeter, open_event, open_perf
from blip_fixtures.words import Domain, Scope

SCALE = "2.3283064365386962890625e-10"
COUNTS_A_JOULE = 2**32
PKG, RAM = 0x02, 0x03
SOFTWARE, CPU_CLOCK = 1, 0  # PERF_TYPE_SOFTWARE and PERF_COUNT_SW_CPU_CLOCK, in nanoseconds


def write_pmu(folder: Path, *, kind: int = 9, cpumask: str = "0", scale: str = SCALE, **events: int) -> Path:
    """The description of a unit; `events` are ``pkg`` and ``ram`` with their configurations."""
    (folder / "events").mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "cpumask").write_text(f"{cpumask}\n")
    for name, config in events.items():
        (folder / "events" / f"energy-{name}").write_text(f"event=0x{config:02x}\n")
        (folder / "events" / f"energy-{name}.scale").write_text(f"{scale}\n")
    return folder


class Pipes:
    """Opens a pipe for each event, which gives `counts[cpu]`, one a reading, and then ends."""

    def __init__(self, counts: dict[int, Sequence[int]]) -> None:
        self.counts = counts
        self.opened: list[tuple[int, int, int]] = []
        self.descriptors: list[tuple[int, int]] = []  # with the pipe's inode, since the system reuses the numbers

    def __call__(self, kind: int, config: int, cpu: int) -> int:
        self.opened.append((kind, config, cpu))
        reader, writer = os.pipe()
        self.descriptors.append((reader, os.fstat(reader).st_ino))
        os.write(writer, b"".join(count.to_bytes(8, "little") for count in self.counts[cpu]))
        os.close(writer)
        return reader

    def still_open(self) -> list[int]:
        return [descriptor for descriptor, inode in self.descriptors if _is_open(descriptor, inode)]


def _is_open(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False


def fact(error: MeterError) -> tuple[str, str]:
    """What it is to the record, and the code of its reason."""
    return error.status, error.reason.code


@pytest.fixture
def pmu(tmp_path: Path) -> Path:
    return write_pmu(tmp_path / "power", pkg=PKG, ram=RAM)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes({0: [0, COUNTS_A_JOULE, 3 * COUNTS_A_JOULE]})
    yield made
    for descriptor in made.still_open():
        os.close(descriptor)


def test_counts_become_microjoules(pmu: Path, pipes: Pipes) -> None:
    ticks = iter(range(100))
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, clock=lambda: float(next(ticks)), open_event=pipes)
    meter.open()
    first, second = meter.read(), meter.read()
    assert (first.counters_uj, first.ranges_uj) == ((1_000_000,), (None,))
    assert (first.before_s, first.after_s) == (2.0, 3.0)
    assert joules_between(first, second) == 2.0


def test_a_count_of_64_bits_is_not_negative(pmu: Path) -> None:
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=Pipes({0: [0, 2**64 - 1]}))
    meter.open()
    assert meter.read().counters_uj == (2**32 * 10**6,)
    meter.close()


@pytest.mark.parametrize(
    ("cpumask", "cpus"), [("0", [0]), ("0,18", [0, 18]), ("0-1", [0, 1]), ("0-1,36-37", [0, 1, 36, 37])]
)
def test_one_event_for_each_package(tmp_path: Path, cpumask: str, cpus: list[int]) -> None:
    pmu = write_pmu(tmp_path / "power", kind=23, cpumask=cpumask, pkg=PKG)
    pipes = Pipes({cpu: [0, (cpu + 1) * COUNTS_A_JOULE] for cpu in cpus})
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=pipes)
    meter.open()
    assert pipes.opened == [(23, PKG, cpu) for cpu in cpus]
    reading = meter.read()
    assert reading.counters_uj == tuple((cpu + 1) * 1_000_000 for cpu in cpus)
    assert len(reading.ranges_uj) == len(meter.power_limits_w) == len(cpus)
    meter.close()


def test_each_domain_has_its_event(pmu: Path, pipes: Pipes) -> None:
    found = open_perf(pmu=pmu, open_event=pipes)
    assert {domain: type(entry) for domain, entry in found.items()} == {"cpu_package": PerfMeter, "dram": PerfMeter}
    assert pipes.opened == [(9, PKG, 0), (9, RAM, 0)]


def test_a_meter_says_what_it_is(pmu: Path, pipes: Pipes) -> None:
    meter: Meter = PerfMeter(Domain.DRAM, pmu=pmu, open_event=pipes)
    assert (meter.domain, meter.source, meter.scope) == (Domain.DRAM, "perf", Scope.MACHINE)
    assert (meter.least_window_s, meter.update_period_s, meter.caveat) == (1.0, 0.0, None)
    assert meter.power_limits_w == (None,)
    assert meter.conditions() == Conditions()


def test_no_unit_is_unsupported(tmp_path: Path) -> None:
    found = open_perf(pmu=tmp_path / "power", open_event=Pipes({}))
    for domain, event in ((Domain.CPU_PACKAGE, "energy-pkg"), (Domain.DRAM, "energy-ram")):
        error = found[domain]
        assert isinstance(error, MeterError)
        assert fact(error) == ("unsupported", "perf_no_event")
        assert f"perf has no event power/{event}/: " in str(error.reason)


def test_a_unit_without_memory_still_has_packages(tmp_path: Path, pipes: Pipes) -> None:
    found = open_perf(pmu=write_pmu(tmp_path / "power", pkg=PKG), open_event=pipes)
    assert isinstance(found[Domain.CPU_PACKAGE], PerfMeter)
    memory = found[Domain.DRAM]
    assert isinstance(memory, MeterError)
    assert fact(memory) == ("unsupported", "perf_no_event")


@pytest.mark.parametrize(
    ("number", "status", "code", "remedy"),
    [
        (errno.EACCES, "permission", "perf_forbidden", "kernel.perf_event_paranoid to 0, or grant CAP_PERFMON"),
        (errno.EPERM, "permission", "perf_forbidden", "kernel.perf_event_paranoid to 0, or grant CAP_PERFMON"),
        (errno.ENOENT, "unsupported", "perf_cannot_count", "cannot be counted here"),
        (errno.ENODEV, "unsupported", "perf_cannot_count", "cannot be counted here"),
        (errno.ENOSYS, "unsupported", "perf_cannot_count", "cannot be counted here"),
        (errno.EMFILE, "driver_error", "perf_not_opened", "--blip-energy=off"),
    ],
)
def test_a_refused_event(pmu: Path, number: int, status: str, code: str, remedy: str) -> None:
    def refuse(kind: int, config: int, cpu: int) -> int:
        raise OSError(number, os.strerror(number))

    for error in open_perf(pmu=pmu, open_event=refuse).values():
        assert isinstance(error, MeterError)
        assert fact(error) == (status, code)
        assert os.strerror(number) in str(error.reason)
        assert remedy in str(error.reason)


def test_a_refusal_for_one_package_closes_the_others(tmp_path: Path) -> None:
    pmu = write_pmu(tmp_path / "power", cpumask="0,18", pkg=PKG)
    pipes = Pipes({0: [0]})

    def first_only(kind: int, config: int, cpu: int) -> int:
        if cpu:
            raise PermissionError(errno.EACCES, "Permission denied")
        return pipes(kind, config, cpu)

    with pytest.raises(MeterError, match=r"^permission: "):
        PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=first_only).open()
    assert len(pipes.descriptors) == 1
    assert pipes.still_open() == []


def test_other_processors_than_x86_64_are_unsupported(pmu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    error = open_perf(pmu=pmu)[Domain.CPU_PACKAGE]
    assert isinstance(error, MeterError)
    assert str(error) == (
        "unsupported: perf's event power/energy-pkg/ cannot be counted here: perf's power events are read on x86-64, "
        "not on aarch64; pass --blip-energy=off"
    )
    assert error.reason.args == {"event": "power/energy-pkg/", "machine": "aarch64"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("type", "power"),
        ("cpumask", ""),
        ("events/energy-pkg", "umask=1"),
        ("events/energy-pkg.scale", "Joules"),
    ],
)
def test_a_description_that_makes_no_sense_is_the_drivers_error(pmu: Path, file: str, text: str) -> None:
    (pmu / file).write_text(text)
    with pytest.raises(MeterError) as caught:
        PerfMeter(Domain.CPU_PACKAGE, pmu=pmu)
    assert fact(caught.value) == ("driver_error", "perf_no_number")
    assert str(caught.value.reason).startswith(f"{pmu / file} holds {text!r}, which is no ")


def test_a_description_with_a_gap_is_the_drivers_error(pmu: Path) -> None:
    (pmu / "type").unlink()
    with pytest.raises(MeterError, match=r"^driver_error: cannot read .*/type: No such file or directory; "):
        PerfMeter(Domain.CPU_PACKAGE, pmu=pmu)


def test_a_meter_opens_again_after_it_was_closed(pmu: Path, pipes: Pipes) -> None:
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=pipes)
    meter.open()
    meter.open()
    assert len(pipes.still_open()) == 1
    meter.close()
    meter.close()
    assert pipes.still_open() == []
    meter.open()
    assert meter.read().counters_uj == (1_000_000,)


def test_an_event_that_cannot_be_read_is_lost(pmu: Path, tmp_path: Path) -> None:
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=lambda *_: os.open(tmp_path, os.O_RDONLY))
    with pytest.raises(MeterError, match=r"^lost: perf's event power/energy-pkg/ broke off: "):
        meter.open()


def test_an_event_that_ends_is_lost_and_not_zero(pmu: Path, pipes: Pipes) -> None:
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=pipes)
    meter.open()
    meter.read()
    meter.read()
    with pytest.raises(MeterError, match=r"^lost: perf's event power/energy-pkg/ "):
        meter.read()


def test_an_event_that_ends_at_once_leaves_nothing_open(pmu: Path) -> None:
    pipes = Pipes({0: []})
    with pytest.raises(MeterError, match=r"^lost: "):
        PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=pipes).open()
    assert len(pipes.descriptors) == 1
    assert pipes.still_open() == []


def test_a_closed_meter_has_no_reading(pmu: Path, pipes: Pipes) -> None:
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=pipes)
    with pytest.raises(MeterError, match="the meter is closed; open it first"):
        meter.read()
    meter.open()
    meter.close()
    with pytest.raises(MeterError, match="the meter is closed; open it first"):
        meter.read()


def test_the_kernel_counts_or_refuses_for_want_of_permission(tmp_path: Path) -> None:
    """A software event of one processor goes the way of the power events, on machines that have none of those."""
    cpu = min(os.sched_getaffinity(0))
    pmu = write_pmu(tmp_path / "power", kind=SOFTWARE, cpumask=str(cpu), scale="1e-9", pkg=CPU_CLOCK)
    meter = PerfMeter(Domain.CPU_PACKAGE, pmu=pmu, open_event=open_event)
    refusal = None
    try:
        meter.open()
    except MeterError as error:
        refusal = error
    if refusal is not None:
        assert fact(refusal) == ("permission", "perf_forbidden")
        return
    first = meter.read()
    time.sleep(0.05)
    second = meter.read()
    meter.close()
    # The clock of a processor counts its wall time, here in nanoseconds that the scale calls nanojoules.
    assert second.before_s - first.after_s <= joules_between(first, second) + 1e-5
    assert joules_between(first, second) <= second.after_s - first.before_s + 1e-5
