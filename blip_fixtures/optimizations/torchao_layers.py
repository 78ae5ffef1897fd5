"""Linear layers in torchao's tensors and kernels, on CUDA.

Every setting is given here: torchao's own choice would change inductor's for the whole process, and packs int4 for a
kernel of another package (torchao 0.18, `Int4WeightOnlyConfig`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blip_fixtures.case import cards_of

if TYPE_CHECKING:
    from collections.abc import Callable

_GROUP = 64
# torchao pads int4 weights to whole tiles of these (`Int4TilePackedTo4dTensor.from_hp`).
_INT4_INPUTS, _INT4_OUTPUTS = 1024, 8
# A scale and a zero of each group, in bf16.
_INT4_GROUP_BYTES = 4


def layers_to_quantize(model: nn.Module, bits: int, wanted: Callable[[str], bool]) -> list[str]:
    """The paths of the linear layers that are `wanted`, and that the kernel for `bits` can take and makes smaller."""
    return [
        path
        for path, module in model.named_modules()
        if type(module) is nn.Linear and wanted(path) and (bits == 8 or _fits_int4(module))
    ]


def quantize_with_torchao(model: nn.Module, bits: int, wanted: Callable[[str], bool], device: str) -> list[str]:
    """Quantize the weights alone; the paths of the layers. `model` is on `device`, or across its cards."""
    from torchao.quantization import quantize_

    layers = layers_to_quantize(model, bits, wanted)
    cards = cards_of(device)
    for card in cards:
        on_card = [path for path in layers if len(cards) == 1 or str(_weight(model, path).device) == card]
        # torchao asks the current device what it can do, whichever one the weights are on.
        with torch.cuda.device(card):
            quantize_(model, _config(bits), filter_fn=partial(_is_among, frozenset(on_card)))
    return layers


def _weight(model: nn.Module, path: str) -> Any:
    return model.get_submodule(path).weight


def _is_among(paths: frozenset[str], _module: nn.Module, path: str) -> bool:
    return path in paths


def _config(bits: int) -> Any:
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if bits == 8:
        return Int8WeightOnlyConfig(set_inductor_config=False)
    return Int4WeightOnlyConfig(group_size=_GROUP, int4_packing_format="tile_packed_to_4d", set_inductor_config=False)


def _fits_int4(linear: nn.Linear) -> bool:
    """bf16 weights with inputs in whole groups, which padded and packed take fewer bytes."""
    if linear.weight.dtype != torch.bfloat16 or linear.in_features % _GROUP:
        return False
    inputs, outputs = _up(linear.in_features, _INT4_INPUTS), _up(linear.out_features, _INT4_OUTPUTS)
    packed = outputs * (inputs // 2 + inputs // _GROUP * _INT4_GROUP_BYTES)
    return packed < linear.weight.nbytes


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
