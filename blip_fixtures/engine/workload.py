"""The workload of a job: its full batches, its model, and the walk that collects the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import NewTokens
from blip_fixtures.devices import synchronize
from blip_fixtures.engine import inference
from blip_fixtures.families.runner import Part
from blip_fixtures.optimizations import Probe

if TYPE_CHECKING:
    from blip_fixtures.case import Case
    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.data.sources import SampleSet
    from blip_fixtures.job import Job


@dataclass(frozen=True)
class BatchAnswers:
    """One batch's answers and the facts that its cost depends on."""

    batch: inference.BatchFacts
    answers: inference.Answers


@dataclass(frozen=True)
class Workload:
    """Full batches only: the partial last one is dropped."""

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
    def batches(self) -> int:
        """How many full batches there are."""
        return len(self.samples) // self.case.batch_size

    def batch(self, number: int) -> inference.Batch:
        """Batch `number` modulo the number of batches, on the host."""
        case = self.case
        return self.maker.batch(
            self.samples,
            number % self.batches,
            batch_size=case.batch_size,
            image_size=case.image_size,
            text_limit=case.sequence_length,
            prompt=self.job.prompt,
        )

    def inputs(self, number: int) -> dict[str, Any]:
        """Batch `number` modulo the number of batches, on the device."""
        return self._on_device(self.batch(number))

    def generate(self, inputs: dict[str, Any], new_tokens: NewTokens | None = None) -> Any:
        """Token ids as `generate` returns them, with as many tokens as the job says unless it is given here."""
        prompt = self.job.prompt
        return inference.generate(
            self.loaded.runner,
            inputs,
            self.job.new_tokens if new_tokens is None else new_tokens,
            num_beams=prompt.num_beams,
            length_penalty=prompt.length_penalty,
        )

    @property
    def probe(self) -> Probe:
        """Untimed calls on the first batch, for what must be tried out before or behind the passes."""
        eager, new_tokens = self.loaded.eager_runner, self.job.new_tokens
        return Probe(
            run=lambda: inference.generate(self.loaded.runner, self.inputs(0), new_tokens),
            run_eager=lambda: inference.generate(eager, self.inputs(0), new_tokens),
        )

    def answers(self, *, generate: bool = True) -> list[BatchAnswers]:
        """Every batch once, each answer up to its natural end or the job's limit on new tokens.

        Weights that know no language have no natural end: without `generate` each answer is `limit` unread tokens.
        """
        limit = self.job.new_tokens.limit
        walked = []
        for number in range(self.batches):
            batch = self.batch(number)
            size = self.case.batch_size
            if generate:
                # With beams no answer tells how many steps there were.
                parts: list[Part] = []
                inputs = self._on_device(batch)
                with self.loaded.runner.parts_ended(parts.append):
                    token_ids = self.generate(inputs, NewTokens(limit))
                answers = inference.decode(self.processor, self.loaded, inputs, token_ids, parts.count(Part.STEP))
            else:
                answers = inference.Answers(texts=("",) * size, new_tokens=(limit,) * size, steps=limit)
            walked.append(BatchAnswers(batch.facts, answers))
        return walked

    def _on_device(self, batch: inference.Batch) -> dict[str, Any]:
        inputs = inference.to_device(batch, self.case.device, self.loaded.pixel_dtype)
        synchronize(self.case.device)
        return inputs
