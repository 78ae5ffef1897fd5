"""Which attention kernels ran, on a GPU: torch chooses them for each shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.optimizations.attention import attention_kernels, backends_of
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Component

if TYPE_CHECKING:
    from blip_fixtures.checkpoints.loading import LoadedModel


class AttentionPass(Pass):
    """A preparation that every record of a GPU has: one call under a profiler, after what is timed."""

    name = "attention kernels"

    def run(self, context: Context) -> None:
        """Fill `applied`, and say of which part it cannot know."""
        loaded = context.workload.loaded
        if loaded.device == "cpu":
            return
        kernels = attention_kernels(loaded, context.workload.probe)
        context.found.applied |= {"attention_kernels": kernels, "attention_backends": backends_of(kernels)}
        if _replays_its_step(loaded):
            context.found.missing[f"applied.attention_kernels.{Component.LANGUAGE_DECODER}"] = Reason.of(
                "step_replayed"
            )

    def give_up(self, context: Context, reason: Reason) -> None:
        """Its part of the record is one of the proof."""
        context.found.missing["applied.attention_kernels"] = reason


def _replays_its_step(loaded: LoadedModel) -> bool:
    """Whether a decoder step is one launch of a CUDA graph, in which the profiler sees no operator."""
    from blip_fixtures.families.compiling import CompiledRunner

    return isinstance(loaded.runner, CompiledRunner) and loaded.runner.cuda_graphs_first.recorded > 0
