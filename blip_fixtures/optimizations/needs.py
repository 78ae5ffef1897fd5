"""What several optimizations need of a machine, each a question of its own.

No torch is imported before it is known that there is something to ask it.
"""

from __future__ import annotations

import importlib.metadata
import os
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version

from blip_fixtures.case import cards_of
from blip_fixtures.reasons import Reason

# FlashAttention-2, bf16 and torchao's int4 kernel begin with these compute capabilities; triton's code with the second.
AMPERE = (8, 0)
VOLTA = (7, 0)
# Older ones set torch's precision of fp32 products for the whole process, and have other settings of int4.
TORCHAO = "0.18"
# Where compilers look for headers besides the places that they are told.
_HEADER_PATHS = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH")


def too_old(device: str, least: tuple[int, int], name: str) -> Reason | None:
    """That a CUDA `device`, or one of its cards, has a lower compute capability than `name` needs, or `None`."""
    import torch

    if not torch.cuda.is_available():
        return None  # the device itself is the reason, and has its own sentence
    for card in cards_of(device):
        found = torch.cuda.get_device_capability(card)
        if found < least:
            return Reason.of("capability_too_low", name=name, device=card, least=_dotted(least), found=_dotted(found))
    return None


def no_bf16(device: str, name: str) -> Reason | None:
    """That a CUDA `device` computes in bf16 by emulation alone, for which torch compiles no code, or `None`."""
    import torch

    if not torch.cuda.is_available():
        return None
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return None if native else Reason.of("no_native_bf16", name=name, device=device)


def no_python_headers(name: str) -> Reason | None:
    """That Python.h is missing, which torch's compiler on the CPU and triton's launcher on CUDA include, or `None`."""
    own = Path(sysconfig.get_path("include"))
    elsewhere = [Path(part) for path in _HEADER_PATHS for part in os.environ.get(path, "").split(os.pathsep) if part]
    if any((folder / "Python.h").is_file() for folder in (own, *elsewhere)):
        return None
    return Reason.of("no_python_headers", name=name, folder=own)


def no_torchao(name: str) -> Reason | None:
    """That torchao is missing, or too old, or `None`."""
    version = _torchao_version()
    if version is None:
        return Reason.of("no_torchao", name=name)
    # A nightly build of a release has what the release has.
    if Version(version).release >= Version(TORCHAO).release:
        return None
    return Reason.of("torchao_too_old", name=name, least=TORCHAO, found=version)


def _torchao_version() -> str | None:
    if find_spec("torchao") is None:
        return None
    try:
        return importlib.metadata.version("torchao")
    except importlib.metadata.PackageNotFoundError:  # a folder of that name, and no package
        return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
