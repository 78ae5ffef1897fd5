"""The memory pass: weights, what is kept between calls, the peak while the batch with the longest prompts is answered.

On a CPU the last warm-up call is the one that is watched, where one before it has made what a model makes once. A CUDA
device gets a call of its own at the end: the allocator's cache is emptied before it, and a timed round after that would
have to ask the driver for memory.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.engine.passes.base import Context, Pass, Peak
from blip_fixtures.engine.peak_memory import PeakMemory
from blip_fixtures.reasons import Reason
from blip_fixtures.record import CardMemory, Memory
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the first call of a model makes for all later ones is not its peak.
_LEAST_WARMUP = 2


class MemoryPass(Pass):
    """One call, unless the warm-up had one to watch."""

    name = PassName.MEMORY
    needs = (PassName.LATENCY,)

    def run(self, context: Context) -> None:
        """Fill `memory`."""
        workload, found = context.workload, context.found
        if found.peak is None:
            inputs = workload.inputs(workload.longest)
            with watched(context):
                workload.generate(inputs)
        assert found.peak is not None
        peak, weights_bytes = found.peak.memory, workload.loaded.weights_bytes
        held_bytes = found.peak.held_bytes + peak.graph_bytes
        found.memory = Memory(
            weights_bytes=weights_bytes,
            peak_bytes=None if peak.growth_bytes is None else weights_bytes + held_bytes + peak.growth_bytes,
            kind=peak.kind,
            held_bytes=held_bytes,
            reserved_bytes=peak.reserved_bytes,
            by_card=_by_card(context, peak),
        )
        if peak.reason is not None:
            found.missing["memory.peak_bytes"] = peak.reason
        if peak.reserved_bytes is None:
            found.missing["memory.reserved_bytes"] = Reason.of("reserves_nothing")


def _by_card(context: Context, peak: PeakMemory) -> dict[str, CardMemory]:
    """Each card's part, where there are several. Nothing is kept between their calls but what a graph keeps."""
    if len(cards_of(context.job.case.device)) == 1:
        return {}
    return {
        card: CardMemory(
            weights_bytes=weights,
            peak_bytes=weights + peak.graph_on[card] + peak.growth_on[card],
            reserved_bytes=peak.reserved_on[card],
        )
        for card, weights in context.workload.loaded.weights_by_card.items()
    }


def watches_warmup(context: Context) -> bool:
    """Whether the last of the warm-up calls is the one whose peak is published."""
    job = context.job
    asked = any(each.name == PassName.MEMORY for each in context.running)
    return asked and job.case.device == "cpu" and job.warmup_rounds >= _LEAST_WARMUP


@contextlib.contextmanager
def watched(context: Context) -> Iterator[None]:
    """Around one call on inputs that are prepared: fills `peak`."""
    # Before the call, whose growth holds whatever it makes itself.
    held_bytes = context.workload.loaded.runner.held_bytes
    with PeakMemory(context.job.case.device) as memory:
        yield
    context.found.peak = Peak(memory, held_bytes)
