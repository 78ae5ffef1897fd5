"""Linear layers with packed weights, on the CPU with torch's own kernels.

`Int8Linear` and `Int4Linear` are weight-only: they save reading, so they are for layers that read their weights for few
rows, as a decoder step does. `Int8DynamicLinear` also rounds activations to 8 bits, call by call and tensor by tensor,
and multiplies integers (VNNI, AMX): it saves arithmetic too. Rounding is to the nearest; int8 is symmetric with one
scale for each output, int4 asymmetric with one scale and zero for each group of inputs. `BlockedLinear` rounds nothing:
it keeps bf16 weights in the order in which oneDNN's kernels read them.

torch has no public names for the operators that pack and multiply so; hence the private ones.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from blip_fixtures.checkpoints.architecture import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_INT8_MOST = 127
_INT4_MOST = 15
_UINT8_MOST = 255
# The kernel adds this times the scale: its zero is in the middle of the sixteen levels.
_INT4_MIDDLE = 8
_GROUP = 64
# The int4 kernel works on blocks of so many outputs.
_INT4_OUTPUTS = 64
_INNER_K_TILES = 1  # ignored on the CPU


def _int4_product(flat: torch.Tensor, packed: torch.Tensor, scales_and_zeros: torch.Tensor) -> torch.Tensor:
    """(rows, inputs) in bf16 -> (rows, outputs) in bf16."""
    product: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, packed, _GROUP, scales_and_zeros)
    return product


def _int8_dynamic_product(flat: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """(rows, inputs) in fp32 -> (rows, outputs) in fp32."""
    low, high = torch.aminmax(flat)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / _UINT8_MOST).clamp(min=torch.finfo(torch.float32).tiny).reshape(1)
    zero = (-low / scale).round()
    rounded = (flat / scale + zero).round().clamp(0, _UINT8_MOST).to(torch.uint8)
    zeros = torch.zeros(len(scales), dtype=torch.long)
    product: torch.Tensor = torch.ops.onednn.qlinear_pointwise.tensor(
        rounded, scale, zero.long(), packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product


def _blocked_product(flat: torch.Tensor, packed: torch.Tensor, outputs: int) -> torch.Tensor:
    """(rows, inputs) -> (rows, outputs); the packed weights do not tell the compiler their shape."""
    assert packed.is_mkldnn, outputs
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(flat, packed, None, "none", [], "")
    return product


def _define_operators() -> None:
    """The products as one operator each, for compiled code, once in a process: torch keeps what it was told.

    The compiler takes oneDNN's packed weights as constants only, and knows int4 in no graph within a graph. Operators
    defined so cost a call 6 us less than those of `torch.library.custom_op`; a decoder step has hundreds of calls.
    """
    for name, last, run, outputs in (
        ("int4_product", "Tensor scales_and_zeros", _int4_product, _second_size),
        ("int8_dynamic_product", "Tensor scales", _int8_dynamic_product, len),
        ("blocked_product", "SymInt outputs", _blocked_product, int),
    ):
        if hasattr(torch.ops.blip, name):
            continue
        torch.library.define(f"blip::{name}", f"(Tensor flat, Tensor packed, {last}) -> Tensor")
        torch.library.impl(f"blip::{name}", "default", run)
        torch.library.register_fake(f"blip::{name}", partial(_product_of, outputs))


def _product_of(outputs: Callable[[Any], Any], flat: torch.Tensor, _packed: torch.Tensor, last: Any) -> torch.Tensor:
    """The shape of a product; its last argument tells the number of outputs, since packed weights do not."""
    return flat.new_empty(flat.shape[0], outputs(last))


def _second_size(scales_and_zeros: torch.Tensor) -> int:
    return scales_and_zeros.shape[1]


_define_operators()


class PackedLinear(nn.Module):
    """A linear layer whose weights are stored in a form of its own; `packed_bytes` is what it stores outside of tensors
    that `parameters` and `buffers` name.
    """

    packed_bytes = 0

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        # T5's feed-forward casts its input to `wo.weight.dtype`, unless that is int8.
        self.register_buffer("weight", torch.empty(0, dtype=torch.int8), persistent=False)
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias, persistent=False)

    @classmethod
    def fits(cls, linear: nn.Linear) -> bool:
        """Whether the kernel can take a layer of this shape."""
        return linear.weight.dim() == 2

    def forward(self, inputs: Any) -> Any:
        """(..., inputs) -> (..., outputs), in the dtype of `inputs`."""
        flat = inputs.reshape(-1, self.in_features)
        outputs = self._product(flat).to(inputs.dtype).view(*inputs.shape[:-1], self.out_features)
        return outputs if self.bias is None else outputs + self.bias.to(inputs.dtype)

    def _product(self, flat: Any) -> Any:
        raise NotImplementedError


def _int8_rows(weight: Any) -> tuple[Any, Any]:
    """(int8 weights, fp32 scales of the outputs)."""
    weight = weight.detach().float()
    scales = (weight.abs().amax(dim=1) / _INT8_MOST).clamp(min=torch.finfo(torch.float32).tiny)
    return (weight / scales[:, None]).round_().clamp_(-_INT8_MOST, _INT8_MOST).to(torch.int8), scales


class Int8Linear(PackedLinear):
    """Weight-only int8. The kernel is fast for bf16 activations alone, so others are cast."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weights, scales = _int8_rows(linear.weight)
        self.register_buffer("quantized", weights, persistent=False)
        self.register_buffer("scales", scales.to(torch.bfloat16), persistent=False)

    def _product(self, flat: Any) -> Any:
        return torch.ops.aten._weight_int8pack_mm(flat.to(torch.bfloat16), self.quantized, self.scales)


class Int4Linear(PackedLinear):
    """Weight-only int4. The kernel is fast for bf16 activations alone, so others are cast."""

    quantized: torch.Tensor
    scales_and_zeros: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        outputs, inputs = linear.weight.shape
        groups = linear.weight.detach().float().view(outputs, inputs // _GROUP, _GROUP)
        low, high = groups.aminmax(dim=-1, keepdim=True)
        scales = ((high - low) / _INT4_MOST).clamp(min=1e-6)
        levels = ((groups - low) / scales).round_().clamp_(0, _INT4_MOST).to(torch.int32).view(outputs, inputs)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, _INNER_K_TILES)
        zeros = low + _INT4_MIDDLE * scales
        pairs = torch.cat([scales, zeros], dim=-1).transpose(0, 1).contiguous().to(torch.bfloat16)
        self.register_buffer("quantized", packed, persistent=False)
        self.register_buffer("scales_and_zeros", pairs, persistent=False)

    @classmethod
    def fits(cls, linear: nn.Linear) -> bool:
        """Inputs in whole groups, outputs in whole blocks."""
        return linear.in_features % _GROUP == 0 and linear.out_features % _INT4_OUTPUTS == 0

    def _product(self, flat: Any) -> Any:
        product = torch.ops.blip.int4_product if torch.compiler.is_compiling() else _int4_product
        return product(flat.to(torch.bfloat16), self.quantized, self.scales_and_zeros)


class Int8DynamicLinear(PackedLinear):
    """Weights in int8, activations rounded to 8 bits call by call; the product is one of integers (oneDNN)."""

    scales: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weights, scales = _int8_rows(linear.weight)
        self.packed = torch.ops.onednn.qlinear_prepack(weights, None)
        self.packed_bytes = weights.nbytes
        self.register_buffer("scales", scales, persistent=False)

    def _product(self, flat: Any) -> Any:
        product = torch.ops.blip.int8_dynamic_product if torch.compiler.is_compiling() else _int8_dynamic_product
        return product(flat.float(), self.packed, self.scales)


class BlockedLinear(PackedLinear):
    """bf16 weights in oneDNN's blocked order, so that they are read as they lie. Nothing is rounded."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        rows = 1  # What a decoder step has; other numbers of rows are not slower for it.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
        self.packed_bytes = linear.weight.nbytes

    @classmethod
    def fits(cls, linear: nn.Linear) -> bool:
        """bf16 only: for other dtypes the blocked kernel is no faster than the plain one."""
        onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch is typed in part
        return linear.weight.dtype == torch.bfloat16 and onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

    def _product(self, flat: Any) -> Any:
        product = torch.ops.blip.blocked_product if torch.compiler.is_compiling() else _blocked_product
        return product(flat, self.packed, self.out_features)


def replace_linear(
    root: nn.Module, kind: type[PackedLinear], wanted: Callable[[str], bool] = lambda _path: True
) -> list[str]:
    """Replace the linear layers under `root` whose path is `wanted` and whose shape fits; the paths of those replaced.

    Layers are packed one by one, each freed before the next.
    """
    # Paths, not modules: a list of these would hold all weights until the last layer is packed.
    paths = [path for path, module in root.named_modules() if type(module) is nn.Linear and wanted(path)]
    replaced = []
    for path in paths:
        linear = cast("nn.Linear", root.get_submodule(path))
        if kind.fits(linear):
            parent, _, name = path.rpartition(".")
            setattr(root.get_submodule(parent), name, kind(linear))
            replaced.append(path)
    return replaced


def linear_bytes(model: nn.Module, wanted: Callable[[str], bool] = lambda _path: True) -> int:
    """Bytes of the weights and biases of the linear layers whose path is `wanted`, packed or not."""
    return sum(
        stored_bytes(module)
        for path, module in model.named_modules()
        if isinstance(module, (nn.Linear, PackedLinear)) and wanted(path)
    )
