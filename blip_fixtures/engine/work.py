"""What a job asks of its device, before it is measured: FLOPs of a batch, and calls of the model."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from blip_fixtures.engine.flops import BatchShape
from blip_fixtures.engine.passes.phases import LEAST_CALLS
from blip_fixtures.engine.stock import checkpoint_key
from blip_fixtures.words import Decoding, PassName, Weights

if TYPE_CHECKING:
    from blip_fixtures.engine.stock import Stock
    from blip_fixtures.job import Job

# Samples of a dataset whose prompts are counted; the tokens that an answer is taken to have where nobody fixed them.
_PROMPTS = 64
_ANSWER_TOKENS = 8
_LETTERS_OF_A_TOKEN = 4


@dataclass(frozen=True)
class Work:
    """FLOPs of one batch, nearly, and how often the model is called on one. Energy windows are not among the calls."""

    flops: float
    calls: int


class Planner:
    """Knows the work of the jobs of one stock. FLOPs are counted for one sample and grow with the batch."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self._lengths: dict[tuple[object, ...], tuple[int, ...]] = {}

    def work(self, job: Job) -> Work:
        """Of one job. The first of a checkpoint, and of an image size, takes some tenths of a second."""
        calls = calls_of(job, len(self._stock.samples(job)) // job.case.batch_size)
        try:
            return Work(job.case.batch_size * self._flops_of_sample(self._stock.resolved(job)), calls)
        except Exception:  # noqa: BLE001  # what is wrong with a job is said when it is measured; its size does for a guess
            return Work(float(job.case.batch_size * job.case.image_size**2), calls)

    def _flops_of_sample(self, job: Job) -> float:
        tokens, ranks, limit = self._padded_tokens(job), job.prompt.decoding == Decoding.RANK, job.new_tokens.limit
        options, letters = self._stock.most_options(job) if ranks else (0, 0)
        shape = BatchShape(
            batch_size=1,
            image_size=job.case.image_size,
            qformer_tokens=tokens,
            text_tokens=tokens,
            steps=limit if job.new_tokens.fixed else min(limit, _ANSWER_TOKENS),
            beams=job.prompt.num_beams,
            options=options,
            option_tokens=1 + letters // _LETTERS_OF_A_TOKEN if ranks else 0,
        )
        return self._stock.flop_counter(checkpoint_key(job)).count(shape).total

    def _padded_tokens(self, job: Job) -> int:
        """Text tokens of every row of a batch, the mean over the first batches; the Q-Former reads about as many."""
        size, limit = job.case.batch_size, job.case.sequence_length
        key = (checkpoint_key(job), job.case.dataset, job.samples, job.prompt, limit)
        if key not in self._lengths:
            checkpoint, samples = self._stock.checkpoint(job), self._stock.samples(job)
            texts = [job.prompt.render(samples[number]) for number in range(min(len(samples), _PROMPTS))]
            found = checkpoint.family.tokenize(checkpoint.config, self._stock.processor(job), texts, limit)
            self._lengths[key] = found.text_tokens
        lengths = self._lengths[key]
        return max(1, round(fmean(max(lengths[begin : begin + size]) for begin in range(0, len(lengths), size))))


def calls_of(job: Job, batches: int) -> int:
    """Calls of the model on one batch each: warm-up, rounds, by phase, and for answers that no round gave."""
    rounds = job.rounds_of(batches)
    calls = job.warmup_rounds + rounds if job.is_timed else 0
    if PassName.PHASES in job.passes:
        calls += min(rounds, max(batches, LEAST_CALLS))
    if PassName.QUALITY in job.passes and job.case.weights != Weights.RANDOM:
        answered = rounds if job.is_timed and not job.new_tokens.fixed else 0
        calls += max(0, batches - answered)
    return max(1, calls)
