"""Weights alone in fewer bits, of the layers that every decoder step reads: ``int8``, ``int4``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.optimizations.needs import AMPERE, no_torchao, too_old
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.optimizations.entry import Probe


def _why_unavailable(device: str, *, name: str) -> Reason | None:
    """The CPU's kernels are torch's own; on CUDA they are torchao's."""
    return None if device == "cpu" else no_torchao(name) or too_old(device, AMPERE, name)


def _why_not_in(device: str, dtype: str, *, name: str) -> Reason | None:
    """Torchao's int4 tensors are bf16 outside; its int8 ones, and the CPU's kernels, take any dtype."""
    if name != "int4" or device == "cpu" or dtype == "bfloat16":
        return None
    return Reason.of("dtype_of_kernels", name=name, wanted=["bfloat16"], found=dtype)


def _why_unfit(device: str, checkpoint: Checkpoint, *, name: str) -> Reason | None:
    """Torchao's int4 kernel pads weights, those of a small checkpoint to more bytes than they had."""
    if name != "int4" or device == "cpu":
        return None
    from blip_fixtures.checkpoints.architecture import build_on_meta
    from blip_fixtures.optimizations.torchao_layers import layers_to_quantize

    model = build_on_meta(checkpoint.config, "bfloat16")
    if layers_to_quantize(model, 4, checkpoint.family.read_for_every_token):
        return None
    return Reason.of("int4_saves_nothing", model=checkpoint.model)


def _apply(loaded: LoadedModel, *, name: str, bits: int) -> None:
    """Only the layers of a decoder step: there reading is the limit."""
    from blip_fixtures.optimizations.linear import Int4Linear, Int8Linear, linear_bytes, replace_linear

    wanted = loaded.family.read_for_every_token
    before = linear_bytes(loaded.model, wanted)
    if loaded.device == "cpu":
        layers = replace_linear(loaded.model, Int8Linear if bits == 8 else Int4Linear, wanted)
    else:
        from blip_fixtures.optimizations.torchao_layers import quantize_with_torchao

        layers = quantize_with_torchao(loaded.model, bits, wanted, loaded.device)
    note_packed(loaded, name, layers, before, linear_bytes(loaded.model, wanted))


def _proof(loaded: LoadedModel, probe: Probe, *, name: str) -> dict[str, Any]:
    facts = packed_proof(loaded, probe, name=name)
    if name == "int8" and loaded.device != "cpu":
        # torchao casts the whole weight before each product; only the compiler makes one kernel of both.
        facts[name] = {**facts[name], "weights_cast_for_each_product": "compile" not in loaded.applied}
    return facts


def _notes(applied: Mapping[str, Any], *, name: str) -> list[Reason]:
    if not applied[name].get("weights_cast_for_each_product"):
        return []
    return [Reason.of("int8_cast_for_each_product", scope="latency")]


def inductor_options(loaded: LoadedModel) -> dict[str, Any]:
    """What the compiler of a decoder step must be told for packed layers, for this row alone.

    Torchao's int8 tensors are a cast and a product, which inductor fuses only where it may try kernels of its own.
    torch calls the pair ``max-autotune``.
    """
    if loaded.device == "cpu" or "int8" not in loaded.applied:
        return {}
    return {"max_autotune": True, "coordinate_descent_tuning": True}


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
        why_not_in=partial(_why_not_in, name=name),
        why_unfit=partial(_why_unfit, name=name),
        apply=partial(_apply, name=name, bits=bits),
        proof=partial(_proof, name=name),
        notes=partial(_notes, name=name),
    )


INT4, INT8 = _entry("int4", 4), _entry("int8", 8)
