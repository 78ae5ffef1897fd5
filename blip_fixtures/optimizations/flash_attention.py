"""``flash_attention_2``: the package of that name where it is installed, else torch's own flash kernels."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.attention import attention_of, everywhere
from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.optimizations.needs import AMPERE, too_old
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.families import Family
    from blip_fixtures.optimizations.entry import Probe


def _why_unavailable(device: str) -> Reason | None:
    """The CPU has torch's own flash kernel; CUDA has it, or the package, from Ampere on."""
    return None if device == "cpu" else too_old(device, AMPERE, "flash_attention_2")


def _attention(device: str, family: Family) -> dict[str, str]:
    """T5 has a position bias, for which there is no FlashAttention-2 kernel; torch's own on the CPU takes masks."""
    parts = everywhere("sdpa", family)
    if device != "cpu" and find_spec("flash_attn") is not None:
        parts["vision_config"] = "flash_attention_2"
    return parts


def _apply(loaded: LoadedModel) -> None:
    from blip_fixtures.optimizations.kernels import force_flash_backend

    if loaded.device != "cpu" and attention_of(loaded)[Component.VISION] == "sdpa":
        force_flash_backend(loaded.components[Component.VISION])


def _proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.optimizations.kernels import FLASH_KERNELS, kernels_by_component

    found = kernels_by_component(loaded.components, probe.run)
    with_flash = [component for component, kernels in found.items() if set(kernels) & FLASH_KERNELS]
    if not with_flash:
        raise NotApplied(f"no flash attention kernel ran; the profiler saw {found or 'no attention kernel at all'}")
    facts: dict[str, Any] = {"attention_kernels": found, "flash_attention_in": with_flash}
    if loaded.device == "cpu":
        facts["same_kernel_as_default"] = True
    return facts


def _notes(applied: Mapping[str, Any]) -> list[Reason]:
    note = Reason.of(
        "flash_attention_is_default" if "same_kernel_as_default" in applied else "flash_attention_ran",
        scope="latency",
        parts=applied["flash_attention_in"],
    )
    return [note]


FLASH_ATTENTION_2 = Entry(
    "flash_attention_2",
    label="Flash Attention 2",
    attention=_attention,
    why_unavailable=_why_unavailable,
    apply=_apply,
    proof=_proof,
    notes=_notes,
)
