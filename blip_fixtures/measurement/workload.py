"""The workload of a case: its full batches, its model, and the walk that collects the answers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures import inference
from blip_fixtures.devices import synchronize
from blip_fixtures.options import NewTokens

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            self.loaded.model,
            inputs,
            new_tokens,
            num_beams=prompt.num_beams,
            length_penalty=prompt.length_penalty,
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
                with _decoder_steps(self.loaded.model) as steps:
                    token_ids = self.generate(self._on_device(batch), NewTokens(limit))
                answers = inference.decode(self.processor, self.loaded.model, token_ids, len(steps))
            else:
                answers = inference.Answers(texts=("",) * size, new_tokens=(limit,) * size, steps=limit)
            walked.append(BatchAnswers(batch.facts, answers))
        return walked

    def _on_device(self, batch: inference.Batch) -> dict[str, Any]:
        inputs = inference.to_device(batch, self.case.device, self.loaded.pixel_dtype)
        synchronize(self.case.device)
        return inputs


@contextlib.contextmanager
def _decoder_steps(model: Any) -> Iterator[list[None]]:
    """A list that grows by one entry for each step of the decoder: with beams no answer tells their number."""
    steps: list[None] = []
    handle = model.language_model.register_forward_hook(lambda *_: steps.append(None))
    try:
        yield steps
    finally:
        handle.remove()
