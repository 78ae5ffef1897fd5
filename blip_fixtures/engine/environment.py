"""The environment of a record: the machine, the versions, and how busy it was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil

from blip_fixtures.case import JOINS, cards_of
from blip_fixtures.devices import cpu_model, device_name, gpu_names, why_unavailable
from blip_fixtures.meters import MeterError
from blip_fixtures.meters.nvml import driver_version
from blip_fixtures.privacy import command_line
from blip_fixtures.processor import processor_facts
from blip_fixtures.settings import DeviceIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = (
    "pytest-blip",
    "pytest",
    "pytest-benchmark",
    "torch",
    "transformers",
    "datasets",
    "numpy",
    "pillow",
    "tokenizers",
    "nvidia-ml-py",
    "accelerate",
    "torchao",
    "triton",
    "flash-attn",
)


def describe_machine(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What stays the same for the whole run. `facts` adds what the caller knows: ``commit``, ``dirty``, ``command``.

    And ``versions`` of packages that were not installed but sent here.
    """
    import torch

    gpus = gpu_names()
    return {
        "cpu_model": cpu_model(),
        **processor_facts(),
        "cpu_cores_physical": psutil.cpu_count(logical=False),
        "cpu_cores_logical": psutil.cpu_count(logical=True),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus,
        "gpu_driver": _gpu_driver() if gpus else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {
            **{name: _version(name) for name in PACKAGES},
            **(_cuda_versions() if gpus else {}),
            **facts.get("versions", {}),
        },
        "commit": facts.get("commit"),
        "dirty": facts.get("dirty"),
        "command": facts.get("command", command_line(sys.argv)),
    }


def describe_moment() -> dict[str, Any]:
    """What changes from case to case: the time, the load of the last minutes, the clock frequency."""
    frequency = psutil.cpu_freq()
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "cpu_frequency_mhz": frequency.current if frequency is not None and frequency.current else None,
    }


def device_identity(device: str) -> DeviceIdentity:
    """Which piece of hardware `device` is: two records of different pieces measured different things."""
    import torch

    threads = torch.get_num_threads()
    if device == "cpu" or why_unavailable(device) is not None:
        return DeviceIdentity(name=cpu_model(), threads=threads)
    uuid = JOINS.join(str(torch.cuda.get_device_properties(card).uuid) for card in cards_of(device))
    return DeviceIdentity(name=device_name(device), uuid=uuid, threads=threads)


def _cuda_versions() -> dict[str, str | None]:
    """What torch computes with on a card: wheels of one version exist for several CUDA releases."""
    import torch

    try:
        found = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch is typed in part
    except RuntimeError as error:  # a cuDNN from elsewhere, or one without this machine's oldest card
        said = str(error).strip().splitlines()[0].rstrip(". ")
        return {"cuda": torch.version.cuda, "cudnn": f"unknown ({said})"}
    # CUDNN_VERSION is major * 10000 + minor * 100 + patch since its ninth release.
    cudnn = None if found is None else f"{found // 10000}.{found // 100 % 100}.{found % 100}"
    return {"cuda": torch.version.cuda, "cudnn": cudnn}


def _version(package: str) -> str | None:
    """A job can be measured where pytest is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu_driver() -> str:
    try:
        return driver_version()
    except MeterError as error:  # torch sees a GPU that NVML does not: worth knowing, and no reason to end the run
        return f"unknown ({error.reason})"
