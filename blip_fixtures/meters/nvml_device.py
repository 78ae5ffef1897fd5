"""NVML itself: starting it, finding a device by its UUID, and what its errors mean to a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.meters import MeterError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The return codes of nvml.h; they are part of its ABI, and pynvml may be missing when they are needed.
_NOT_SUPPORTED = 3
_NOT_FOUND = 6
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
HAS_NONE = (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND)

# The record's status and the remedy for each code; every other code is `_OTHER`.
_REMEDIES = {
    _NOT_SUPPORTED: ("unsupported", "measure on another GPU"),
    4: ("permission", "run as a user who may read /dev/nvidia*, or have the counters opened for the container"),
    9: ("driver_error", "load the NVIDIA kernel module until nvidia-smi works"),
    _LIBRARY_NOT_FOUND: ("library_missing", "install the NVIDIA driver, pass the device into the container (--gpus)"),
    _FUNCTION_NOT_FOUND: ("unsupported", "update the NVIDIA driver"),
    15: ("lost", "look for Xid errors in the kernel log and reset the GPU"),
    18: ("driver_error", "reboot, so that the kernel module and the library are of one version"),
}
_OTHER = ("driver_error", "see whether nvidia-smi works")


@dataclass(frozen=True)
class Device:
    """A GPU or a MIG instance: its name, and the GPU to read."""

    uuid: str
    handle: Any
    mig: bool


def initialized() -> Any:
    """The pynvml module, initialized: shut it down once. Raises `MeterError`."""
    try:
        import pynvml
    except ImportError as error:
        raise MeterError(
            "library_missing",
            "cannot load NVML: the Python module pynvml is missing; install nvidia-ml-py, or pass --blip-energy=off",
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise failure("load NVML", error) from error
    return pynvml


def find_device(pynvml: Any, uuid: str) -> Device:
    """The one device that `uuid` names. Raises `MeterError`."""
    kind, body = _parsed(uuid)
    devices, unreadable = _all_devices(pynvml)
    found = [
        device
        for device in devices
        if body and _parsed(device.uuid)[1].startswith(body) and kind in ("", _parsed(device.uuid)[0])
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(device.uuid for device in found)
        raise MeterError(
            "driver_error",
            f"cannot choose the GPU: {uuid} is ambiguous, it begins {names}; "
            "write more of it in CUDA_VISIBLE_DEVICES, or pass --blip-energy=off",
        )
    if unreadable is not None:
        raise failure(f"find {uuid}, since NVML does not show every GPU", unreadable) from unreadable
    raise MeterError(
        "masked",
        f"NVML does not show {uuid}; pass the device into the container (--gpus), or pass --blip-energy=off",
    )


def _parsed(uuid: str) -> tuple[str, str]:
    """The kind of device, ``gpu``, ``mig`` or any, and the rest of its UUID.

    ``MIG-GPU-<UUID of the parent>/<instance>/<instance>``, the old name of an instance, names a parent to read.
    """
    name = uuid.strip().lower()
    if name.startswith("mig-gpu-"):
        return "gpu", name.removeprefix("mig-gpu-").partition("/")[0]
    kind = name[:3] if name.startswith(("gpu-", "mig-")) else ""
    return kind, name.removeprefix("gpu-").removeprefix("mig-")


def _all_devices(pynvml: Any) -> tuple[list[Device], Any]:
    """Every GPU and MIG instance that NVML shows, and the error of one that it does not."""
    devices: list[Device] = []
    unreadable = None
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise failure("list the GPUs", error) from error
    for index in range(count):
        try:
            devices.extend(_gpu_and_instances(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:  # a neighbour that is lost or forbidden is no reason to fail
            unreadable = error
    return devices, unreadable


def _gpu_and_instances(pynvml: Any, handle: Any) -> Iterator[Device]:
    mig = _mig_mode(pynvml, handle)
    yield Device(pynvml.nvmlDeviceGetUUID(handle), handle, mig)
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) if mig else 0):
        try:
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except pynvml.NVMLError as error:
            if error.value == _NOT_FOUND:  # a slot without an instance
                continue
            raise
        yield Device(pynvml.nvmlDeviceGetUUID(instance), handle, mig)


def _mig_mode(pynvml: Any, handle: Any) -> bool:
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    except pynvml.NVMLError as error:
        if error.value in HAS_NONE:
            return False
        raise


def failure(action: str, error: Any) -> MeterError:
    """`error` of NVML as the record says it."""
    status, remedy = _REMEDIES.get(error.value, _OTHER)
    why = str(error).rstrip(".")
    return MeterError(status, f"cannot {action}: {why}; {remedy}, or pass --blip-energy=off")
