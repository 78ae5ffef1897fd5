"""``flash_attention_2``: the package of that name where it is installed, else torch's own flash kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.attention import attention_kernels, attention_of, everywhere
from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.optimizations.needs import AMPERE, too_old
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.families import Family
    from blip_fixtures.optimizations.entry import Probe


_NAME = "flash_attention_2"
# Of its kernels on CUDA.
_DTYPES = ("float16", "bfloat16")


def _why_unavailable(device: str) -> Reason | None:
    """The CPU has torch's own flash kernel; CUDA has it, or the package, from Ampere on."""
    return None if device == "cpu" else too_old(device, AMPERE, _NAME)


def _why_not_in(device: str, dtype: str) -> Reason | None:
    """On CUDA neither torch nor the package has a flash kernel for fp32; torch's own on the CPU takes it."""
    if device == "cpu" or dtype in _DTYPES:
        return None
    return Reason.of("dtype_of_kernels", name=_NAME, wanted=list(_DTYPES), found=dtype)


def _has_package() -> bool:
    """As transformers decides it: a package of that name may be another, or too old."""
    from transformers.utils.import_utils import is_flash_attn_2_available

    return bool(is_flash_attn_2_available())


def _attention(device: str, family: Family) -> dict[str, str]:
    """T5 has a position bias, for which there is no FlashAttention-2 kernel; torch's own on the CPU takes masks."""
    parts = everywhere("sdpa", family)
    if device != "cpu" and _has_package():
        parts["vision_config"] = "flash_attention_2"
    return parts


def _apply(loaded: LoadedModel) -> None:
    from blip_fixtures.optimizations.kernels import force_flash_backend

    if loaded.device != "cpu" and attention_of(loaded)[Component.VISION] == "sdpa":
        force_flash_backend(loaded.components[Component.VISION])


def _proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.optimizations.kernels import FLASH_KERNELS

    found = attention_kernels(loaded, probe)
    with_flash = [component for component, kernels in found.items() if set(kernels) & FLASH_KERNELS]
    if not with_flash:
        raise NotApplied(f"no flash attention kernel ran; the profiler saw {found or 'no attention kernel at all'}")
    facts: dict[str, Any] = {"attention_kernels": found, "flash_attention_in": with_flash}
    if loaded.device == "cpu":
        return {**facts, "same_kernel_as_default": True}
    default = _default_kernels(loaded, probe)
    flash = {kernel for component in with_flash for kernel in found[component]} & FLASH_KERNELS
    return {**facts, "default_attention_kernels": default, "same_kernel_as_default": default.keys() == flash}


def _default_kernels(loaded: LoadedModel, probe: Probe) -> dict[str, int]:
    """What attends in the vision encoder where nobody chooses: `apply` forces it there alone.

    It runs uncompiled, so that no graph is compiled for it.
    """
    from blip_fixtures.optimizations.kernels import kernels_by_component, unforced

    with unforced(loaded.components[Component.VISION]):
        found = kernels_by_component(loaded.components, probe.run_eager)
    return found.get(Component.VISION, {})


def _notes(applied: Mapping[str, Any]) -> list[Reason]:
    note = Reason.of(
        "flash_attention_is_default" if applied.get("same_kernel_as_default") else "flash_attention_ran",
        scope="latency",
        parts=applied["flash_attention_in"],
    )
    return [note]


FLASH_ATTENTION_2 = Entry(
    "flash_attention_2",
    label="Flash Attention 2",
    attention=_attention,
    why_unavailable=_why_unavailable,
    why_not_in=_why_not_in,
    apply=_apply,
    proof=_proof,
    notes=_notes,
)
