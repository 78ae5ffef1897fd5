"""Which torch devices a run uses. Importing torch takes seconds, so it is asked only where there is an NVIDIA card."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import re
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from blip_fixtures.reasons import Reason

_FIRST = "cuda:0"
_LEAST_ACCELERATE = "1.0"
# The compute capabilities of NVIDIA's Tegra, whose binaries are their own (`torch.cuda.DEVICE_REQUIREMENT`).
_TEGRA = {(5, 3), (6, 2), (7, 2), (8, 7)}
# The least driver for every release of a CUDA major version (CUDA Compatibility, "Minor Version Compatibility").
_LEAST_DRIVER = {"11": 450, "12": 525, "13": 580}


@dataclass(frozen=True)
class ChosenDevices:
    """The devices of a run as torch names; `passed_over` says of each NVIDIA card that ``auto`` tried in vain why."""

    names: tuple[str, ...]
    passed_over: tuple[Reason, ...] = ()


def choose_devices(
    wanted: tuple[str, ...], count_gpus: Callable[[], int], why_not: Callable[[str], Reason | None]
) -> ChosenDevices:
    """The devices that `--blip-device` stands for.

    ``auto`` is the CPU, and the first CUDA device that `why_not` knows no reason against. `why_not` is asked only where
    `count_gpus` finds a card, since it imports torch.
    """
    if wanted != ("auto",):
        return ChosenDevices(tuple(dict.fromkeys(_FIRST if device == "cuda" else device for device in wanted)))
    passed_over: list[Reason] = []
    for device in (f"cuda:{index}" for index in range(count_gpus())):
        reason = why_not(device)
        if reason is None:
            return ChosenDevices(("cpu", device), tuple(passed_over))
        passed_over.append(reason)
    return ChosenDevices(("cpu",), tuple(passed_over))


def primary_device(devices: Sequence[str]) -> str:
    """Where the sweeps run that do not vary the device: the last CUDA device, else the CPU."""
    return ([device for device in devices if device.startswith("cuda")] or list(devices))[-1]


def why_unavailable(device: str) -> Reason | None:
    """Why this process cannot run on `device`, with the remedy; `None` where it can.

    Imports torch for CUDA only, and starts CUDA and the device, each once in a process: NVML, by which torch counts
    devices before that, also shows cards that CUDA rejects. Of several cards each must run, and accelerate must be
    there, which hands tensors from one to the next.
    """
    if device == "cpu":
        return None
    cards = cards_of(device)
    if len(cards) > 1:
        return next(filter(None, map(why_unavailable, cards)), None) or why_not_across(device)
    import torch

    from blip_fixtures.reasons import Reason

    build = {"device": device, "version": torch.__version__}
    if torch.version.cuda is None:
        return Reason.of("no_cuda_build", **build)
    error = _error_of_cuda()
    if error is not None:
        least = _LEAST_DRIVER.get(torch.version.cuda.partition(".")[0])
        if least is None:
            return Reason.of("cuda_not_started", error=error, cuda=torch.version.cuda, **build)
        return Reason.of("cuda_not_started_least", error=error, cuda=torch.version.cuda, driver=least, **build)
    count = _count()
    if int(device.partition(":")[2]) >= count:
        if count == 1:
            return Reason.of("one_device_only", device=device)
        return Reason.of("no_such_device", device=device, count=count)
    error = _error_of(torch.cuda.get_device_properties, device)
    if error is None:
        built, (major, minor) = torch.cuda.get_arch_list(), torch.cuda.get_device_capability(device)
        # A build that does not say what it is for is believed, as torch itself does.
        if built and not any(_runs_on(architecture, (major, minor)) for architecture in built):
            card = {"name": torch.cuda.get_device_name(device), "capability": f"{major}.{minor}"}
            return Reason.of("card_not_in_build", built=built, **card, **build)
        error = _error_of(torch.cuda.synchronize, device)
    return None if error is None else Reason.of("device_not_started", error=error, **build)


def why_not_across(device: str) -> Reason | None:
    """Why no model can lie across the cards of `device`: what is needed is not installed, or too old."""
    from packaging.version import Version

    from blip_fixtures.reasons import Reason

    try:
        found = importlib.metadata.version("accelerate")
    except importlib.metadata.PackageNotFoundError:
        return Reason.of("no_accelerate", device=device)
    if Version(found) < Version(_LEAST_ACCELERATE):
        return Reason.of("accelerate_too_old", device=device, found=found, least=_LEAST_ACCELERATE)
    return None


def gpu_names() -> list[str]:
    """The marketing names of the cards that CUDA shows this process, in its order; none where CUDA does not start."""
    import torch

    if _error_of_cuda() is not None:
        return []
    devices = cuda_devices()
    # The places are the devices' indexes, so one that fails keeps its own.
    return [
        device if _error_of(torch.cuda.get_device_properties, device) else device_name(device) for device in devices
    ]


def cuda_devices() -> list[str]:
    """The torch names of all cards that torch sees, whether they can be used or not."""
    return [f"cuda:{index}" for index in range(_count())]


def _count() -> int:
    """How many devices torch sees: those of NVML before CUDA was started, CUDA's own after it."""
    import torch

    with warnings.catch_warnings():
        # That NVML does not answer: then CUDA itself is asked.
        warnings.simplefilter("ignore", UserWarning)
        return torch.cuda.device_count()


def _error_of_cuda() -> str | None:
    """What CUDA said when it was started; `None` where it runs, and where there is no device to start it for."""
    import torch

    return _error_of(torch.cuda.init) if _count() else None


@cache
def _error_of(start: Callable[..., object], *args: str) -> str | None:
    """The first line of what CUDA said to `start`, `None` where it worked. It is tried once in a process."""
    import torch

    try:
        with warnings.catch_warnings():
            # Of every card that torch is not built for, wanted or not; `why_unavailable` says it of the wanted one.
            warnings.simplefilter("ignore", UserWarning)
            start(*args)
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:
        # All that torch raises here: of CUDA and its driver, of a build without its libraries, of its own checks.
        return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
    return None


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether what torch was built with for `architecture` runs on a card of this compute capability.

    ``sm_86`` is a binary: it runs within its major version, from its minor one on, but not across to or from a Tegra.
    ``compute_90`` is PTX, which the driver compiles for any later card. An ``a`` at the end binds either to exactly
    that card, an ``f`` to its family, which is the rule of binaries (CUDA C++ programming guide, "Compatibility").
    """
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
    if match is None:
        return False
    built = int(match[2]), int(match[3])
    if built == capability:
        return True
    if match[4] == "a" or capability < built:
        return False
    if match[1] == "compute" and match[4] == "":
        return True
    return built[0] == capability[0] and not {built, capability} & _TEGRA


def device_name(device: str) -> str:
    """The marketing name of the hardware behind `device`; of several cards the names in their order."""
    if device == "cpu":
        return cpu_model()
    import torch

    return " + ".join(str(torch.cuda.get_device_name(card)) for card in cards_of(device))


def cpu_model() -> str:
    """The processor's name, from /proc/cpuinfo on Linux, else as the platform tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def synchronize(device: str) -> None:
    """Wait until `device` has finished what was queued on it, on each of its cards; the CPU has no queue."""
    if device != "cpu":
        import torch

        for card in cards_of(device):
            torch.cuda.synchronize(card)


@contextlib.contextmanager
def working_on(device: str) -> Iterator[None]:
    """`device` is CUDA's current one inside; of several cards the first, which takes the inputs.

    What names no device runs there: triton's and torchao's kernels, `torch.cuda.synchronize()`, CUDA graphs. Without it
    a model on the second card would launch them on the first.
    """
    if device == "cpu":
        yield
        return
    import torch

    with torch.cuda.device(cards_of(device)[0]):
        yield


def synchronizing_timer(device: str) -> Callable[[], float]:
    """A monotonic clock in seconds that waits for `device` before it is read."""

    def synchronized_perf_counter() -> float:
        synchronize(device)
        return time.perf_counter()

    return synchronized_perf_counter
