"""The GPU's meter: which device it reads, what it does without a counter, what it says of errors and of the device."""

from __future__ import annotations

import ctypes.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from blip_fixtures.meters import MeterError
from blip_fixtures.meters.nvml import NvmlMeter, torch_device_uuid
from blip_fixtures.meters.nvml_power import PolledPower
from blip_fixtures.reasons.groups import THROTTLED
from tests.nvml.conftest import Play
from tests.nvml.library import build, environment, write_script

FIRST = "GPU-11111111-aaaa-0000-0000-000000000001"
SECOND = "GPU-12222222-bbbb-0000-0000-000000000002"
INSTANCE = "MIG-33333333-cccc-0000-0000-000000000003"
OTHER_INSTANCE = "MIG-34444444-dddd-0000-0000-000000000004"

TWO_GPUS = (f"device {FIRST} power_w 100", f"device {SECOND} power_w 300 max_limit_w 700")
PARTITIONED = (
    f"device {FIRST} power_w 200",
    f"device {SECOND} power_w 300",
    f"mig {INSTANCE}",
    f"mig {OTHER_INSTANCE}",
)
ONE_GPU = f"device {FIRST} power_w 100"
NO_COUNTER = "error nvmlDeviceGetTotalEnergyConsumption 3"

JOULES_OF_TEN_SECONDS = """
gpu = opened({!r})
at(10.0)
say([joules(gpu), gpu.scope, gpu.source, gpu.power_limits_w, gpu.caveat is None])
"""
WHY_NOT = "say(failure(opened, {!r}))"


@pytest.mark.parametrize(("uuid", "expected_j", "limit_w"), [(FIRST, 1000, 400), (SECOND, 3000, 700)])
def test_the_uuid_chooses_whatever_the_order(play: Play, uuid: str, expected_j: int, limit_w: int) -> None:
    snippet = JOULES_OF_TEN_SECONDS.format(uuid)
    assert play(snippet, *TWO_GPUS) == [expected_j, "board", "nvml", [limit_w], True]
    assert play(snippet, *reversed(TWO_GPUS)) == [expected_j, "board", "nvml", [limit_w], True]


@pytest.mark.parametrize(
    "uuid", [SECOND, SECOND.removeprefix("GPU-"), "GPU-12", "12222222-bb", SECOND.upper(), f" {SECOND} "]
)
def test_forms_of_a_uuid(play: Play, uuid: str) -> None:
    assert play(JOULES_OF_TEN_SECONDS.format(uuid), *TWO_GPUS)[0] == 3000


@pytest.mark.parametrize("uuid", ["GPU-1", "1"])
def test_a_short_uuid_of_two_gpus_is_ambiguous(play: Play, uuid: str) -> None:
    status, code, reason = play(WHY_NOT.format(uuid), *TWO_GPUS)
    assert (status, code) == ("driver_error", "gpu_ambiguous")
    assert f"{uuid} is ambiguous, it begins {FIRST}, {SECOND}; write more of it" in reason


@pytest.mark.parametrize("uuid", ["GPU-99999999", "MIG-11111111", "GPU-", ""])
def test_a_gpu_that_nvml_does_not_show(play: Play, uuid: str) -> None:
    status, code, reason = play(WHY_NOT.format(uuid), *TWO_GPUS)
    assert (status, code) == ("masked", "gpu_not_shown")
    remedy = "pass the device into the container (--gpus), or pass --blip-energy=off"
    assert reason == f"NVML does not show {uuid}; {remedy}"


def test_a_forbidden_neighbour_is_no_reason_to_fail(play: Play) -> None:
    forbidden = f"error nvmlDeviceGetHandleByIndex_v2 4 {FIRST}"
    assert play(JOULES_OF_TEN_SECONDS.format(SECOND), *TWO_GPUS, forbidden)[0] == 3000
    status, code, reason = play(WHY_NOT.format(FIRST), *TWO_GPUS, forbidden)
    assert (status, code) == ("permission", "nvml_find_forbidden")
    assert f"cannot find {FIRST}, since NVML does not show every GPU: Insufficient Permissions; " in reason


@pytest.mark.parametrize(
    "uuid",
    [
        INSTANCE,
        OTHER_INSTANCE,
        INSTANCE.removeprefix("MIG-"),
        "MIG-34",
        SECOND,
        SECOND.removeprefix("GPU-"),
        f"MIG-{SECOND}/1/0",
    ],
)
def test_an_instance_is_measured_by_its_parent(play: Play, uuid: str) -> None:
    assert play(JOULES_OF_TEN_SECONDS.format(uuid), *PARTITIONED)[:3] == [3000, "parent_gpu", "nvml"]


def test_a_gpu_beside_a_partitioned_one_is_a_board(play: Play) -> None:
    assert play(JOULES_OF_TEN_SECONDS.format(FIRST), *PARTITIONED)[:2] == [2000, "board"]


@pytest.mark.parametrize("code", [3, 13])
def test_a_driver_that_knows_no_mig(play: Play, code: int) -> None:
    assert play(JOULES_OF_TEN_SECONDS.format(FIRST), ONE_GPU, f"error nvmlDeviceGetMigMode {code}")[1] == "board"


@pytest.mark.parametrize("period_ms", [20, 100])
def test_the_counter_moves_with_its_period(play: Play, period_ms: int) -> None:
    moves = play(
        """
gpu = opened("GPU-1")
seen = []
for millisecond in range(1000):
    at(millisecond / 1000)
    seen.append(joules(gpu))
say([millisecond for millisecond in range(1, 1000) if seen[millisecond] != seen[millisecond - 1]])
""",
        f"{ONE_GPU} period_ms {period_ms}",
    )
    assert moves == list(range(period_ms, 1000, period_ms))


def test_the_counter_read_is_between_two_clock_readings(play: Play) -> None:
    reading = play('gpu = opened("GPU-1"); at(4.0); say(vars(gpu.read()))', ONE_GPU)
    assert reading == {"counters_uj": [400_000_000], "ranges_uj": [None], "before_s": 4, "after_s": 4, "slack_uj": 0}


def test_a_power_limit_that_is_not_told(play: Play) -> None:
    no_constraints = "error nvmlDeviceGetPowerManagementLimitConstraints 3"
    snippet = 'say(opened("GPU-1").power_limits_w)'
    assert play(snippet, ONE_GPU, no_constraints) == [350]
    assert play(snippet, ONE_GPU, no_constraints, "error nvmlDeviceGetEnforcedPowerLimit 3") == [None]


# The thread is stopped, for it could poll between the two halves of setting the clock.
POLLED_OVER_A_RAMP = """
gpu = opened("GPU-1")
gpu._polled.stop()
for second in range(1, 5):
    at(float(second))
    gpu._polled.poll()
reading = gpu.read()
say([gpu.source, [gpu.caveat.code, str(gpu.caveat)], reading.counters_uj, reading.slack_uj, gpu.scope])
gpu.close()
"""


def test_polled_power_where_the_counter_is_not_supported(play: Play) -> None:
    # 100 W + 10 W/s over 4 s is 480 J; each second's samples differ by 10 W, half of which may be wrong.
    source, caveat, counters_uj, slack_uj, scope = play(POLLED_OVER_A_RAMP, f"{ONE_GPU} ramp_w_per_s 10", NO_COUNTER)
    assert source == "nvml-power"
    assert caveat == ["polled_power", "this GPU has no energy counter, so its polled power was integrated"]
    assert counters_uj == [pytest.approx(480e6, abs=2)]
    assert slack_uj == pytest.approx(4 * 5e6, abs=2)
    assert scope == "board"


def test_polled_power_where_the_library_is_old(play: Play, tmp_path: Path) -> None:
    old = build(tmp_path / "old", without=("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMigMode"))
    source, _, counters_uj, *_ = play(POLLED_OVER_A_RAMP, ONE_GPU, on=old)
    assert source == "nvml-power"
    assert counters_uj == [pytest.approx(400e6, abs=2)]


def test_polling_on_the_real_clock_ends_with_the_meter(play: Play) -> None:
    reached_j, elapsed_s, running, threads_after = play(
        """
import threading, time
gpu = NvmlMeter("GPU-1")
before_s = time.perf_counter()
gpu.open()
while joules(gpu) < 10:
    time.sleep(0.01)
reading = gpu.read()
running = [thread.name for thread in threading.enumerate()]
gpu.close()
gpu.close()
say([reading.counters_uj[0] / 1e6, reading.after_s - before_s, running, threading.active_count()])
""",
        "clock real",
        ONE_GPU,
        NO_COUNTER,
    )
    assert 10 <= reached_j <= 100 * elapsed_s
    assert "blip-nvml-power" in running
    assert threads_after == 1


def test_the_counter_on_the_real_clock(play: Play) -> None:
    counted_j, least_s, most_s = play(
        """
import time
gpu = NvmlMeter("GPU-1")
gpu.open()
first = gpu.read()
time.sleep(0.3)
second = gpu.read()
counted_j = (second.counters_uj[0] - first.counters_uj[0]) / 1e6
say([counted_j, second.before_s - first.after_s, second.after_s - first.before_s])
""",
        "clock real",
        f"{ONE_GPU} period_ms 20",
    )
    assert 100 * (least_s - 0.021) <= counted_j <= 100 * (most_s + 0.021)


def test_a_failing_poll_surfaces_at_the_next_read(play: Play) -> None:
    status, code, reason = play(
        """
gpu = opened("GPU-1")
thread = gpu._polled._thread
at(5.0)
thread.join()
say(failure(gpu.read))
gpu.close()
""",
        ONE_GPU,
        NO_COUNTER,
        "lost_after 5",
    )
    assert (status, code) == ("lost", "nvml_power_gpu_lost")
    assert reason.startswith("cannot read the power of a GPU without an energy counter: GPU is lost; look for Xid")


class Samples:
    """A clock and a power that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.watts = 0.0
        self.polled = PolledPower(lambda: self.watts, lambda: self.now_s)

    def take(self, now_s: float, watts: float) -> None:
        self.now_s, self.watts = now_s, watts
        self.polled.poll()


def test_the_trapezoid_and_its_slack() -> None:
    samples = Samples()
    samples.take(1.0, 100)
    assert samples.polled.read() == (0, 0)
    samples.take(1.5, 200)
    assert samples.polled.read() == (75_000_000, 25_000_000)
    samples.take(2.5, 200)
    assert samples.polled.read() == (275_000_000, 25_000_000)
    samples.take(4.5, 0)
    assert samples.polled.read() == (475_000_000, 225_000_000)


def test_a_counter_that_was_reset_reads_less(play: Play) -> None:
    snippet = 'gpu = opened("GPU-1"); at(4.0); before = joules(gpu); at(6.0); say([before, joules(gpu)])'
    assert play(snippet, ONE_GPU, "reset_after 5") == [400, 100]


@pytest.mark.parametrize(
    ("lines", "status", "code", "beginning"),
    [
        (
            ["error nvmlInitWithFlags 9"],
            "driver_error",
            "nvml_driver_not_loaded",
            "cannot load NVML: Driver Not Loaded; load the NVIDIA kernel",
        ),
        (
            ["error nvmlInitWithFlags 18"],
            "driver_error",
            "nvml_version_mismatch",
            "cannot load NVML: RM has detected an NVML/RM version mismatch; reboot, so that",
        ),
        (
            ["error nvmlInitWithFlags 999"],
            "driver_error",
            "nvml_not_loaded",
            "cannot load NVML: Unknown Error; see whether nvidia-smi",
        ),
        (
            ["error nvmlInitWithFlags 77"],
            "driver_error",
            "nvml_not_loaded",
            "cannot load NVML: An Error Of The Fake; see whether",
        ),
        (["error nvmlInitWithFlags 4"], "permission", "nvml_load_forbidden", "cannot load NVML: Insufficient Permissi"),
        (
            ["error nvmlDeviceGetCount_v2 999"],
            "driver_error",
            "nvml_not_listed",
            "cannot list the GPUs: Unknown Error; see whether",
        ),
        (
            ["error nvmlDeviceGetMigMode 999"],
            "driver_error",
            "nvml_not_found",
            f"cannot find {FIRST}, since NVML does not show every",
        ),
        (
            ["error nvmlDeviceGetTotalEnergyConsumption 4"],
            "permission",
            "nvml_counter_forbidden",
            "cannot read the GPU's energy counter: Insufficient Permissions; run as a user who may",
        ),
        (
            [NO_COUNTER, "error nvmlDeviceGetPowerUsage 3"],
            "unsupported",
            "nvml_power_unsupported",
            "cannot read the power of a GPU without an energy counter: Not Supported; measure on another GPU",
        ),
        (
            [NO_COUNTER, "error nvmlDeviceGetPowerUsage 13"],
            "unsupported",
            "nvml_power_driver_old",
            "cannot read the power of a GPU without an energy counter: Function Not Found; update the NVIDIA driver",
        ),
        (
            ["lost_after 0"],
            "lost",
            "nvml_find_gpu_lost",
            f"cannot find {FIRST}, since NVML does not show every GPU: GPU is lost; look for",
        ),
        (
            ["error nvmlDeviceGetTotalEnergyConsumption 15"],
            "lost",
            "nvml_counter_gpu_lost",
            "cannot read the GPU's energy counter: GPU is lost",
        ),
        # An error that NVML does not give for this call keeps its status, with the remedy of the unknown ones.
        (
            ["error nvmlDeviceGetCount_v2 12"],
            "library_missing",
            "nvml_not_listed",
            "cannot list the GPUs: NVML Shared Library Not Found; see whether",
        ),
    ],
)
def test_errors_that_end_open(play: Play, lines: list[str], status: str, code: str, beginning: str) -> None:
    *fact, reason = play(WHY_NOT.format(FIRST), ONE_GPU, *lines)
    assert fact == [status, code]
    assert reason.startswith(beginning)
    assert reason.endswith(", or pass --blip-energy=off")


@pytest.mark.parametrize("ending", ["close", "fail"])
def test_nvml_is_shut_down(play: Play, ending: str) -> None:
    snippet = {
        "close": 'gpu = opened("GPU-1"); gpu.open(); gpu.close(); gpu.close()',
        "fail": 'failure(opened, "GPU-9")',
    }[ending]
    asked = """
import pynvml
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError as error:
    say(error.value)
"""
    assert play(snippet + asked, ONE_GPU) == 1  # uninitialized


@pytest.mark.parametrize("library_file", ["broken", "none"])
def test_a_machine_without_the_library(tmp_path: Path, run_python: Play, library_file: str) -> None:
    if library_file == "broken":
        (tmp_path / "libnvidia-ml.so.1").write_bytes(b"not a library, so that the loader looks no further" * 20)
    elif ctypes.util.find_library("nvidia-ml") is not None:
        pytest.skip("this machine has the NVIDIA driver")
    variables = environment(tmp_path, write_script(tmp_path, ONE_GPU))
    found, count, version = run_python(
        "say([failure(opened, 'GPU-1'), nvidia_device_count(), failure(driver_version)])", variables
    )
    assert found == version
    assert found[:2] == ["library_missing", "nvml_library_missing"]
    assert found[2].startswith("cannot load NVML: NVML Shared Library Not Found; install the NVIDIA driver, ")
    assert count == 0


def test_a_python_without_pynvml(play: Play) -> None:
    status, code, reason = play('import sys; sys.modules["pynvml"] = None; say(failure(opened, "GPU-1"))')
    assert (status, code) == ("library_missing", "pynvml_missing")
    assert "the Python module pynvml is missing; install nvidia-ml-py, or pass --blip-energy=off" in reason


def test_a_gpu_lost_midway(play: Play) -> None:
    snippet = """
gpu = opened("GPU-1")
at(4.0)
before = joules(gpu)
at(5.0)
say([before, failure(gpu.read), gpu.conditions().facts])
gpu.close()
"""
    before, (status, code, reason), facts = play(snippet, ONE_GPU, "lost_after 5")
    assert before == 400
    assert (status, code) == ("lost", "nvml_counter_gpu_lost")
    assert reason.startswith("cannot read the GPU's energy counter: GPU is lost; look for Xid errors")
    assert set(facts.values()) == {"unknown"}


def test_every_failure_after_open_is_lost(play: Play) -> None:
    # The second call on the device fails: a script cannot say so, hence the shutdown behind the meter's back.
    snippet = 'gpu = opened("GPU-1"); gpu._nvml.nvmlShutdown(); say(failure(gpu.read)); gpu.close()'
    status, code, reason = play(snippet, ONE_GPU)
    assert (status, code) == ("lost", "nvml_counter_not_read")
    assert reason.partition(";")[0] == "cannot read the GPU's energy counter: Uninitialized"


def test_a_closed_meter() -> None:
    gpu = NvmlMeter("GPU-1")
    with pytest.raises(MeterError, match=r"lost: .* the meter is closed"):
        gpu.read()
    assert set(gpu.conditions().facts.values()) == {"unknown"}
    gpu.close()


CONDITIONS = """
at(1.0)
found = opened("GPU-1").conditions()
say([found.facts, *([[reason.code, str(reason)] for reason in each] for each in (found.degraded, found.contended))])
"""
ONE_OTHER = ["gpu_other_process", "1 other compute process was on the GPU"]
TWO_OTHERS = ["gpu_other_processes", "2 other compute processes were on the GPU"]


def test_facts(play: Play) -> None:
    device = f"{ONE_GPU} sm_mhz 1980 memory_mhz 2619 temperature_c 61 limit_w 650.5 reasons 0x1"
    facts, degraded, contended = play(CONDITIONS, device, "process self")
    assert facts == {
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "temperature_c": 61,
        "power_limit_w": 650.5,
        "throttle_reasons": ["gpu_idle"],
        "other_compute_processes": 0,
    }
    assert degraded == contended == []


@pytest.mark.parametrize(
    ("function", "fact"),
    [
        ("nvmlDeviceGetTemperature", "temperature_c"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "other_compute_processes"),
    ],
)
def test_a_fact_that_cannot_be_read(play: Play, tmp_path: Path, function: str, fact: str) -> None:
    lines = ONE_GPU, "process self", f"error {function} 4", "error nvmlDeviceGetComputeRunningProcesses_v2 4"
    facts, degraded, contended = play(CONDITIONS, *lines)
    assert [name for name, value in facts.items() if value == "unknown"] == [fact]
    assert degraded == contended == []


@pytest.mark.parametrize(
    ("mask", "names", "degraded"),
    [
        (0x0, [], []),
        (0x117, ["gpu_idle", "applications_clocks", "sw_power_cap", "sync_boost", "display_clocks"], []),
        (0x8, ["hw_slowdown"], [["gpu_hw_slowdown", "the hardware slowed the GPU's clocks down"]]),
        (0x20, ["sw_thermal"], [["gpu_sw_thermal", "the driver slowed the GPU's clocks down because it was hot"]]),
        (0x40, ["hw_thermal"], [["gpu_hw_thermal", "the hardware slowed the GPU's clocks down because it was hot"]]),
        (
            0x84,
            ["sw_power_cap", "hw_power_brake"],
            [["gpu_hw_power_brake", "the power supply made the GPU slow its clocks down"]],
        ),
        (0x80000, ["0x80000"], []),
    ],
)
def test_throttling(play: Play, mask: int, names: list[str], degraded: list[list[str]]) -> None:
    facts, said, _ = play(CONDITIONS, f"{ONE_GPU} reasons {mask:#x}")
    assert facts["throttle_reasons"] == names
    assert said == degraded
    assert {code for code, _ in said} <= THROTTLED


def test_every_way_of_throttling_is_one_to_the_gate(play: Play) -> None:
    _, said, _ = play(CONDITIONS, f"{ONE_GPU} reasons 0xffff")
    assert {code for code, _ in said} == THROTTLED


def test_calls_by_their_names_in_an_old_library(play: Play, tmp_path: Path) -> None:
    newer = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetComputeRunningProcesses_v3")
    old = build(tmp_path / "old", without=newer)
    facts, degraded, contended = play(CONDITIONS, f"{ONE_GPU} reasons 0x8", "process self", "process 7", on=old)
    assert facts["throttle_reasons"] == ["hw_slowdown"]
    assert len(degraded) == 1
    assert contended == [ONE_OTHER]


@pytest.mark.parametrize(
    ("processes", "others", "contended"),
    [
        (["self", "7"], 1, [ONE_OTHER]),
        (["8", "self", "7", "7"], 2, [TWO_OTHERS]),
        # Without this process the list is in another numbering, or incomplete.
        ([], "unknown", []),
        (["7"], "unknown", []),
        (["7", "8", "9"], 2, [TWO_OTHERS]),
    ],
)
def test_other_processes(play: Play, processes: list[str], others: object, contended: list[list[str]]) -> None:
    facts, _, said = play(CONDITIONS, ONE_GPU, *(f"process {process}" for process in processes))
    assert facts["other_compute_processes"] == others
    assert said == contended


def test_the_count_and_the_driver(play: Play) -> None:
    snippet = "say([nvidia_device_count(), driver_version()])"
    assert play(snippet, *PARTITIONED, "driver 570.1.2") == [2, "570.1.2"]
    *fact, reason = play("say(failure(driver_version))", ONE_GPU, "error nvmlSystemGetDriverVersion 999")
    assert fact == ["driver_error", "nvml_version_not_read"]
    assert reason == (
        "cannot read the version of the NVIDIA driver: Unknown Error; see whether nvidia-smi works, "
        "or pass --blip-energy=off"
    )
    hidden = 'os.environ["CUDA_VISIBLE_DEVICES"] = "-1"; say(nvidia_device_count())'
    assert play(hidden, *PARTITIONED) == 0


@pytest.mark.parametrize(
    ("visible", "device", "uuid"),
    [
        (None, "cuda:0", "uuid-of-cuda:0"),
        ("1,0", "cuda:1", "uuid-of-cuda:1"),
        (SECOND, "cuda:0", "uuid-of-cuda:0"),
        (INSTANCE, "cuda:0", INSTANCE),
        (f"{INSTANCE}, {OTHER_INSTANCE}", "cuda:1", OTHER_INSTANCE),
        (f"{SECOND},{INSTANCE}", "cuda:0", "uuid-of-cuda:0"),
        (INSTANCE, "cuda:1", "uuid-of-cuda:1"),
        (f"{FIRST},{INSTANCE}", "cuda", INSTANCE),
    ],
)
def test_the_uuid_of_a_torch_device(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: str, uuid: str
) -> None:
    class Uuid:
        """As torch has it: no str, but one can be made of it."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __str__(self) -> str:
            return self.name

    def properties(of: str) -> SimpleNamespace:
        return SimpleNamespace(uuid=Uuid(f"uuid-of-{of}"))

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = torch_device_uuid(device)
    assert type(found) is str
    assert found == uuid
