"""The answers of all batches, their tokens, and how good they are.

A batch that was timed was answered by its first round, and nobody asks again. Three things take one call more: a batch
that no round ran; the natural end of an answer whose length is fixed; with beams the decoder's steps, which no answer
tells, of a batch that the phase pass did not watch. Of a job that is not timed some batches may be answered already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import quality
from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import Question
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.engine.workload import BatchAnswers
from blip_fixtures.quality.intervals import why_no_interval
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Tokens
from blip_fixtures.words import PassName, Weights

if TYPE_CHECKING:
    from blip_fixtures.case import NewTokens
    from blip_fixtures.engine.inference import Answers

ANSWERS = "answers"


class AnswersPass(Pass):
    """A preparation. The model is asked for an answer only where a pass that was asked for reads it."""

    name = ANSWERS

    def run(self, context: Context) -> None:
        """Fill `walked` and `tokens`."""
        job, found, workload = context.job, context.found, context.workload
        known = not workload.ranks
        for number in range(workload.batches):
            batch = found.answered.get(number)
            if batch is None:
                answers = _answers(context, number)
                known = known and (job.new_tokens.fixed or answers is not None)
                batch = BatchAnswers(workload.facts(number), answers or workload.unread)
            found.walked.append(batch)
        found.tokens = count_tokens(found.walked, job.new_tokens, known=known)
        if found.tokens.output_mean is None:
            absent = Reason.of("ranked_without_tokens" if workload.ranks else "not_asked_for")
            found.missing |= {"tokens.output_mean": absent, "tokens.output_max": absent}
        found.notes += _notes_of_tokens(context)

    def give_up(self, context: Context, reason: Reason) -> None:
        """Its part of the record are the tokens."""
        context.found.missing["tokens"] = reason


class QualityPass(Pass):
    """The answers against their references."""

    name = PassName.QUALITY
    needs = (ANSWERS,)
    reads_answers = True

    def run(self, context: Context) -> None:
        """Fill `quality`, `predictions` and `sample_ids`."""
        job, found = context.job, context.found
        if job.case.weights == Weights.RANDOM:
            found.missing[self.name] = Reason.of("synthetic_weights")
            return
        found.predictions = tuple(text for batch in found.walked for text in batch.answers.texts)
        # One sample at a time: each holds its encoded picture.
        numbers = [number for batch in found.walked for number in batch.batch.samples]
        questions, names = [], []
        for sample in map(context.workload.samples.__getitem__, numbers):
            questions.append(Question.of(sample))
            names.append(sample.id)
        found.sample_ids = tuple(names)
        found.quality = quality.score(
            job.case.dataset,
            list(found.predictions),
            questions,
            digits_from_zero=context.workload.prompt.digits_from_zero,
        )
        for name, metric in found.quality.items():
            if metric.value is not None and metric.interval is None:
                found.missing[f"quality.{name}.interval"] = why_no_interval(metric)
        found.notes += find_dataset(job.case.dataset).notes(len(questions))

    def leave_out(self, context: Context) -> None:
        """Synthetic weights are the reason, whoever asked."""
        super().leave_out(context)
        if context.job.case.weights == Weights.RANDOM:
            context.found.missing[self.name] = Reason.of("synthetic_weights")


def _answers(context: Context, number: int) -> Answers | None:
    """Those of one batch; `None` where the model was not asked, or knows no language."""
    job, found, workload = context.job, context.found, context.workload
    if job.case.weights == Weights.RANDOM:
        return None
    timed = number < context.rounds
    if number < len(found.generated) and not job.new_tokens.fixed:
        generated = found.generated[number]
        steps = context.steps_of(number, generated)
        if steps is None and context.needs_steps:
            steps = workload.answer(number).steps
        return workload.read(number, generated, steps)
    return workload.answer(number) if context.needs_answers or (timed and context.needs_steps) else None


def _notes_of_tokens(context: Context) -> list[Reason]:
    """What a reader of token counts must know of the tokenizer."""
    loaded = context.workload.loaded
    checkpoint, ends = loaded.checkpoint, loaded.family.end_tokens(loaded.model)
    text = checkpoint.config.get("text_config", {})
    if checkpoint.folder is None:
        of_t5 = text.get("model_type") == "t5"
        return [Reason.of("generic_tokenizer" if of_t5 else "generic_tokenizer_alone", scope="tokens")]
    named = text.get("eos_token_id")
    if named is None or {named} == set(ends) or isinstance(named, list):
        return []
    return [Reason.of("ends_as_tokenizer", scope="tokens", named=named, ends=list(ends))]


def count_tokens(walked: list[BatchAnswers], new_tokens: NewTokens, *, known: bool) -> Tokens:
    """Counts over the batches; what was generated is null where it is not `known`."""
    read = [count for batch in walked for count in batch.batch.text_tokens]
    cut = [flag for batch in walked for flag in batch.batch.truncated]
    written = [count for batch in walked for count in batch.answers.new_tokens]
    if new_tokens.fixed:
        written = [new_tokens.limit] * len(written)
    return Tokens(
        input_mean=sum(read) / len(read),
        input_max=max(read),
        truncated_share=sum(cut) / len(cut),
        output_mean=sum(written) / len(written) if known else None,
        output_max=max(written) if known else None,
    )
