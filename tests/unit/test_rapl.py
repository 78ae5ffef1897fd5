"""Which counters of a powercap tree are summed, what each refusal becomes, and wraps."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.meters import Conditions, Meter, MeterError, Reading
from blip_fixtures.meters.counting import joules_between
from blip_fixtures.meters.rapl import DEFAULT_ROOT, PowercapMeter, find_zones, open_rapl
from blip_fixtures.words import Domain, Scope
from tests.unit.powercap_tree import (
    AMD,
    LAYOUTS,
    MMIO,
    ONE_SOCKET,
    PACKAGE,
    PSYS,
    RANGE_UJ,
    TWO_SOCKETS,
    Planned,
    ScriptedOpener,
    class_folder,
    dangling,
    flat,
    nested,
)

COUNTER = "intel-rapl:0/energy_uj"
OTHER_COUNTER = "intel-rapl:1/energy_uj"
MIRRORED_DIES = (
    Planned("intel-rapl:0", "package-0-die-0", 1_000_000),
    Planned("intel-rapl:0:0", "dram", 50_000),
    Planned("intel-rapl:1", "package-0-die-1", 1_000_000),
    Planned("intel-rapl:1:0", "dram", 50_000),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "powercap"


def counters_uj(root: Path, opener: ScriptedOpener | None = None) -> dict[Domain, tuple[int, ...]]:
    """By domain, what its meter reads; no domain that has none."""
    entries = open_rapl(root, opener=opener or ScriptedOpener({}))
    return {domain: entry.read().counters_uj for domain, entry in entries.items() if isinstance(entry, PowercapMeter)}


def meter_of(root: Path, domain: Domain = Domain.CPU_PACKAGE, opener: ScriptedOpener | None = None) -> PowercapMeter:
    entry = open_rapl(root, opener=opener or ScriptedOpener({}))[domain]
    assert isinstance(entry, PowercapMeter)
    return entry


def error_of(root: Path, domain: Domain = Domain.CPU_PACKAGE, opener: ScriptedOpener | None = None) -> MeterError:
    entry = open_rapl(root, opener=opener or ScriptedOpener({}))[domain]
    assert isinstance(entry, MeterError)
    return entry


def fact(error: MeterError) -> tuple[str, str]:
    """What it is to the record, and the code of its reason."""
    return error.status, error.reason.code


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        pytest.param(ONE_SOCKET, {"cpu_package": (1_000_000,), "dram": (50_000,)}, id="one socket"),
        pytest.param(TWO_SOCKETS, {"cpu_package": (1_000_000, 2_000_000), "dram": (50_000, 70_000)}, id="two sockets"),
        pytest.param(AMD, {"cpu_package": (1_000_000,)}, id="amd"),
        pytest.param((*AMD, PSYS), {"cpu_package": (1_000_000,), "psys": (9_000_000,)}, id="psys"),
        pytest.param(
            (*ONE_SOCKET, *MMIO), {"cpu_package": (1_000_000,), "dram": (50_000,)}, id="mmio repeats both counters"
        ),
        pytest.param((*AMD, *MMIO), {"cpu_package": (1_000_000,)}, id="memory below an mmio twin"),
        pytest.param(MMIO, {"cpu_package": (999_999,), "dram": (49_999,)}, id="mmio alone"),
        pytest.param(MIRRORED_DIES, {"cpu_package": (1_000_000,), "dram": (50_000,)}, id="mirrored dies"),
    ],
)
def test_each_counter_is_summed_once_in_every_layout(
    root: Path, layout: object, zones: Sequence[Planned], expected: dict[str, tuple[int, ...]]
) -> None:
    assert callable(layout)
    layout(root, zones)
    assert {domain: tuple(sorted(each)) for domain, each in counters_uj(root).items()} == expected


def test_a_zone_that_is_reached_both_ways_is_counted_once(root: Path) -> None:
    nested(root, ONE_SOCKET)
    (root / "intel-rapl:0:2").symlink_to(root / "intel-rapl:0" / "intel-rapl:0:2")
    assert counters_uj(root) == {"cpu_package": (1_000_000,), "dram": (50_000,)}


def test_core_and_uncore_are_not_even_read(root: Path) -> None:
    flat(root, TWO_SOCKETS)
    opener = ScriptedOpener({})
    open_rapl(root, opener=opener)
    read = {name.partition("/")[0] for name in opener.opened if name.endswith("energy_uj")}
    assert read == {zone.folder for zone in TWO_SOCKETS if zone.name not in {"core", "uncore"}}


def test_the_name_decides_and_not_the_number(root: Path) -> None:
    flat(root, [Planned("intel-rapl:0", "psys", 9), Planned("intel-rapl:1", "package-0", 1)])
    assert counters_uj(root) == {"cpu_package": (1,), "psys": (9,)}


def test_more_than_ten_packages_keep_their_memory(root: Path) -> None:
    packages = [Planned(f"intel-rapl:{number}", f"package-{number}", 100 + number) for number in range(12)]
    flat(root, [*packages, *(Planned(f"{each.folder}:0", "dram", 10) for each in packages)])
    found = counters_uj(root)
    assert sum(found[Domain.CPU_PACKAGE]) == sum(range(100, 112))
    assert found[Domain.DRAM] == (10,) * 12


@pytest.mark.parametrize("second_uj", [999_999, 1_000_001])
def test_dies_with_counters_of_their_own_are_summed(root: Path, second_uj: int) -> None:
    flat(
        root,
        [
            Planned("intel-rapl:0", "package-0-die-0", 1_000_000),
            Planned("intel-rapl:0:0", "dram", 5),
            Planned("intel-rapl:1", "package-0-die-1", second_uj),
            Planned("intel-rapl:1:0", "dram", 7),
        ],
    )
    assert counters_uj(root) == {"cpu_package": (1_000_000, second_uj), "dram": (5, 7)}


def test_equal_counters_of_two_sockets_are_no_mirrors(root: Path) -> None:
    flat(root, [Planned(f"intel-rapl:{number}", f"package-{number}", 5) for number in range(2)])
    assert counters_uj(root) == {"cpu_package": (5, 5)}


@pytest.mark.parametrize("name", ["package-0", "package-0-die-1"])
def test_a_mirror_is_recognized_while_it_counts(root: Path, name: str) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0", 0), Planned("intel-rapl:1", name, 0)])
    shared = iter(range(1000, 10**6, 17))
    opener = ScriptedOpener({each: [lambda: str(next(shared))] for each in (COUNTER, OTHER_COUNTER)})
    (zone,) = find_zones(root, opener=opener)[Domain.CPU_PACKAGE]
    assert zone.folder.name == "intel-rapl:0"


def test_a_die_that_lies_between_two_readings_by_chance_is_no_mirror(root: Path) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0-die-0", 0), Planned("intel-rapl:1", "package-0-die-1", 0)])
    opener = ScriptedOpener({COUNTER: ["100", "110", "120", "130"], OTHER_COUNTER: ["105", "500"]})
    assert len(find_zones(root, opener=opener)[Domain.CPU_PACKAGE]) == 2


def test_a_die_that_cannot_be_read_is_reported_and_not_dropped(root: Path) -> None:
    flat(root, MIRRORED_DIES)
    opener = ScriptedOpener({OTHER_COUNTER: [PermissionError(errno.EACCES, "Permission denied")]})
    assert fact(error_of(root, opener=opener)) == ("permission", "powercap_forbidden")


def test_a_meter_says_what_it_is(root: Path) -> None:
    flat(root, ONE_SOCKET)
    meter: Meter = meter_of(root)
    assert (meter.domain, meter.source, meter.scope) == (Domain.CPU_PACKAGE, "powercap", Scope.MACHINE)
    assert (meter.least_window_s, meter.update_period_s, meter.caveat) == (1.0, 0.0, None)
    assert meter.conditions() == Conditions()
    meter.close()
    meter.close()


def test_a_reading_stands_between_two_clock_readings(root: Path) -> None:
    flat(root, TWO_SOCKETS)
    ticks = iter(range(100))
    zones = find_zones(root)[Domain.CPU_PACKAGE]
    meter = PowercapMeter(Domain.CPU_PACKAGE, zones, clock=lambda: float(next(ticks)))
    meter.open()
    assert meter.read() == Reading((1_000_000, 2_000_000), (RANGE_UJ, RANGE_UJ), 2.0, 3.0)


@pytest.mark.parametrize("range_uj", [None, 0])
def test_a_missing_range_is_no_range(root: Path, range_uj: int | None) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0", 5, range_uj)])
    assert meter_of(root).read().ranges_uj == (None,)


def test_the_range_is_read_with_the_counter(root: Path) -> None:
    flat(root, [PACKAGE])
    meter = meter_of(root)
    Planned("intel-rapl:0", "package-0", 6, 777).write(root / "intel-rapl:0")
    reading = meter.read()
    assert (reading.counters_uj, reading.ranges_uj) == ((6,), (777,))


@pytest.mark.parametrize(
    ("limits_uw", "watts"),
    [
        ({}, None),
        ({"constraint_0_power_limit_uw": 0, "constraint_0_max_power_uw": 0}, None),
        ({"constraint_0_power_limit_uw": 65_000_000}, 65.0),
        ({"constraint_0_power_limit_uw": 65_000_000, "constraint_1_power_limit_uw": 117_500_000}, 117.5),
        ({"constraint_0_power_limit_uw": 65_000_000, "constraint_0_max_power_uw": 250_000_000}, 250.0),
        ({"constraint_0_time_window_us": 999_999_999}, None),
    ],
)
def test_the_largest_limit_of_a_zone_in_watts(root: Path, limits_uw: dict[str, int], watts: float | None) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0", 5, limits_uw=limits_uw)])
    assert meter_of(root).power_limits_w == (watts,)


@pytest.mark.parametrize("zones", [AMD, (*AMD, PSYS)])
def test_memory_without_a_counter_is_unsupported(root: Path, zones: Sequence[Planned]) -> None:
    flat(root, zones)
    error = error_of(root, Domain.DRAM)
    assert fact(error) == ("unsupported", "powercap_no_counter")
    assert str(error.reason) == f"this processor has no counter for dram under {root}; the other domains stand"


def test_psys_is_absent_without_an_error(root: Path) -> None:
    flat(root, ONE_SOCKET)
    assert set(open_rapl(root)) == {"cpu_package", "dram"}


def test_psys_that_does_not_open_says_why(root: Path) -> None:
    flat(root, [*ONE_SOCKET, PSYS])
    opener = ScriptedOpener({OTHER_COUNTER: [OSError(errno.EIO, "Input/output error")]})
    found = open_rapl(root, opener=opener)
    assert isinstance(found[Domain.CPU_PACKAGE], PowercapMeter)
    error = found[Domain.PSYS]
    assert isinstance(error, MeterError)
    assert fact(error) == ("driver_error", "powercap_not_read")
    assert error.reason.args == {"file": OTHER_COUNTER, "error": "Input/output error"}


def test_no_tree(root: Path) -> None:
    for domain in (Domain.CPU_PACKAGE, Domain.DRAM):
        error = error_of(root, domain)
        assert fact(error) == ("unsupported", "powercap_no_tree")
        assert str(error) == (
            f"unsupported: there is no powercap tree at {root}: not Linux, a virtual machine, or the module "
            "intel_rapl_msr is not loaded; run on bare metal, or name the tree with --blip-rapl-root"
        )


def test_a_tree_without_zones(root: Path) -> None:
    root.mkdir()
    (root / "dtpm").mkdir()
    assert fact(error_of(root)) == ("unsupported", "powercap_no_zone")
    assert f"{root} has no RAPL zone" in str(error_of(root).reason)


def test_a_tree_with_parts_of_packages_only(root: Path) -> None:
    flat(root, [Planned("intel-rapl:0:0", "core", 5), Planned("intel-rapl:0:1", "uncore", 5)])
    assert fact(error_of(root)) == ("unsupported", "powercap_no_zone")


def test_a_socket_that_is_hidden_does_not_pass_for_the_whole_machine(root: Path) -> None:
    flat(root, TWO_SOCKETS)
    hidden = next(folder for folder in sorted(root.iterdir()) if folder.name == "intel-rapl:1")
    (hidden / "name").unlink()
    for entry in open_rapl(root).values():
        assert isinstance(entry, MeterError)
        assert fact(entry) == ("masked", "powercap_zones_hidden")
        assert entry.reason.args == {"zones": ["intel-rapl:1"], "root": str(root)}


def test_dangling_zones_are_masked(root: Path) -> None:
    dangling(root, ONE_SOCKET)
    for domain in (Domain.CPU_PACKAGE, Domain.DRAM):
        error = error_of(root, domain)
        assert fact(error) == ("masked", "powercap_zones_hidden")
        assert str(error.reason) == (
            f"{', '.join(zone.folder for zone in ONE_SOCKET)} under {root} cannot be looked into, as in most "
            "containers; mount the host's /sys/devices/virtual/powercap elsewhere and name it with --blip-rapl-root"
        )


@pytest.mark.parametrize("zones", [ONE_SOCKET, TWO_SOCKETS])
def test_emptied_zones_are_masked(root: Path, zones: Sequence[Planned]) -> None:
    for zone in zones:
        (root / zone.folder).mkdir(parents=True)
    assert fact(error_of(root)) == ("masked", "powercap_zones_hidden")


def test_a_zone_without_its_counter_is_masked(root: Path) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0", None)])
    error = error_of(root)
    assert fact(error) == ("masked", "powercap_file_missing")
    assert str(error.reason).startswith(f"{COUNTER} is not there; ")


@pytest.mark.parametrize("layout", [flat, nested, class_folder])
def test_a_counter_that_is_not_readable_is_a_matter_of_permission(root: Path, layout: object) -> None:
    assert callable(layout)
    layout(root, ONE_SOCKET)
    opener = ScriptedOpener({COUNTER: [PermissionError(errno.EACCES, "Permission denied")]})
    error = error_of(root, opener=opener)
    assert fact(error) == ("permission", "powercap_forbidden")
    said = str(error.reason)
    assert said.startswith(f"cannot read {COUNTER}: permission denied; run as root, grant read access (chmod a+r ")
    assert said.endswith(f"{COUNTER}), or pass --blip-energy=off")
    assert isinstance(open_rapl(root, opener=opener)[Domain.DRAM], PowercapMeter)


@pytest.mark.parametrize(
    "failure", [OSError(errno.EIO, "Input/output error"), IsADirectoryError(errno.EISDIR, "Is a directory")]
)
def test_another_failure_is_the_drivers(root: Path, failure: OSError) -> None:
    flat(root, [PACKAGE])
    error = error_of(root, opener=ScriptedOpener({COUNTER: [failure]}))
    assert fact(error) == ("driver_error", "powercap_not_read")
    assert str(error.reason).startswith(f"cannot read {COUNTER}: {failure.strerror}; ")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_a_counter_that_vanishes_after_it_was_read_is_lost(root: Path, number: int) -> None:
    flat(root, [PACKAGE])
    meter = meter_of(root, opener=ScriptedOpener({COUNTER: ["1000", OSError(number, os.strerror(number))]}))
    with pytest.raises(MeterError) as caught:
        meter.read()
    assert fact(caught.value) == ("lost", "powercap_file_missing")
    assert caught.value.reason.args == {"file": COUNTER}


def test_a_folder_that_is_removed_is_lost(root: Path) -> None:
    flat(root, [PACKAGE])
    meter = meter_of(root)
    (root / COUNTER).unlink()
    with pytest.raises(MeterError, match=r"^lost: intel-rapl:0/energy_uj is not there; "):
        meter.read()


def test_permission_that_is_withdrawn_stays_a_matter_of_permission(root: Path) -> None:
    flat(root, [PACKAGE])
    meter = meter_of(root, opener=ScriptedOpener({COUNTER: ["1000", PermissionError(errno.EACCES, "no")]}))
    with pytest.raises(MeterError, match=r"^permission: "):
        meter.read()


@pytest.mark.parametrize("garbage", ["", "\n", "n/a", "12.5", "-3", "\ufffd\ufffd", "²"])
def test_garbage_is_the_drivers_error(root: Path, garbage: str) -> None:
    flat(root, [PACKAGE])
    error = error_of(root, opener=ScriptedOpener({COUNTER: [garbage]}))
    assert fact(error) == ("driver_error", "powercap_no_number")
    assert str(error.reason).startswith(f"{COUNTER} holds {garbage.strip()!r} where a number belongs; ")


@pytest.mark.parametrize("garbage", ["", "n/a"])
def test_garbage_that_heals_was_a_rewrite(root: Path, garbage: str) -> None:
    flat(root, [PACKAGE])
    meter = meter_of(root, opener=ScriptedOpener({COUNTER: ["1000", garbage, garbage, "2000\n"]}))
    assert meter.read().counters_uj == (2000,)


def test_bytes_that_are_no_text_are_garbage(root: Path) -> None:
    flat(root, [PACKAGE])
    (root / COUNTER).write_bytes(b"\xff\xfe\x00")
    assert fact(error_of(root)) == ("driver_error", "powercap_no_number")


def test_an_unreadable_name_ends_the_search(root: Path) -> None:
    flat(root, [PACKAGE])
    opener = ScriptedOpener({"intel-rapl:0/name": [PermissionError(errno.EACCES, "Permission denied")]})
    error = error_of(root, opener=opener)
    assert fact(error) == ("permission", "powercap_forbidden")
    assert str(error.reason).startswith("cannot read intel-rapl:0/name: permission denied; ")


@pytest.mark.parametrize("closed", ["outer", "outer/powercap", "outer/powercap/intel-rapl:0"])
def test_a_folder_that_may_not_be_entered_is_a_matter_of_permission(tmp_path: Path, closed: str) -> None:
    (tmp_path / "outer").mkdir()
    flat(tmp_path / "outer" / "powercap", [PACKAGE])
    # Root enters every folder, so the child becomes nobody, who may not even read Python's own files; then the path is
    # relative, as pytest's folders are closed.
    code = (
        "import os; from pathlib import Path; from blip_fixtures.meters.rapl import open_rapl\n"
        "from blip_fixtures.reasons import templates; templates()\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print({(str(entry.status), entry.reason.code) for entry in open_rapl(Path('outer/powercap')).values()})\n"
    )
    tmp_path.chmod(0o755)
    (tmp_path / closed).chmod(0)
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        (tmp_path / closed).chmod(0o755)
    assert (done.stdout, done.stderr) == (f"{{{('permission', 'powercap_folder_forbidden')}}}\n", "")


def test_this_machine_gives_a_meter_or_a_reason() -> None:
    entries = open_rapl(DEFAULT_ROOT)
    assert {"cpu_package", "dram"} <= set(entries) <= {"cpu_package", "dram", "psys"}
    for entry in entries.values():
        if isinstance(entry, MeterError):
            assert entry.status in {"unsupported", "masked", "permission", "driver_error"}
        else:
            first = entry.read()
            assert joules_between(first, entry.read()) >= 0


def reading(*counters_uj: int, ranges_uj: Sequence[int | None]) -> Reading:
    return Reading(counters_uj, tuple(ranges_uj), 0.0, 0.0)


@st.composite
def advances(draw: st.DrawFn) -> tuple[int, int, int]:
    """A counter's range, its start anywhere below, and what it counts until it is read again, all in microjoules."""
    range_uj = draw(st.integers(1, 2**48))
    return range_uj, draw(st.integers(0, range_uj - 1)), draw(st.integers(0, range_uj - 1))


@given(st.lists(advances(), min_size=1, max_size=4))
def test_what_was_counted_comes_out_wherever_the_counters_wrap(zones: list[tuple[int, int, int]]) -> None:
    ranges_uj = [range_uj for range_uj, _, _ in zones]
    first = reading(*(start_uj for _, start_uj, _ in zones), ranges_uj=ranges_uj)
    second = reading(*((start + counted) % range_uj for range_uj, start, counted in zones), ranges_uj=ranges_uj)
    assert round(joules_between(first, second) * 1e6) == sum(counted for _, _, counted in zones)


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_a_counter_that_does_not_wrap_gives_its_difference(start_uj: int, counted_uj: int) -> None:
    first, second = (reading(each, ranges_uj=[None]) for each in (start_uj, start_uj + counted_uj))
    assert joules_between(first, second) == counted_uj / 1e6


def test_a_wrap_is_at_the_range_that_was_read_with_it() -> None:
    assert joules_between(reading(900_000, ranges_uj=[None]), reading(100_000, ranges_uj=[1_000_000])) == 0.2


def test_a_counter_that_goes_back_without_a_range_is_lost() -> None:
    with pytest.raises(MeterError) as caught:
        joules_between(reading(7, 500, ranges_uj=[None, None]), reading(8, 400, ranges_uj=[None, None]))
    assert fact(caught.value) == ("lost", "counter_went_back")
    assert str(caught.value.reason) == (
        "a counter went back from 500 to 400 microjoules and does not wrap, so it was reset; measure again"
    )


def test_readings_of_different_zones_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        joules_between(reading(1, ranges_uj=[None]), reading(1, 2, ranges_uj=[None, None]))


def test_a_tree_that_wraps_is_measured_through(root: Path) -> None:
    flat(root, [Planned("intel-rapl:0", "package-0", RANGE_UJ - 400_000)])
    meter = meter_of(root)
    first = meter.read()
    (root / COUNTER).write_text("1100000\n")
    assert joules_between(first, meter.read()) == 1.5
