"""The limit: the least time that the hardware allows for a case's FLOPs and bytes, phase by phase.

The roofline model (Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785): a phase takes at least its FLOPs
over the rate of matrix products and at least its bytes over the read bandwidth, whichever is more. Bytes are each
weight read once per forward of its part, and the key-value cache once per decoder step. Activations are left out, so
the figure stays below what a perfect program would need.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.architecture import stored_bytes
from blip_fixtures.families import family_of
from blip_fixtures.words import Bound, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.engine.flops import BatchShape, FlopCount

# What is idle for more than this share of decoding waits for the host: that is most of it.
_IDLE_MOST = 0.5


@dataclass(frozen=True)
class Rates:
    """FLOP/s of matrix products and bytes/s of reading, by phase.

    The bandwidth is that of a buffer as large as the phase's weights: a model that fits the caches is held to theirs.
    """

    flops_per_s: Mapping[Phase, float]
    bytes_per_s: Mapping[Phase, float]


def weights_read(model: Any, modules: Mapping[Phase, Sequence[str]]) -> dict[Phase, int]:
    """Bytes of the weights that one forward of each phase reads, from `FlopCounter.modules` and the loaded model."""
    return {phase: sum(stored_bytes(model.get_submodule(path)) for path in paths) for phase, paths in modules.items()}


@dataclass(frozen=True)
class CacheShape:
    """The key-value cache of a decoder: bytes of one token of one sample over all layers, and the query tokens before
    the prompt's own, whose keys and values the decoder reads as well.
    """

    token_bytes: int
    query_tokens: int

    @classmethod
    def of(cls, config: Mapping[str, Any], itemsize: int) -> CacheShape:
        """From a ``config.json``; `itemsize` is the bytes of one number of the cache."""
        family = family_of(config)
        return cls(family.cache_token_bytes(config, itemsize), family.query_tokens(config))

    def bytes_read(self, shape: BatchShape) -> int:
        """Over the steps after the first: the prompt's part whole in each, the answer's as long as it has grown."""
        later = max(shape.steps - 1, 0)
        tokens = later * (self.query_tokens + shape.text_tokens) + later * (later + 1) // 2
        return shape.batch_size * shape.beams * self.token_bytes * tokens

    def bytes_held(self, rows: int, text_tokens: int, new_tokens: int) -> int:
        """When the last token has been generated in each of `rows` beams of all samples."""
        return rows * self.token_bytes * (self.query_tokens + text_tokens + new_tokens)


@dataclass(frozen=True)
class Floor:
    """The least seconds of one batch by phase: of its arithmetic, and of its reading."""

    arithmetic_s: Mapping[Phase, float]
    reading_s: Mapping[Phase, float]

    @property
    def phases_s(self) -> dict[Phase, float]:
        """Of each phase the longer of the two."""
        return {phase: max(self.arithmetic_s[phase], self.reading_s[phase]) for phase in Phase}

    @property
    def seconds(self) -> float:
        """Of the whole call."""
        return sum(self.phases_s.values())


def floors(
    batches: Sequence[tuple[BatchShape, FlopCount]], weights: Mapping[Phase, int], cache: CacheShape, rates: Rates
) -> list[Floor]:
    """The least time of each batch at these rates."""
    found = []
    for shape, count in batches:
        later = max(shape.steps - 1, 0)
        read = {**weights, Phase.DECODE: weights[Phase.DECODE] * later + cache.bytes_read(shape)}
        found.append(
            Floor(
                {phase: getattr(count, phase) / rates.flops_per_s[phase] for phase in Phase},
                {phase: read[phase] / rates.bytes_per_s[phase] for phase in Phase},
            )
        )
    return found


def mean_phases_s(of_batches: Sequence[Floor]) -> dict[Phase, float]:
    """The mean over batches, phase by phase."""
    return {phase: fmean(floor.phases_s[phase] for floor in of_batches) for phase in Phase}


def bounds(of_batches: Sequence[Floor], busy_share: float | None = None) -> dict[Phase, Bound]:
    """What binds each phase that takes any time; decoding is the host's where the device is idle for most of it.

    `busy_share` is `None` where nothing waits for a host, or nobody could see it.
    """
    bound = {
        phase: Bound.ARITHMETIC
        if sum(floor.arithmetic_s[phase] for floor in of_batches) >= sum(floor.reading_s[phase] for floor in of_batches)
        else Bound.MEMORY
        for phase, seconds in mean_phases_s(of_batches).items()
        if seconds > 0
    }
    if Phase.DECODE in bound and busy_share is not None and 1 - busy_share > _IDLE_MOST:
        bound[Phase.DECODE] = Bound.HOST
    return bound


def round_ratios(rounds_s: Sequence[float], of_batches: Sequence[Floor]) -> list[float]:
    """How many times longer each round took than the least time of its own batch: round i ran batch i modulo them."""
    return [took_s / (of_batches[number % len(of_batches)].seconds or inf) for number, took_s in enumerate(rounds_s)]


def is_below(ratios: Sequence[float]) -> bool:
    """Whether the rounds are faster than the limit by more than their spread: more than three of four of them are.

    A median below 1 whose upper quartile is above it is within the spread.
    """
    upper = quantiles(ratios, n=4, method="inclusive")[-1] if len(ratios) > 1 else ratios[0]
    return upper < 1


def shares(machine: Sequence[Floor], own: Sequence[Floor]) -> tuple[float | None, dict[Phase, float]]:
    """What the kernels of a row reach of the machine's limit, in all and by phase: the limit over their least time."""
    best_s, own_s = mean_phases_s(machine), mean_phases_s(own)
    by_phase = {phase: min(best_s[phase] / own_s[phase], 1.0) for phase in Phase if own_s[phase]}
    whole_s = sum(own_s.values())
    return (min(sum(best_s.values()) / whole_s, 1.0) if whole_s else None), by_phase
