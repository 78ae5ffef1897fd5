"""Is ranking right, and what does it save? ``python -m tools.ranking_merit``, from the repository's root.

The options of the packaged questions, and further ones from other questions, are scored by the suite's one pass over a
batch of options and, one option at a time, by transformers' own `forward` on image, prompt and option. Both take the
same pairs of a question and an option, in turns, in one process.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.loading import load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.inference import BatchMaker, rank, to_device
from blip_fixtures.words import Decoding
from tools.raw_figures import RawFigures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blip_fixtures.data.samples import Sample

# How far apart two ways of adding fp32 numbers may be.
CLOSE = 1e-5
BATCH, LONGEST_PROMPT = 4, 200


class Scorer:
    """The packaged checkpoint in `dtype`: ``float32``, or ``float64``, in which nothing but the method can differ."""

    def __init__(self, dtype: str) -> None:
        self._checkpoint = resolve_checkpoint(PACKAGED)
        self._processor = load_processor(self._checkpoint)
        self._loaded = load_model(self._checkpoint, "cpu", dtype, dtype)
        self._prompt = find_prompts("published").of("scienceqa").of_family(self._checkpoint.family.kinds)
        self._samples = load_samples("scienceqa", "sample")
        # Questions that share a prompt and a picture share their inputs.
        self._maker = BatchMaker(self._processor, self._checkpoint)

    @property
    def samples(self) -> Sequence[Sample]:
        """The packaged questions."""
        return self._samples

    def _inputs(self, number: int, batch_size: int) -> dict[str, Any]:
        prompt = replace(self._prompt, decoding=Decoding.GREEDY)
        batch = self._maker.batch(
            self._samples,
            number,
            batch_size=batch_size,
            image_size=self._checkpoint.image_size,
            text_limit=LONGEST_PROMPT,
            prompt=prompt,
        )
        return to_device(batch, "cpu", self._loaded.pixel_dtype)

    def together(self, number: int, options: Sequence[Sequence[str]]) -> list[list[float]]:
        """The log-likelihoods of the options of batch `number`, by the suite's one pass."""
        inputs = self._inputs(number, len(options))
        inputs |= self._checkpoint.family.tokenize_options(self._processor, options)
        table = rank(self._loaded, inputs)
        return [row[: len(texts)].tolist() for row, texts in zip(table, options, strict=True)]

    def alone(self, number: int, option: str) -> float:
        """The log-likelihood of one option of one question, by transformers' `forward`."""
        import torch

        ids = self._processor.tokenizer(option, return_tensors="pt").input_ids
        with torch.no_grad():
            logits = self._loaded.model(**self._inputs(number, 1), labels=ids).logits
        return float(logits.log_softmax(dim=-1).gather(2, ids[..., None]).sum())


def pairs(samples: Sequence[Sample], count: int) -> Iterator[tuple[int, list[list[str]]]]:
    """Batches of questions with options, `count` pairs or a few more in all: their own, and further ones of others."""
    every = [choice for sample in samples for choice in sample.choices]
    others = itertools.cycle(every)
    batches, done = len(samples) // BATCH, 0
    own = -(-count // (batches * BATCH))
    for number in range(batches):
        options = []
        for sample in samples[number * BATCH : (number + 1) * BATCH]:
            wanted = [*sample.choices, *itertools.islice(others, max(own - len(sample.choices), 0))]
            options.append(wanted)
            done += len(wanted)
        yield number, options
        if done >= count:
            return


def compare(count: int, dtype: str) -> tuple[int, float, float, float]:
    """(pairs, the largest difference, seconds of the suite's way, seconds of one at a time)."""
    scorer = Scorer(dtype)
    worst, together_s, alone_s, done = 0.0, 0.0, 0.0, 0
    for number, options in pairs(scorer.samples, count):
        start_s = time.perf_counter()
        table = scorer.together(number, options)
        together_s += time.perf_counter() - start_s
        start_s = time.perf_counter()
        expected = [
            [scorer.alone(number * BATCH + row, option) for option in texts] for row, texts in enumerate(options)
        ]
        alone_s += time.perf_counter() - start_s
        for found, known in zip(table, expected, strict=True):
            worst = max(worst, *(abs(one - other) for one, other in zip(found, known, strict=True)))
            done += len(found)
    return done, worst, together_s, alone_s


def main() -> None:
    """Prints the figures; `--out` keeps them with machine and versions."""
    parser = argparse.ArgumentParser(description="Ranking of options against one option at a time.")
    parser.add_argument("--pairs", type=int, default=10_000, help="of a question and an option (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="a file for the figures as JSON")
    options = parser.parse_args()
    figures = RawFigures()
    for dtype in ("float64", "float32"):
        done, worst, together_s, alone_s = compare(options.pairs, dtype)
        figures.add(
            f"{done:,} pairs of a question and an option in {dtype}: the largest difference from one option at a time "
            f"is {worst:.1e}, {'within' if worst <= CLOSE else 'MORE THAN'} {CLOSE:g}",
            pairs=done,
            dtype=dtype,
            largest_difference=worst,
        )
        figures.add(
            f"{dtype}: one pass over a batch took {together_s:.1f} s in all, one option at a time {alone_s:.1f} s, "
            f"{alone_s / together_s:.1f} times as long",
            dtype=dtype,
            together_s=together_s,
            alone_s=alone_s,
        )
    figures.write(options.out)


if __name__ == "__main__":
    main()
