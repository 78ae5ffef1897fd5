"""The environment of a record: the machine, the versions, and how busy it was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil

from blip_fixtures.devices import cpu_model
from blip_fixtures.meters import MeterError
from blip_fixtures.meters.nvml import driver_version

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = (
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
)


def describe_machine(commit_info: Mapping[str, Any]) -> dict[str, Any]:
    """What stays the same for the whole run; `commit_info` is what pytest-benchmark found in the working folder."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "cpu_model": cpu_model(),
        "cpu_cores_physical": psutil.cpu_count(logical=False),
        "cpu_cores_logical": psutil.cpu_count(logical=True),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus,
        "gpu_driver": _gpu_driver() if gpus else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "commit": commit_info.get("id"),
        "dirty": commit_info.get("dirty"),
        "command": shlex.join(["pytest", *sys.argv[1:]]),
    }


def describe_moment() -> dict[str, Any]:
    """What changes from case to case: the time, the load of the last minutes, the clock frequency."""
    frequency = psutil.cpu_freq()
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "cpu_frequency_mhz": frequency.current if frequency is not None and frequency.current else None,
    }


def _gpu_driver() -> str:
    try:
        return driver_version()
    except MeterError as error:  # torch sees a GPU that NVML does not: worth knowing, and no reason to end the run
        return f"unknown ({error.reason})"
