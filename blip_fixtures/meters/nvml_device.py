"""NVML itself: starting it, finding a device by its UUID, and what its errors mean to a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.meters import MeterError
from blip_fixtures.reasons import Reason
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

# The return codes of nvml.h; they are part of its ABI, and pynvml may be missing when they are needed.
_NOT_SUPPORTED = 3
_NO_PERMISSION = 4
_NOT_FOUND = 6
_DRIVER_NOT_LOADED = 9
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
_GPU_IS_LOST = 15
_VERSION_MISMATCH = 18
HAS_NONE = (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND)

# The record's status for each code; every other code is `DRIVER_ERROR`.
_STATUSES = {
    _NOT_SUPPORTED: EnergyStatus.UNSUPPORTED,
    _NO_PERMISSION: EnergyStatus.PERMISSION,
    _LIBRARY_NOT_FOUND: EnergyStatus.LIBRARY_MISSING,
    _FUNCTION_NOT_FOUND: EnergyStatus.UNSUPPORTED,
    _GPU_IS_LOST: EnergyStatus.LOST,
}

# What failed, and the reason's code for each error that has a remedy of its own; `_ANY` is for all others.
_ANY = -1
Action = Mapping[int, str]
LOAD: Action = {
    _NO_PERMISSION: "nvml_load_forbidden",
    _DRIVER_NOT_LOADED: "nvml_driver_not_loaded",
    _LIBRARY_NOT_FOUND: "nvml_library_missing",
    _FUNCTION_NOT_FOUND: "nvml_load_driver_old",
    _GPU_IS_LOST: "nvml_load_gpu_lost",
    _VERSION_MISMATCH: "nvml_version_mismatch",
    _ANY: "nvml_not_loaded",
}
# The reasons that say that there is no driver, rather than one which fails.
NO_DRIVER = frozenset({"pynvml_missing", "nvml_library_missing", "nvml_driver_not_loaded"})
VERSION: Action = {
    _FUNCTION_NOT_FOUND: "nvml_version_driver_old",
    _GPU_IS_LOST: "nvml_version_gpu_lost",
    _ANY: "nvml_version_not_read",
}
LIST: Action = {
    _NO_PERMISSION: "nvml_list_forbidden",
    _FUNCTION_NOT_FOUND: "nvml_list_driver_old",
    _GPU_IS_LOST: "nvml_list_gpu_lost",
    _ANY: "nvml_not_listed",
}
FIND: Action = {
    _NOT_SUPPORTED: "nvml_find_unsupported",
    _NO_PERMISSION: "nvml_find_forbidden",
    _FUNCTION_NOT_FOUND: "nvml_find_driver_old",
    _GPU_IS_LOST: "nvml_find_gpu_lost",
    _ANY: "nvml_not_found",
}
COUNTER: Action = {
    _NOT_SUPPORTED: "nvml_counter_unsupported",
    _NO_PERMISSION: "nvml_counter_forbidden",
    _FUNCTION_NOT_FOUND: "nvml_counter_driver_old",
    _GPU_IS_LOST: "nvml_counter_gpu_lost",
    _ANY: "nvml_counter_not_read",
}
POWER: Action = {
    _NOT_SUPPORTED: "nvml_power_unsupported",
    _NO_PERMISSION: "nvml_power_forbidden",
    _FUNCTION_NOT_FOUND: "nvml_power_driver_old",
    _GPU_IS_LOST: "nvml_power_gpu_lost",
    _ANY: "nvml_power_not_read",
}


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
        raise MeterError(EnergyStatus.LIBRARY_MISSING, Reason.of("pynvml_missing")) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise failure(LOAD, error) from error
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
        names = [device.uuid for device in found]
        raise MeterError(EnergyStatus.DRIVER_ERROR, Reason.of("gpu_ambiguous", uuid=uuid, names=names))
    if unreadable is not None:
        raise failure(FIND, unreadable, uuid=uuid) from unreadable
    raise MeterError(EnergyStatus.MASKED, Reason.of("gpu_not_shown", uuid=uuid))


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
        raise failure(LIST, error) from error
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


def failure(action: Action, error: Any, **args: str) -> MeterError:
    """`error` of NVML as the record says it, in its own words as the argument `error`; `args` are the action's own."""
    reason = Reason.of(action.get(error.value, action[_ANY]), error=str(error).rstrip("."), **args)
    return MeterError(_STATUSES.get(error.value, EnergyStatus.DRIVER_ERROR), reason)
