"""FLOPs of one batch, counted on the meta device: exact, without weights, and without running anything.

FLOPs are 2 x multiply-accumulates over matrix products, convolutions and attention, as `torch.utils.flop_counter`
counts them. Attention is counted in its eager form, since the counter does not know every fused kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.words import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.checkpoints.resolve import Checkpoint

# The phases of the language model where options are ranked.
_RANKED = (Phase.PREFILL, Phase.DECODE)
# Lengths of a prompt that are counted, in steps of one.
COUNTED_LENGTHS = (1, 2, 3)

COUNTER = "torch.utils.flop_counter on the meta device, eager attention"


@dataclass(frozen=True)
class BatchShape:
    """All that the FLOPs of a batch depend on. Token counts are padded lengths; `steps` are those of the decoder, each
    for `beams` candidates of every sample. Where options are ranked, `options` counts those of the whole batch.
    """

    batch_size: int
    image_size: int
    qformer_tokens: int
    text_tokens: int
    steps: int
    beams: int = 1
    options: int = 0
    option_tokens: int = 0


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of one batch by phase; the Q-Former's include the projection, the prefill's the first decoder step."""

    vision: float
    qformer: float
    prefill: float
    decode: float

    @property
    def total(self) -> float:
        """All phases together."""
        return self.vision + self.qformer + self.prefill + self.decode


class Polynomial:
    """The polynomial of degree two through whole numbers at `COUNTED_LENGTHS`, in whole numbers (Newton's form)."""

    def __init__(self, values: Sequence[int]) -> None:
        first, second, third = values
        self._first, self._slope, self._bend = first, second - first, third - 2 * second + first

    def __call__(self, length: int) -> int:
        """Its value at a length of at least 1."""
        steps = length - COUNTED_LENGTHS[0]
        return self._first + steps * self._slope + steps * (steps - 1) // 2 * self._bend


def mean_count(counts: Iterable[FlopCount]) -> FlopCount:
    """The mean over batches, phase by phase."""
    rows = list(counts)
    return FlopCount(
        vision=sum(row.vision for row in rows) / len(rows),
        qformer=sum(row.qformer for row in rows) / len(rows),
        prefill=sum(row.prefill for row in rows) / len(rows),
        decode=sum(row.decode for row in rows) / len(rows),
    )


class FlopCounter:
    """Counts for one architecture. Results are kept, since batches of one shape cost the same.

    Over the length of a prompt FLOPs are a polynomial of degree two: matrix products grow linearly with it, attention
    by its square. So three lengths are counted, and every other one follows from them, to the last digit.

    Raises `ValueError` for a configuration that makes no model.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = build_on_meta(checkpoint.config, attention="eager")
        self._walk = checkpoint.family.walk(self._model)
        self._vision = cache(self._count_vision)
        self._qformer = cache(self._qformer_over_tokens)
        self._language = cache(self._language_over_tokens)
        self._ranking = cache(self._ranking_over_tokens)

    def count(self, shape: BatchShape) -> FlopCount:
        """FLOPs of one `generate` call on a batch of `shape`, or of one that ranks its options.

        A decoder step's cost grows linearly with its position (only self-attention sees it), so the second and third
        step give the slope and the series is summed.
        """
        prefill, decode = self._ranked(shape) if shape.options else self._generated(shape)
        return FlopCount(
            vision=self._vision(shape.batch_size, shape.image_size),
            qformer=self._qformer(shape.batch_size, shape.image_size)(shape.qformer_tokens),
            prefill=prefill,
            decode=decode,
        )

    def _generated(self, shape: BatchShape) -> tuple[float, float]:
        prefill, second, slope = (
            over_tokens(shape.text_tokens) for over_tokens in self._language(shape.batch_size, shape.beams)
        )
        later = max(shape.steps - 1, 0)
        return prefill, later * second + slope * later * (later - 1) / 2

    def _ranked(self, shape: BatchShape) -> tuple[float, float]:
        """(prefill, the rest). Each option costs as much as every other, so that two numbers of them give all."""
        found = [
            one + (shape.options - 1) * (two - one)
            for one, two in zip(*(self._of_options(shape, options) for options in (1, 2)), strict=True)
        ]
        return found[0], found[1]

    def _of_options(self, shape: BatchShape, options: int) -> tuple[int, ...]:
        """The FLOPs of `_RANKED` where the batch has so many options, of the lengths of `shape`."""
        counts = [self._ranking(shape.batch_size, options, tokens) for tokens in COUNTED_LENGTHS]
        by_phase = zip(*counts, strict=True)
        return tuple(
            Polynomial([over_tokens(shape.text_tokens) for over_tokens in of_phase])(shape.option_tokens)
            for of_phase in by_phase
        )

    def _ranking_over_tokens(self, batch: int, options: int, option_tokens: int) -> tuple[Polynomial, ...]:
        """Over the length of the prompt, of `_RANKED`; what a family has no phase for is 0."""
        rows = [
            {step.phase: _count(step.run) for step in self._walk.ranking(batch, tokens, options, option_tokens)}
            for tokens in COUNTED_LENGTHS
        ]
        return tuple(Polynomial([row.get(phase, 0) for row in rows]) for phase in _RANKED)

    @cached_property
    def modules(self) -> dict[Phase, tuple[str, ...]]:
        """By phase, the paths of the modules whose parameters one forward of the phase reads in full.

        Those of ``decode`` are one later step's, which takes the image's keys and values from the cache. Of an
        embedding single rows are read, so none is listed.
        """
        from torch import nn

        seen: list[str] = []
        handles = [
            module.register_forward_pre_hook(lambda _module, _inputs, path=path: seen.append(path))
            for path, module in self._model.named_modules()
            if list(module.parameters(recurse=False)) and not isinstance(module, nn.Embedding)
        ]
        ran: dict[Phase, tuple[str, ...]] = {}
        size = self._model.config.vision_config.image_size
        language = islice(self._walk.language(1, 1), 2)
        try:
            for step in chain((self._walk.vision(1, size), self._walk.qformer(1, size, 1)), language):
                _count(step.run)
                ran[step.phase] = tuple(dict.fromkeys(seen))
                seen.clear()
        finally:
            for handle in handles:
                handle.remove()
        return ran

    def _qformer_over_tokens(self, batch: int, image_size: int) -> Polynomial:
        return Polynomial([self._count_qformer(batch, image_size, tokens) for tokens in COUNTED_LENGTHS])

    def _language_over_tokens(self, batch: int, beams: int) -> tuple[Polynomial, ...]:
        counts = [self._count_language(batch, tokens, beams) for tokens in COUNTED_LENGTHS]
        return tuple(Polynomial(of_one) for of_one in zip(*counts, strict=True))

    def _count_vision(self, batch: int, image_size: int) -> int:
        return _count(self._walk.vision(batch, image_size).run)

    def _count_qformer(self, batch: int, image_size: int, tokens: int) -> int:
        return _count(self._walk.qformer(batch, image_size, tokens).run)

    def _count_language(self, batch: int, text_tokens: int, beams: int = 1) -> tuple[int, int, int]:
        """(the prefill with the first token, the second token, growth from one token to the next)."""
        steps = islice(self._walk.language(batch, text_tokens, beams), 3)
        first, second, third = [_count(step.run) for step in steps]
        return first, second, third - second


def _count(run: Callable[[], object]) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return int(counter.get_total_flops())
