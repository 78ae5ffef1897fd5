"""Synthetic weights: an architecture at full size where its checkpoint cannot be had.

Latency, energy, FLOPs and memory depend on shapes and dtypes, not on values, so long as the values are sane: no
overflow in half precision, no constant output. The scales are those that keep the variance of activations (1 / fan in,
He et al. 2015, arXiv 1502.01852, without the factor for ReLU), and T5's own for its unscaled attention.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
import zlib
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import build_on_meta

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SEED = 0
# Drawing four thousand million numbers takes minutes, so one block is drawn and laid end to end. Its length is a prime,
# so no two rows of a matrix begin at the same place of it.
_BLOCK = 4_194_301
_ENDS_A_BRANCH = re.compile(r"language_model\..*\.(o|wo)\.weight$")
_HUGE_PAGE_BYTES = 2 * 2**20


def build_random(
    config: Mapping[str, Any],
    device: str,
    dtype: str,
    *,
    seed: int = DEFAULT_SEED,
    attention: dict[str, str] | None = None,
) -> Any:
    """The architecture of `config` on `device` with weights that depend on `seed` and the names of the tensors alone.

    Each tensor is made where it stays, in the dtype that `from_pretrained` gives it. No end token is known to the
    weights: generate a fixed number of tokens.
    """
    import torch
    from torch import nn
    from transformers import GenerationConfig

    model = build_on_meta(config, dtype, attention=attention)
    draws = _Draws(device, seed)
    made: dict[int, Any] = {}
    with torch.no_grad():
        for path, module in model.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if id(parameter) not in made:
                    tensor = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
                    _ask_for_huge_pages(tensor)
                    _fill(tensor, module, f"{path}.{name}", draws)
                    made[id(parameter)] = nn.Parameter(tensor, requires_grad=False)
                setattr(module, name, made[id(parameter)])
            for name, buffer in list(module.named_buffers(recurse=False)):
                if name != "position_ids":
                    raise NotImplementedError(f"no rule fills the buffer {path}.{name}; add one beside position_ids")
                module.register_buffer(name, torch.arange(buffer.shape[-1], device=device).expand(buffer.shape), False)
    text = config["text_config"]
    settings = GenerationConfig(
        pad_token_id=text.get("pad_token_id", 0),
        eos_token_id=text.get("eos_token_id", 1),
        decoder_start_token_id=text.get("decoder_start_token_id", 0),
    )
    model.generation_config = model.language_model.generation_config = settings
    return model


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


def _fill(tensor: Any, module: Any, name: str, draws: _Draws) -> None:
    """By the kind of tensor: norms pass their input on, biases are zero, everything else is drawn."""
    leaf = name.rpartition(".")[2]
    is_norm = tensor.dim() == 1 and leaf == "weight"
    if is_norm:
        tensor.fill_(1.0)
    elif leaf == "bias":
        tensor.zero_()
    else:
        draws.fill(tensor, name, _std(tensor, module, name))


def _std(tensor: Any, module: Any, name: str) -> float:
    from torch import nn

    if isinstance(module, nn.Embedding) or not name.endswith("weight"):
        return 1.0  # word and position embeddings, query tokens, the class token: as large as what a norm puts out
    fan_in = tensor[0].numel()
    if name.endswith("SelfAttention.q.weight") or name.endswith("EncDecAttention.q.weight"):
        # T5 does not divide its attention scores by the root of the head's size; its queries are that much smaller.
        return float((fan_in * tensor.shape[0]) ** -0.5)
    if _ENDS_A_BRANCH.search(name):
        # Small steps along the residual stream (as in GPT-2), so that a token still tells in what follows it.
        return 0.1 * float(fan_in**-0.5)
    return float(fan_in**-0.5)
