"""The FLOPs of the timed batches."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from blip_fixtures.engine.flops import COUNTER, BatchShape, mean_count
from blip_fixtures.engine.passes.answers import ANSWERS
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.record import Flops
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from blip_fixtures.reasons import Reason

COUNTS = "counts"


class CountPass(Pass):
    """A preparation: the batches that were timed, each with the steps that it took and its FLOPs."""

    name = COUNTS
    needs = (ANSWERS,)
    reads_steps = True

    def run(self, context: Context) -> None:
        """Fill `counted`."""
        job, counter = context.job, context.tools.flop_counter(context.job)
        shapes = [
            BatchShape(
                batch_size=job.case.batch_size,
                image_size=job.case.image_size,
                qformer_tokens=batch.batch.qformer_tokens,
                text_tokens=batch.batch.padded_text_tokens,
                steps=job.new_tokens.limit if job.new_tokens.fixed else batch.answers.steps,
                beams=context.workload.prompt.num_beams,
                options=sum(map(len, batch.batch.options)),
                option_tokens=batch.batch.option_tokens,
            )
            for batch in context.found.walked[: context.rounds]
        ]
        context.found.counted = [(shape, counter.count(shape)) for shape in shapes]

    def give_up(self, context: Context, reason: Reason) -> None:
        """The record has no part of it: those that need it say what they lack."""


class FlopsPass(Pass):
    """Their mean, in all and by phase."""

    name = PassName.FLOPS
    needs = (COUNTS,)

    def run(self, context: Context) -> None:
        """Fill `flops`."""
        mean = mean_count(count for _, count in context.found.counted)
        context.found.flops = Flops(total=mean.total, **asdict(mean), counter=COUNTER)
