"""Synthetic weights: an architecture at full size where its checkpoint cannot be had.

Latency, energy, FLOPs and memory depend on shapes and dtypes, not on values, so long as the values are sane: no
overflow in half precision, no constant output. The scales are those that keep the variance of activations (1 / fan in,
He et al. 2015, arXiv 1502.01852, without the factor for ReLU), but where a family has its own.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.across import device_of
from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.families import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.families import Family

DEFAULT_SEED = 0
# Drawing four thousand million numbers takes minutes, so one block is drawn and laid end to end. Its length is a prime,
# so no two rows of a matrix begin at the same place of it.
_BLOCK = 4_194_301
_HUGE_PAGE_BYTES = 2 * 2**20


def build_random(
    config: Mapping[str, Any],
    device: str | Mapping[str, str],
    dtype: str,
    *,
    seed: int = DEFAULT_SEED,
    attention: dict[str, str] | None = None,
) -> Any:
    """The architecture of `config` on `device` with weights that depend on `seed` and the names of the tensors alone.

    `device` is one, or maps paths of modules and tensors to theirs. Each tensor is made where it stays, in the dtype
    that `from_pretrained` gives it. No end token is known to the weights: generate a fixed number of tokens.
    """
    import torch
    from torch import nn

    family = family_of(config)
    model = build_on_meta(config, dtype, attention=attention)
    draws_on = cache(lambda on: _Draws(on, seed))
    made: dict[int, Any] = {}
    with torch.no_grad():
        for path, module in model.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if id(parameter) not in made:
                    on = _device(f"{path}.{name}", device)
                    tensor = torch.empty(parameter.shape, dtype=parameter.dtype, device=on)
                    _ask_for_huge_pages(tensor)
                    _fill(tensor, module, f"{path}.{name}", draws_on(on), family)
                    made[id(parameter)] = nn.Parameter(tensor, requires_grad=False)
                setattr(module, name, made[id(parameter)])
            for name, _buffer in list(module.named_buffers(recurse=False)):
                filled = family.synthetic_buffer(model, f"{path}.{name}", _device(f"{path}.{name}", device))
                if filled is None:
                    raise NotImplementedError(f"no rule fills the buffer {path}.{name}; add one beside position_ids")
                module.register_buffer(name, filled, False)
    family.set_generation(model, config)
    return model


def _device(name: str, device: str | Mapping[str, str]) -> str:
    """Where the tensor called `name` is made; one of the whole model has a dot before its name."""
    return device if isinstance(device, str) else device_of(name.removeprefix("."), device)


def _ask_for_huge_pages(tensor: Any) -> None:
    """Let Linux back a large tensor on the CPU with 2 MiB pages: gigabytes are then ready several times sooner."""
    if tensor.device.type != "cpu" or sys.platform != "linux" or tensor.nbytes < 2 * _HUGE_PAGE_BYTES:
        return
    start = -(-tensor.data_ptr() // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    length = (tensor.data_ptr() + tensor.nbytes - start) // mmap.PAGESIZE * mmap.PAGESIZE
    # Only advice: a kernel without huge pages refuses it, and nothing but time is lost.
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)


class _Draws:
    """Standard normal numbers on a device, the same on every device."""

    def __init__(self, device: str, seed: int) -> None:
        import torch

        self._seed = seed
        self._block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(seed)).to(device)
        self._scaled: dict[tuple[Any, float], Any] = {}

    def fill(self, tensor: Any, name: str, std: float) -> None:
        """Lay the block, scaled to `std`, end to end over `tensor`, from a place that the name decides."""
        key = (tensor.dtype, std)
        if key not in self._scaled:
            self._scaled[key] = (self._block * std).to(tensor.dtype)
        block = self._scaled[key]
        flat = tensor.view(-1)
        start = zlib.crc32(f"{self._seed}:{name}".encode()) % _BLOCK
        done = 0
        while done < flat.numel():
            count = min(_BLOCK - start, flat.numel() - done)
            flat[done : done + count].copy_(block[start : start + count])
            done, start = done + count, 0


def _fill(tensor: Any, module: Any, name: str, draws: _Draws, family: Family) -> None:
    """By the kind of tensor: norms pass their input on, biases are zero, everything else is drawn."""
    leaf = name.rpartition(".")[2]
    is_norm = tensor.dim() == 1 and leaf == "weight"
    if is_norm:
        tensor.fill_(1.0)
    elif leaf == "bias":
        tensor.zero_()
    else:
        draws.fill(tensor, name, _std(tensor, module, name, family))


def _std(tensor: Any, module: Any, name: str, family: Family) -> float:
    from torch import nn

    if isinstance(module, nn.Embedding) or not name.endswith("weight"):
        return 1.0  # word and position embeddings, query tokens, the class token: as large as what a norm puts out
    chosen = family.synthetic_std(name, tensor)
    return float(tensor[0].numel() ** -0.5) if chosen is None else chosen
