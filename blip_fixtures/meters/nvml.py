"""NVIDIA GPUs through NVML: the energy counter of the board, or its polled power, and the state of the device.

Nothing here loads pynvml before it is called, and no device is ever chosen by index: NVML orders devices by PCI bus,
CUDA by speed and by CUDA_VISIBLE_DEVICES, so only the UUID means the same to both.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from blip_fixtures.devices import why_unavailable
from blip_fixtures.meters import Conditions, MeterError, Reading, own_domain
from blip_fixtures.meters.nvml_device import (
    COUNTER,
    HAS_NONE,
    NO_DRIVER,
    POWER,
    VERSION,
    failure,
    find_device,
    initialized,
)
from blip_fixtures.meters.nvml_power import PolledPower
from blip_fixtures.meters.nvml_state import UNKNOWN, GpuState, throttling
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyStatus, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.meters import Meter, Search


class NvmlMeter:
    """The energy of the GPU with `uuid`; of the whole board, also for a MIG instance, which has no counter of its own.

    `uuid` is a UUID with or without its ``GPU-`` or ``MIG-``, or as much of its beginning as tells it from others.
    `polled` integrates polled power though the GPU has a counter, to hold the one against the other.
    """

    domain = Domain.GPU

    def __init__(self, uuid: str, *, polled: bool = False, clock: Callable[[], float] = time.perf_counter) -> None:
        self.source = "nvml"
        self.scope = Scope.BOARD
        self.update_period_s = 0.0
        self.least_window_s = 5.0
        self.power_limits_w: tuple[float | None, ...] = (None,)
        self.caveat: Reason | None = None
        self._uuid = uuid
        self._wants_polled = polled
        self._clock = clock
        self._nvml: Any = None
        self._handle: Any = None
        self._polled: PolledPower | None = None

    def open(self) -> None:
        """Find the GPU and read its counter once; poll its power where there is none. Raises `MeterError`."""
        self.close()
        self._nvml = initialized()
        try:
            found = find_device(self._nvml, self._uuid)
            self._handle = found.handle
            self.scope = Scope.PARENT_GPU if found.mig else Scope.BOARD
            self.power_limits_w = (self._power_limit_w(),)
            self._choose_source()
        except BaseException:
            self.close()
            raise

    def read(self) -> Reading:
        """The counter in microjoules, or the integral up to the last poll. Raises `MeterError` (``lost``)."""
        if self._handle is None:
            raise MeterError(EnergyStatus.LOST, Reason.of("nvml_closed"))
        before_s = self._clock()
        slack_uj = 0
        if self._polled is not None:
            energy_uj, slack_uj = self._polled.read()
        else:
            try:
                energy_uj = self._counter_uj()
            except self._nvml.NVMLError as error:
                raise MeterError(EnergyStatus.LOST, failure(COUNTER, error).reason) from error
        return Reading((energy_uj,), (None,), before_s, self._clock(), slack_uj)

    def conditions(self) -> Conditions:
        """Clocks (MHz), temperature (C), enforced power limit (W), throttling, and who else computes on the GPU."""
        state = GpuState(self._nvml, self._handle).facts()
        power_limit_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        others = self._other_compute_processes()
        facts = {
            **state,
            "power_limit_w": UNKNOWN if power_limit_mw is None else power_limit_mw / 1000,
            "other_compute_processes": UNKNOWN if others is None else others,
        }
        return Conditions(facts, throttling(state), _contended(others))

    def close(self) -> None:
        """Stop polling and let go of NVML; harmless when it is closed already."""
        if self._polled is not None:
            self._polled.stop()
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):  # a GPU that fell off may fail here once more
                self._nvml.nvmlShutdown()
        self._nvml = self._handle = self._polled = None

    def _choose_source(self) -> None:
        self.source, self.caveat = "nvml", None
        try:
            self._counter_uj()
        except self._nvml.NVMLError as error:
            if error.value not in HAS_NONE:
                raise failure(COUNTER, error) from error
            self.caveat = Reason.of("polled_power")
        if self._wants_polled or self.caveat is not None:
            polled = PolledPower(self._power_w, self._clock)
            polled.start()
            self._polled = polled
            self.source = "nvml-power"

    def _counter_uj(self) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) * 1000

    def _power_w(self) -> float:
        try:
            return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1000
        except self._nvml.NVMLError as error:
            raise failure(POWER, error) from error

    def _power_limit_w(self) -> float | None:
        constraints_mw = self._ask("nvmlDeviceGetPowerManagementLimitConstraints")
        limit_mw = constraints_mw[1] if constraints_mw else self._ask("nvmlDeviceGetEnforcedPowerLimit")
        return None if limit_mw is None else limit_mw / 1000

    def _other_compute_processes(self) -> int | None:
        """How many processes compute on the GPU beside this one; `None` where that cannot be told.

        This process works on the GPU, so a list without it is not in its terms: in a container NVML may tell the
        host's process ids, where one of them is this process by another number, or hide processes. Then a list of two
        or more still proves one fewer others, and a shorter one proves nothing.
        """
        # Not the name without a version: on an older driver that raises something that is no NVMLError.
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
        if processes is None:
            return None
        pids = {process.pid for process in processes}
        return len(pids) - 1 if os.getpid() in pids or len(pids) > 1 else None

    def _ask(self, function: str, *older: str) -> Any:
        return GpuState(self._nvml, self._handle).ask(function, *older)


def _contended(others: int | None) -> tuple[Reason, ...]:
    if not others:
        return ()
    return (Reason.of("gpu_other_process") if others == 1 else Reason.of("gpu_other_processes", count=others),)


def meters_of(search: Search) -> dict[Domain, Meter | MeterError]:
    """The open meter of a GPU, or why it has none; nothing for the host."""
    if own_domain(search.device) != Domain.GPU:
        return {}
    reason = why_unavailable(search.device)
    if reason is not None:  # only torch knows which of NVML's devices it would be
        return {Domain.GPU: MeterError(EnergyStatus.DRIVER_ERROR, reason)}
    meter = NvmlMeter(torch_device_uuid(search.device), clock=search.clock)
    try:
        meter.open()
    except MeterError as error:
        return {Domain.GPU: error}
    return {Domain.GPU: meter}


def torch_device_uuid(device: str) -> str:
    """The UUID of a torch device, without a prefix as CUDA tells it, or as CUDA_VISIBLE_DEVICES names a MIG instance.

    Depending on its version CUDA gives the UUID of the instance or of its parent, so the variable is the surer word.
    """
    import torch

    visible = [entry.strip() for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if any(entry.startswith("MIG-") for entry in visible):
        index = torch.device(device).index
        if index is None:
            index = torch.cuda.current_device()
        if index < len(visible) and visible[index].startswith("MIG-"):
            return visible[index]
    return str(torch.cuda.get_device_properties(device).uuid)


def nvidia_device_count() -> int:
    """How many NVIDIA devices this process may see, without importing torch; 0 where there is no driver.

    At least 1 where a driver is there and NVML fails on it: then CUDA has to be asked.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return 0
    try:
        pynvml = initialized()
    except MeterError as error:
        return int(error.reason.code not in NO_DRIVER)
    try:
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 1
    finally:
        pynvml.nvmlShutdown()


def driver_version() -> str:
    """The version of the NVIDIA driver. Raises `MeterError` where there is none."""
    pynvml = initialized()
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        raise failure(VERSION, error) from error
    finally:
        pynvml.nvmlShutdown()
