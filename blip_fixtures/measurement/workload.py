"""The workload of a case: its full batches, its model, and the walk that collects the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures import inference
from blip_fixtures.checkpoints.runner import STEP, EagerRunner
from blip_fixtures.devices import synchronize
from blip_fixtures.optimizations import Probe
from blip_fixtures.options import NewTokens

if TYPE_CHECKING:
    from blip_fixtures.case import Case
    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.data.prompts import Prompt
    from blip_fixtures.data.sources import SampleSet


@dataclass(frozen=True)
class BatchAnswers:
    """One batch's answers and the facts that its cost depends on."""

    batch: inference.BatchFacts
    answers: inference.Answers


@dataclass(frozen=True)
class Workload:
    """Full batches only: the partial last one is dropped."""

    case: Case
    loaded: LoadedModel
    processor: Any
    samples: SampleSet
    maker: inference.BatchMaker
    prompt: Prompt

    @property
    def batches(self) -> int:
        """How many full batches there are."""
        return len(self.samples) // self.case.batch_size

    def batch(self, number: int) -> inference.Batch:
        """Batch `number` modulo the number of batches, on the host."""
        case = self.case
        return self.maker.batch(
            self.samples, number % self.batches, case.batch_size, case.image_size, case.sequence_length
        )

    def inputs(self, number: int) -> dict[str, Any]:
        """Batch `number` modulo the number of batches, on the device."""
        return self._on_device(self.batch(number))

    def generate(self, inputs: dict[str, Any], new_tokens: NewTokens) -> Any:
        """Token ids of the answers, (batch, 1 + tokens)."""
        prompt = self.prompt
        return inference.generate(
            self.loaded.runner,
            inputs,
            new_tokens,
            num_beams=prompt.num_beams,
            length_penalty=prompt.length_penalty,
        )

    def probe(self, new_tokens: NewTokens) -> Probe:
        """Untimed calls on the first batch, for what must be tried out before or behind the passes."""
        eager = EagerRunner(self.loaded.model)
        return Probe(
            run=lambda: inference.generate(self.loaded.runner, self.inputs(0), new_tokens),
            run_eager=lambda: inference.generate(eager, self.inputs(0), new_tokens),
        )

    def answers(self, limit: int, *, generate: bool = True) -> list[BatchAnswers]:
        """The quality pass: every batch once, each answer up to its natural end or `limit` tokens.

        Weights that know no language have no natural end: without `generate` each answer is `limit` unread tokens.
        """
        walked = []
        for number in range(self.batches):
            batch = self.batch(number)
            size = self.case.batch_size
            if generate:
                # With beams no answer tells how many steps there were.
                parts: list[str] = []
                with self.loaded.runner.parts_ended(parts.append):
                    token_ids = self.generate(self._on_device(batch), NewTokens(limit))
                answers = inference.decode(self.processor, self.loaded.model, token_ids, parts.count(STEP))
            else:
                answers = inference.Answers(texts=("",) * size, new_tokens=(limit,) * size, steps=limit)
            walked.append(BatchAnswers(batch.facts, answers))
        return walked

    def _on_device(self, batch: inference.Batch) -> dict[str, Any]:
        inputs = inference.to_device(batch, self.case.device, self.loaded.pixel_dtype)
        synchronize(self.case.device)
        return inputs
