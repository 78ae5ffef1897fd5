"""torch as a CUDA build of it, down to its C functions, which are stand-ins: torch's own Python code runs.

``-p tests.cuda_build`` for a process of its own, where the stand-in NVML counts the devices. Environment variables:
CUDA_ERROR is what CUDA says when it is started (empty: it starts), CUDA_CAPABILITY (``9.0``) that of every card,
CUDA_ARCHITECTURES (``sm_90``) what torch is built for, CUDA_BUSY what a card says when work begins on it. Nothing is
undone at the end.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

import torch

COUNT = 1


def start() -> None:
    """CUDA's start, which defines the function that tells a card's properties, as in a real build."""
    if error := os.environ.get("CUDA_ERROR"):
        raise RuntimeError(error)
    setattr(torch.cuda, "_get_device_properties", properties)  # noqa: B010  # torch's own stub does not know it


def properties(_: int) -> SimpleNamespace:
    major, minor = os.environ.get("CUDA_CAPABILITY", "9.0").split(".")
    return SimpleNamespace(name="Stand-in GPU", major=int(major), minor=int(minor), uuid="no-uuid")


def synchronize() -> None:
    if error := os.environ.get("CUDA_BUSY"):
        raise torch.AcceleratorError(error)


def pretend() -> None:
    """Turn this process's torch into a CUDA build."""
    changed: list[tuple[object, str, object]] = [
        (torch.version, "cuda", "13.0"),
        (torch._C, "_cuda_getDeviceCount", lambda: 0 if os.environ.get("CUDA_ERROR") else COUNT),
        (torch._C, "_cuda_getArchFlags", lambda: os.environ.get("CUDA_ARCHITECTURES", "sm_90")),
        (torch._C, "_cuda_init", start),
        (torch._C, "_cuda_synchronize", synchronize),
        (torch._C, "_cuda_getDevice", lambda: 0),
        (torch._C, "_cuda_getCurrentRawStream", lambda _: 0),
        (torch.cuda, "_cudart", object()),
        (torch.cuda, "_exchange_device", lambda _: 0),
        (torch.cuda, "_maybe_exchange_device", lambda _: 0),
        (torch.cuda, "default_generators", (torch.Generator(),) * COUNT),
    ]
    for owner, name, stand_in in changed:
        setattr(owner, name, stand_in)


def pytest_configure() -> None:
    pretend()
