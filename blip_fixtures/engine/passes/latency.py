"""The latency pass: timed `generate` calls, round i on batch i modulo the number of batches."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Latency
from blip_fixtures.words import PassName, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence


class LatencyPass(Pass):
    """Before each round, outside it, the reference product is timed; the warm-up runs the batches before batch 0."""

    name = PassName.LATENCY

    def run(self, context: Context) -> None:
        """Fill `latency`."""
        job, rounds = context.job, context.rounds
        context.meet_shapes(range(rounds))
        next_inputs = context.inputs_in_turn(range(-job.warmup_rounds, rounds))
        reference = context.tools.reference(job.case.device)
        reference_s: list[float] = []

        def setup() -> Any:
            inputs = next_inputs()
            reference_s.append(reference())
            return inputs

        rounds_s = context.loop(context.workload.generate, setup, rounds, job.warmup_rounds)
        # A loop that runs the target once more, for a profiler, asks for one more reference.
        timed_s = reference_s[job.warmup_rounds : job.warmup_rounds + rounds]
        context.found.latency = summarize(rounds_s, timed_s, job.warmup_rounds)
        self._note_untimed(context)
        if rounds == 1:
            context.found.missing["latency.stddev_s"] = Reason.of("one_round")

    def _note_untimed(self, context: Context) -> None:
        """Which batches no round ran."""
        rounds, batches = context.rounds, context.workload.batches
        if rounds < batches:
            scored = PassName.QUALITY in context.job.passes and context.job.case.weights != Weights.RANDOM
            note = Reason.of(
                "timed_on_first_batches_quality_on_all" if scored else "timed_on_first_batches",
                scope=self.name,
                rounds=rounds,
                batches=batches,
            )
            context.found.notes.append(note)


def summarize(rounds_s: Sequence[float], reference_s: Sequence[float], warmup_rounds: int) -> Latency:
    """Mean, median, standard deviation (n - 1) and 90th percentile of the raw rounds, in seconds."""
    many = len(rounds_s) > 1
    return Latency(
        mean_s=statistics.fmean(rounds_s),
        median_s=statistics.median(rounds_s),
        stddev_s=statistics.stdev(rounds_s) if many else None,
        p90_s=statistics.quantiles(rounds_s, n=10, method="inclusive")[-1] if many else rounds_s[0],
        rounds_s=tuple(rounds_s),
        reference_s=tuple(reference_s),
        warmup_rounds=warmup_rounds,
    )
