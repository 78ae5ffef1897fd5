"""Which torch devices a run uses. Importing torch takes seconds, so collection counts GPUs without it."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.reasons import Reason


def requested_devices(wanted: tuple[str, ...], count_gpus: Callable[[], int]) -> list[str]:
    """The devices that `--blip-device` stands for, as torch names; ``auto`` is the CPU and the first CUDA device."""
    if wanted == ("auto",):
        return ["cpu", *(["cuda:0"] if count_gpus() else [])]
    return list(dict.fromkeys("cuda:0" if device == "cuda" else device for device in wanted))


def primary_device(devices: list[str]) -> str:
    """Where the sweeps run that do not vary the device: the last CUDA device, else the CPU."""
    return ([device for device in devices if device.startswith("cuda")] or devices)[-1]


def why_unavailable(device: str) -> Reason | None:
    """Why this process cannot run on `device`, with the remedy; `None` where it can. Imports torch for CUDA only."""
    if device == "cpu":
        return None
    import torch

    from blip_fixtures.reasons import Reason

    if torch.version.cuda is None:
        return Reason.of("no_cuda_build", device=device, version=torch.__version__)
    count = torch.cuda.device_count()
    index = int(device.partition(":")[2])
    if index < count:
        return None
    if count == 1:
        return Reason.of("one_device_only", device=device)
    return Reason.of("no_such_device", device=device, count=count)


def device_name(device: str) -> str:
    """The marketing name of the hardware behind `device`."""
    if device == "cpu":
        return cpu_model()
    import torch

    return str(torch.cuda.get_device_name(device))


def cpu_model() -> str:
    """The processor's name, from /proc/cpuinfo on Linux, else as the platform tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def synchronize(device: str) -> None:
    """Wait until `device` has finished what was queued on it; the CPU has no queue."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def synchronizing_timer(device: str) -> Callable[[], float]:
    """A monotonic clock in seconds that waits for `device` before it is read."""

    def synchronized_perf_counter() -> float:
        synchronize(device)
        return time.perf_counter()

    return synchronized_perf_counter
