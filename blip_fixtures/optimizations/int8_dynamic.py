"""``int8_dynamic``: weights and activations in 8 bits, of every linear layer that nothing has packed yet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures.optimizations.entry import Entry
from blip_fixtures.optimizations.packed import note_packed, packed_proof
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from blip_fixtures.checkpoints.loading import LoadedModel

_NAME = "int8_dynamic"


def _why_unavailable(device: str) -> Reason | None:
    """OneDNN's integer products."""
    if device != "cpu":
        return Reason.of("integer_products_on_cuda")
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch is typed in part
        return Reason.of("no_onednn")
    return None


def _apply(loaded: LoadedModel) -> None:
    from blip_fixtures.optimizations.linear import Int8DynamicLinear, linear_bytes, replace_linear

    before = linear_bytes(loaded.model)
    layers = replace_linear(loaded.model, Int8DynamicLinear)
    note_packed(loaded, _NAME, layers, before, linear_bytes(loaded.model))


INT8_DYNAMIC = Entry(
    _NAME,
    prefers="bfloat16",
    why_unavailable=_why_unavailable,
    apply=_apply,
    proof=partial(packed_proof, name=_NAME),
)
