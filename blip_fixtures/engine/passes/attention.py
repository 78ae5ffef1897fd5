"""Which attention kernels ran, on a GPU: torch chooses them for each shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.optimizations.attention import attention_kernels, backends_of

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason


class AttentionPass(Pass):
    """A preparation that every record of a GPU has: one call under a profiler, after what is timed."""

    name = "attention kernels"

    def run(self, context: Context) -> None:
        """Fill `applied`."""
        loaded = context.workload.loaded
        if loaded.device == "cpu":
            return
        kernels = attention_kernels(loaded, context.workload.probe)
        context.found.applied |= {"attention_kernels": kernels, "attention_backends": backends_of(kernels)}

    def give_up(self, context: Context, reason: Reason) -> None:
        """Its part of the record is one of the proof."""
        context.found.missing["applied.attention_kernels"] = reason
