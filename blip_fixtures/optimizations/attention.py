"""The same attention in every part of the model: ``eager``, ``sdpa``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.families import Family
    from blip_fixtures.optimizations.entry import Probe


def attention_of(loaded: LoadedModel) -> dict[str, str]:
    """The implementation that each component reports."""
    # transformers has no public name for the implementation that it chose.
    return {name.value: str(part.config._attn_implementation) for name, part in loaded.components.items()}


def attention_kernels(loaded: LoadedModel, probe: Probe) -> dict[str, dict[str, int]]:
    """Which attention kernels run in each component, and how often: on a GPU torch chooses them for each shape.

    What is replayed from a CUDA graph is not seen.
    """
    from blip_fixtures.optimizations.kernels import kernels_by_component

    return kernels_by_component(loaded.components, probe.run)


def backends_of(kernels: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    """The same by what torch and people call the backends: ``vision`` -> ``cudnn``."""
    from blip_fixtures.optimizations.kernels import BACKENDS

    return {name: list(dict.fromkeys(BACKENDS[kernel] for kernel in found)) for name, found in kernels.items()}


def note_backends(applied: Mapping[str, Any]) -> list[Reason]:
    """Which backends attended, where the record knows them."""
    found = applied.get("attention_backends")
    if not found:
        return []
    said = [f"{name}: {' + '.join(backends)}" for name, backends in found.items()]
    return [Reason.of("attention_backends", scope="latency", backends=said)]


def everywhere(implementation: str, family: Family) -> dict[str, str]:
    """`implementation` for every part of the configuration that attends."""
    return dict.fromkeys(family.attention_parts, implementation)


def _reported(implementation: str) -> Callable[[LoadedModel, Probe], dict[str, Any]]:
    def proof(loaded: LoadedModel, _probe: Probe) -> dict[str, Any]:
        found = attention_of(loaded)
        if set(found.values()) != {implementation}:
            raise NotApplied(f"{implementation} attention was asked for and the components report {found}")
        return {}

    return proof


def _entry(implementation: str) -> Entry:
    return Entry(
        implementation,
        attention=lambda _device, family: everywhere(implementation, family),
        proof=_reported(implementation),
    )


EAGER, SDPA = _entry("eager"), _entry("sdpa")
