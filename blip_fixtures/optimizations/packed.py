"""Weights alone in fewer bits, of the layers that every decoder step reads: ``int8``, ``int4``."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.optimizations.needs import AMPERE, too_old
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.optimizations.entry import Probe


def _why_unavailable(device: str, *, name: str) -> Reason | None:
    """The CPU's kernels are torch's own; on CUDA they are torchao's."""
    if device == "cpu":
        return None
    if find_spec("torchao") is None:
        return Reason.of("no_torchao", name=name)
    return too_old(device, AMPERE, name)


def _apply(loaded: LoadedModel, *, name: str, bits: int) -> None:
    """Only the layers of a decoder step: there reading is the limit."""
    from blip_fixtures.optimizations.linear import (
        Int4Linear,
        Int8Linear,
        linear_bytes,
        quantize_with_torchao,
        replace_linear,
    )

    wanted = loaded.family.read_for_every_token
    before = linear_bytes(loaded.model, wanted)
    if loaded.device == "cpu":
        layers = replace_linear(loaded.model, Int8Linear if bits == 8 else Int4Linear, wanted)
    else:
        layers = quantize_with_torchao(loaded.model, bits, wanted)
    note_packed(loaded, name, layers, before, linear_bytes(loaded.model, wanted))


def note_packed(loaded: LoadedModel, name: str, layers: list[str], before: int, now: int) -> None:
    """Keep for `packed_proof` how many `layers` were packed, and the bytes of all linear layers in question."""
    loaded.applied[name] = {"layers": len(layers), "linear_bytes_before": before, "linear_bytes": now}


def packed_proof(loaded: LoadedModel, _probe: Probe, *, name: str) -> dict[str, Any]:
    """What `note_packed` kept. Raises `NotApplied` where nothing became smaller."""
    packed = loaded.applied.get(name, {"layers": 0, "linear_bytes_before": 0, "linear_bytes": 0})
    if not packed["layers"] or packed["linear_bytes"] >= packed["linear_bytes_before"]:
        raise NotApplied(f"{name} was asked for and no layer of this checkpoint could be stored in fewer bits")
    return {name: packed}


def _entry(name: str, bits: int) -> Entry:
    return Entry(
        name,
        prefers="bfloat16",
        why_unavailable=partial(_why_unavailable, name=name),
        apply=partial(_apply, name=name, bits=bits),
        proof=partial(packed_proof, name=name),
    )


INT4, INT8 = _entry("int4", 4), _entry("int8", 8)
