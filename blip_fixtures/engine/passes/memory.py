"""The memory pass: weights, what is kept between calls, the peak while the batch with the most tokens is answered."""

from __future__ import annotations

from blip_fixtures.engine.passes.answers import ANSWERS
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.engine.peak_memory import PeakMemory
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Memory
from blip_fixtures.words import PassName


class MemoryPass(Pass):
    """One call."""

    name = PassName.MEMORY
    needs = (ANSWERS,)
    reads_answers = True

    def run(self, context: Context) -> None:
        """Fill `memory`."""
        workload, walked = context.workload, context.found.walked
        largest = max(range(len(walked)), key=lambda i: walked[i].batch.padded_text_tokens + walked[i].answers.steps)
        inputs = workload.inputs(largest)
        # Before the call, whose growth holds whatever it makes itself.
        held_bytes = workload.loaded.runner.held_bytes
        with PeakMemory(workload.case.device) as peak:
            workload.generate(inputs)
        weights_bytes = workload.loaded.weights_bytes
        held_bytes += peak.graph_bytes
        context.found.memory = Memory(
            weights_bytes=weights_bytes,
            peak_bytes=None if peak.growth_bytes is None else weights_bytes + held_bytes + peak.growth_bytes,
            kind=peak.kind,
            held_bytes=held_bytes,
            reserved_bytes=peak.reserved_bytes,
        )
        missing = context.found.missing
        if peak.reason is not None:
            missing["memory.peak_bytes"] = peak.reason
        if peak.reserved_bytes is None:
            missing["memory.reserved_bytes"] = Reason.of("reserves_nothing")
