"""The workload of a job: its full batches, its model, and what the model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import NewTokens, cards_of
from blip_fixtures.checkpoints.loading import load_model
from blip_fixtures.devices import synchronize
from blip_fixtures.engine import inference
from blip_fixtures.families.runner import Part
from blip_fixtures.optimizations import Probe, find_optimization
from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from blip_fixtures.case import Case
    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.data.prompts import Prompt
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.job import Job


@dataclass(frozen=True)
class BatchAnswers:
    """One batch's answers and the facts that its cost depends on."""

    batch: inference.BatchFacts
    answers: inference.Answers


@dataclass(frozen=True)
class Workload:
    """Full batches only: the partial last one is dropped. The `job` is as `Stock.resolved` makes it."""

    job: Job
    loaded: LoadedModel
    processor: Any
    samples: SampleSet
    maker: inference.BatchMaker

    @property
    def case(self) -> Case:
        """The job's."""
        return self.job.case

    @property
    def prompt(self) -> Prompt:
        """The job's protocol."""
        return self.job.prompt

    @property
    def ranks(self) -> bool:
        """Whether an answer is the likeliest of the options, and nothing is generated."""
        return self.prompt.decoding == Decoding.RANK

    @property
    def batches(self) -> int:
        """How many full batches there are."""
        return len(self.samples) // self.case.batch_size

    def batch(self, number: int) -> inference.Batch:
        """Batch `number` modulo the number of batches, on the host."""
        return self.maker.batch(self.samples, number % self.batches, **self._kind)

    def facts(self, number: int) -> inference.BatchFacts:
        """Those of the same batch, whose tensors need not be at hand any more."""
        return self.maker.facts(self.samples, number % self.batches, **self._kind)

    @property
    def longest(self) -> int:
        """The number of the first batch whose prompts are the longest."""
        return max(range(self.batches), key=lambda number: self.facts(number).padded_text_tokens)

    @property
    def _kind(self) -> dict[str, Any]:
        return {
            "batch_size": self.case.batch_size,
            "image_size": self.case.image_size,
            "text_limit": self.case.sequence_length,
            "prompt": self.prompt,
        }

    def inputs(self, number: int) -> dict[str, Any]:
        """Batch `number` modulo the number of batches, on the device."""
        return self._on_device(self.batch(number))

    def generate(self, inputs: dict[str, Any], new_tokens: NewTokens | None = None, *, eager: bool = False) -> Any:
        """Token ids as `generate` returns them, with as many tokens as the job says unless it is given here.

        `eager` is transformers' own way on the same model. Where options are ranked, their log-likelihoods instead
        (samples, most options).
        """
        prompt = self.prompt
        if self.ranks:
            return inference.rank(self.loaded, inputs)
        return inference.generate(
            self.loaded.eager_runner if eager else self.loaded.runner,
            inputs,
            self.job.new_tokens if new_tokens is None else new_tokens,
            num_beams=prompt.num_beams,
            length_penalty=prompt.length_penalty,
            min_new_tokens=prompt.min_new_tokens,
            penalty=self.loaded.family.penalty(prompt.repetition_penalty, inputs),
        )

    @property
    def probe(self) -> Probe:
        """Untimed calls on the first batch, beams and all, for what must be tried out before or after the passes."""
        return Probe(
            run=lambda: self.generate(self.inputs(0)),
            run_eager=lambda: self.generate(self.inputs(0), eager=True),
        )

    def place(self, inputs: dict[str, Any]) -> slice:
        """Where the answers stand in the rows that `generate` returns for these inputs."""
        if self.ranks:
            return slice(None)
        return self.loaded.family.answer(inputs)

    def read(self, number: int, generated: Any, steps: int | None = None) -> inference.Answers:
        """The answers of batch `number` in token ids (batch, tokens) that hold nothing else.

        Without `steps` each token took one. Where options are ranked, in their log-likelihoods.
        """
        if self.ranks:
            return inference.read_ranks(generated, self.facts(number).options, self.loaded.family.ranking_steps)
        return inference.read(self.processor, self.loaded, generated, steps)

    def answer(self, number: int) -> inference.Answers:
        """One call on a batch: each answer up to its natural end or the job's limit on new tokens."""
        # With beams no answer tells how many steps there were.
        parts: list[Part] = []
        inputs = self.inputs(number)
        with self.loaded.runner.parts_ended(parts.append):
            token_ids = self.generate(inputs, NewTokens(self.job.new_tokens.limit))
        return self.read(number, token_ids[:, self.place(inputs)], parts.count(Part.STEP))

    @property
    def unread(self) -> inference.Answers:
        """The answers of a batch of which only is known how long they may be."""
        size, limit = self.case.batch_size, self.job.new_tokens.limit
        if self.ranks:
            return inference.Answers(("",) * size, (0,) * size, self.loaded.family.ranking_steps)
        return inference.Answers(texts=("",) * size, new_tokens=(limit,) * size, steps=limit)

    def _on_device(self, batch: inference.Batch) -> dict[str, Any]:
        inputs = inference.to_device(batch, cards_of(self.case.device)[0], self.loaded.pixel_dtype)
        synchronize(self.case.device)
        return inputs


def load_for(checkpoint: Checkpoint, device: str, optimization: str) -> LoadedModel:
    """The checkpoint on `device` with the optimization applied. Raises `CheckpointError` and `NotApplied`."""
    chosen = find_optimization(optimization)
    attention = chosen.attention(device, checkpoint.family)
    loaded = load_model(checkpoint, device, optimization, chosen.dtype, attention)
    chosen.apply(loaded)
    return loaded
