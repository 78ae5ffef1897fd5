"""What optimizations need of a machine: functions from a torch device to a reason why it lacks something, or `None`.

No torch is imported before it is known that there is something to ask it.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# FlashAttention-2 and triton's tensor core code begin with these compute capabilities.
_AMPERE = (8, 0)
_VOLTA = (7, 0)


def nothing(_device: str) -> str | None:
    """Every device has it."""
    return None


def compiler(device: str) -> str | None:
    """Torch's compiler writes C++ for the CPU, and triton's kernels with a C launcher for CUDA."""
    variable, default = ("CXX", "g++") if device == "cpu" else ("CC", "gcc")
    command = os.environ.get(variable) or default
    if shutil.which(command) is None:
        return f"compile needs a compiler and {command} is not on the PATH; install it, or name one in {variable}"
    if device != "cpu":
        if find_spec("triton") is None:
            return "compile on CUDA needs the package triton; install a torch build for CUDA"
        return _too_old(device, _VOLTA, "compile")
    return None


def flash_attention(device: str) -> str | None:
    """The CPU has torch's own flash kernel; CUDA has it, or the package, from Ampere on."""
    return None if device == "cpu" else _too_old(device, _AMPERE, "flash_attention_2")


def packing(name: str) -> Callable[[str], str | None]:
    """The CPU's kernels are torch's own; on CUDA they are torchao's."""

    def why_unavailable(device: str) -> str | None:
        if device == "cpu":
            return None
        if find_spec("torchao") is None:
            return f"{name} on CUDA needs the package torchao; install it"
        return _too_old(device, _AMPERE, name)

    return why_unavailable


def integer_products(device: str) -> str | None:
    """OneDNN's integer products."""
    if device != "cpu":
        return "int8_dynamic multiplies integers with the CPU's kernels; choose int8 or int4 on CUDA"
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch is typed in part
        return "int8_dynamic needs oneDNN and this build of torch has none; install another build"
    return None


def _too_old(device: str, least: tuple[int, int], name: str) -> str | None:
    import torch

    if not torch.cuda.is_available():
        return None  # the device itself is the reason, and has its own sentence
    found = torch.cuda.get_device_capability(device)
    if found >= least:
        return None
    return f"{name} needs compute capability {least[0]}.{least[1]} and {device} has {found[0]}.{found[1]}"
