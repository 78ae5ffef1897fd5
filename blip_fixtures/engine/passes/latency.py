"""The latency pass: timed `generate` calls, round i on batch i modulo the number of batches."""

from __future__ import annotations

import statistics
from contextlib import closing, nullcontext
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from blip_fixtures.engine import inference
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.engine.passes.memory import watched, watches_warmup
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Latency, Throughput
from blip_fixtures.words import PassName, Weights

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


class LatencyPass(Pass):
    """Before each round, outside it, the reference product is timed; the warm-up runs the batches before batch 0.

    What the rounds return is kept, on the device and unread: their answers are those of the case. The last warm-up
    call may be the one whose memory is watched; then it runs the batch with the longest prompts.
    """

    name = PassName.LATENCY

    def run(self, context: Context) -> None:
        """Fill `latency`, `throughput` and `generated`; `peak` where it is watched here."""
        job, rounds, generate = context.job, context.rounds, context.workload.generate
        context.meet_shapes(range(rounds))
        returned: list[Any] = []
        reference_s: list[float] = []
        places: list[slice] = []

        def target(inputs: Any) -> None:
            returned.append(generate(inputs))

        with closing(_prepared(context, reference_s, places)) as prepared:
            rounds_s = context.loop(target, prepared.__next__, rounds, job.warmup_rounds)
        timed = slice(job.warmup_rounds, job.warmup_rounds + rounds)
        found = context.found
        found.latency = summarize(rounds_s, reference_s[timed], job.warmup_rounds)
        kept = zip(returned[timed], places[timed], strict=False)
        found.generated = [token_ids[:, place] for token_ids, place in kept]
        self._note_unlike(context)
        self._note_untimed(context)
        if rounds == 1:
            found.missing["latency.stddev_s"] = Reason.of("one_round")
        found.throughput = _throughput(context, rounds_s)
        if found.throughput.tokens_per_s is None:
            ranks = context.workload.ranks
            absent = Reason.of("ranked_without_tokens" if ranks else "rounds_returned_nothing")
            found.missing["throughput.tokens_per_s"] = absent
        if context.workload.ranks:
            found.notes.append(Reason.of("ranked", scope=self.name))

    def leave_out(self, context: Context) -> None:
        """Only a job without timing goes without it."""
        context.found.missing |= dict.fromkeys((self.name, "throughput"), Reason.of("not_timed"))

    def _note_unlike(self, context: Context) -> None:
        """How many rounds generated other tokens than the first one on their batch."""
        import torch

        generated, batches = context.found.generated, context.workload.batches
        repeated = range(batches, len(generated))
        # Of log-likelihoods the order counts.
        said = [one.argmax(dim=1) for one in generated] if context.workload.ranks else generated
        unlike = sum(not torch.equal(said[number], said[number % batches]) for number in repeated)
        if unlike:
            note = Reason.of("answers_not_repeatable", scope="tokens", unlike=unlike, repeated=len(repeated))
            context.found.notes.append(note)

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


def _prepared(context: Context, reference_s: list[float], places: list[slice]) -> Generator[Any]:
    """The inputs of each call, in turn.

    Beside them, for each, the seconds of the reference product on a device that waits, and where its answers shall be.
    """
    reference = context.tools.reference(context.job.case.device)
    watching = -1 if watches_warmup(context) else None
    # A loop that runs the target once more, for a profiler, takes batch 0.
    for number in chain(range(-context.job.warmup_rounds, context.rounds), repeat(0)):
        context.tools.on_round()
        inputs = context.workload.inputs(context.workload.longest if number == watching else number)
        places.append(context.workload.place(inputs))
        reference_s.append(reference())
        # The call comes while this waits.
        with watched(context) if number == watching else nullcontext():
            yield inputs
        # Two batches must not lie on the device at once.
        del inputs


def _throughput(context: Context, rounds_s: Sequence[float]) -> Throughput:
    samples, seconds, tokens = context.job.case.batch_size * len(rounds_s), sum(rounds_s), _tokens(context)
    return Throughput(samples_per_s=samples / seconds, tokens_per_s=None if tokens is None else tokens / seconds)


def _tokens(context: Context) -> int | None:
    """Those of all answers of the rounds; they are not read where their number was asked for."""
    job, generated = context.job, context.found.generated
    if job.new_tokens.fixed:
        return job.new_tokens.limit * job.case.batch_size * context.rounds
    if len(generated) < context.rounds or context.workload.ranks:
        return None
    return sum(sum(inference.count_tokens(context.workload.loaded, one)) for one in generated)


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
