"""A pytest plugin that gives a machine without a GPU the device ``cuda:0``: what it computes stays on the CPU.

``-p tests.acceptance.cuda_stand_in`` for a process of its own; the environment variable STAND_IN_UUID is the UUID that
torch tells, for NVML to know. Nothing is undone at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from types import SimpleNamespace
from typing import Any

import torch

from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.engine import inference, loop, rates, tools, workload
from blip_fixtures.engine.passes import limit

# By torch's own parameters, of the oldest torch that the package allows: a wrong call fails here as there.
ANSWERS = {
    "init": lambda: None,
    "device_count": lambda: 1,
    "get_arch_list": lambda: ["sm_90"],
    "get_device_capability": lambda device=None: (9, 0),
    "get_device_name": lambda device=None: "Stand-in GPU",
    "get_device_properties": lambda device=None: SimpleNamespace(uuid=os.environ["STAND_IN_UUID"]),
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "reset_peak_memory_stats": lambda device=None: None,
    "memory_allocated": lambda device=None: 0,
    "max_memory_allocated": lambda device=None: 0,
    "max_memory_reserved": lambda device=None: 0,
    "memory_snapshot": lambda mempool_id=None: [],
    "device": lambda device: contextlib.nullcontext(),
    "mem_get_info": lambda device=None: (2**34, 2**35),
}


def load_on_cpu(checkpoint: Any, device: str, optimization: str, dtype: str, *attention: Any) -> LoadedModel:
    return dataclasses.replace(load_model(checkpoint, "cpu", optimization, dtype, *attention), device=device)


class MachineOfTheCpu(rates.Machine):
    @classmethod
    def of(cls, _: str, timer: Any) -> rates.Machine:
        return rates.Machine.of("cpu", timer)


def pytest_configure() -> None:
    setattr(torch.version, "cuda", "13.0")  # noqa: B010  # torch's own stub forbids it
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, answer)
    to_device, reference = inference.to_device, loop.ReferenceKernel
    changed: list[tuple[Any, str, Any]] = [
        (workload, "load_model", load_on_cpu),
        (tools, "Machine", MachineOfTheCpu),
        # No profiler sees kernels of a device that is none.
        (limit, "decoding_busy_share", lambda *_: None),
        (inference, "to_device", lambda batch, _, dtype: to_device(batch, "cpu", dtype)),
        (tools, "ReferenceKernel", lambda _: reference("cpu")),
    ]
    for module, name, stand_in in changed:
        setattr(module, name, stand_in)
