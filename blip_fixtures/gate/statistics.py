"""How much a case changed, as many possible answers: each method gives draws of the logarithm of now over base.

The unit of resampling is the process, since rounds of one process say little about another: a process has its own
memory layout, frequency and neighbours. A round is divided by the reference product that was timed just before it,
which takes out most of what the machine does to both, and batches are compared with themselves.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.spreads import Bounded
    from blip_fixtures.record import Latency

# One-sided; a regression lies beyond the limit with this confidence.
CONFIDENCE = 0.95
DRAWS = 4000
_SEED = 0
# Numbers of a bootstrap that are held at once, so that many batches need no more memory than few.
_MOST_AT_ONCE = 4_000_000
_MOST_LOGARITHM = math.log(1e300)
# Series of rounds whose logarithms are kept: a few megabytes.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Estimate:
    """The logarithm of now over base, and draws of what it may be: the uncertainty of the measurement.

    `spread` is the standard deviation of one process's logarithm, where it could be known.
    """

    center: float
    draws: Any
    spread: float | None = None

    @property
    def low(self) -> float:
        """The one-sided lower bound."""
        return float(np.quantile(self.draws, 1 - CONFIDENCE))

    @property
    def high(self) -> float:
        """The one-sided upper bound."""
        return float(np.quantile(self.draws, CONFIDENCE))

    def p_not_beyond(self, limit: float) -> float:
        """How likely it is that the change is not beyond `limit`; never 0, since draws are finite."""
        return float((1 + np.count_nonzero(self.draws <= limit)) / (1 + len(self.draws)))


def calibrated(latency: Latency, batches: int, summary: Callable[[Any], Any] = np.median) -> Any:
    """(batches,) logarithms of a process's rounds over their reference product, `summary` of each batch's rounds.

    Round i ran batch i modulo `batches`; a batch without a round is NaN. Without a reference for every round the
    rounds stand as they are, in seconds.
    """
    reference_s = latency.reference_s if has_references(latency) else ()
    return _calibrated(latency.rounds_s, reference_s, batches, summary)


@lru_cache(maxsize=_REMEMBERED)
def _calibrated(
    rounds_s: tuple[float, ...], reference_s: tuple[float, ...], batches: int, summary: Callable[[Any], Any]
) -> Any:
    """Remembered, since every case asks for those of all cases; nobody may write into what comes back."""
    if not batches:
        return np.array([])
    rounds = np.asarray(rounds_s)
    numbers = np.arange(len(rounds)) % batches
    # The logarithm of a round of 0 s is minus infinity, and a quotient may be beyond any float; nobody compares those.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = np.log(rounds / np.asarray(reference_s) if reference_s else rounds)
        found = np.array(
            [summary(values[numbers == batch]) if batch < len(values) else np.nan for batch in range(batches)]
        )
    found.setflags(write=False)
    return found


def has_references(latency: Latency) -> bool:
    """Whether each round has a reference product to be divided by."""
    return 0 < len(latency.reference_s) == len(latency.rounds_s) and min(latency.reference_s) > 0


def change_of(logarithm: float) -> float:
    """The share by which now is more than base. Beyond what a float holds it is as much as that."""
    return math.expm1(min(logarithm, _MOST_LOGARITHM))


def center_of(base: Any, now: Any) -> float:
    """The median over the batches of now over base, each the median over its processes; (processes, batches) each."""
    base, now = _of_shared_batches(base, now)
    return float(np.median(np.nanmedian(now, axis=0) - np.nanmedian(base, axis=0)))


def _of_shared_batches(base: Any, now: Any) -> tuple[Any, Any]:
    """Without the batches that no process of a side has run."""
    known = ~(np.isnan(base).all(axis=0) | np.isnan(now).all(axis=0))
    return base[:, known], now[:, known]


def over_processes(base: Any, now: Any, rng: Any = None) -> Estimate:
    """Both sides resampled by process, and the batches with them (bootstrap, Efron 1979; percentile interval).

    `base` and `now` are (processes, batches). The estimate is the median over the batches of the difference of both
    sides' medians over the processes. Draws are stretched by sqrt(n / (n - 1)), since resampling n processes shows
    that much less than their spread.
    """
    rng = np.random.default_rng(_SEED) if rng is None else rng
    base, now = _of_shared_batches(base, now)
    center = center_of(base, now)
    drawn = [rng.integers(len(side), size=(DRAWS, len(side))) for side in (base, now)]
    draws = np.empty(DRAWS)
    at_once = max(_MOST_AT_ONCE // base.shape[1], 1)
    for start in range(0, DRAWS, at_once):
        part = slice(start, min(start + at_once, DRAWS))
        was, became = (_resampled(side, which[part]) for side, which in zip((base, now), drawn, strict=True))
        chosen = rng.integers(base.shape[1], size=was.shape)
        draws[part] = _median(np.take_along_axis(became - was, chosen, axis=1))
    fewest = min(len(base), len(now))
    stretched = center + (draws - center) * math.sqrt(fewest / (fewest - 1))
    return Estimate(center, stretched, spread_of([np.nanmedian(side, axis=1) for side in (base, now)]))


def _resampled(side: Any, drawn: Any) -> Any:
    """(draws, batches): the median over the processes that were drawn, with replacement."""
    return _median(side[drawn])


def _median(values: Any) -> Any:
    """Over the second axis. Where a draw has nothing but processes without a batch, it knows nothing of it: NaN."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        return np.nanmedian(values, axis=1)


def of_known_spread(base: Any, now: Any, spread: float, degrees: int) -> Estimate:
    """One process on a side: the spread between processes comes from runs stored earlier.

    Student's t with `degrees` of freedom, since the spread is itself an estimate.
    """
    center = center_of(base, now)
    scale = spread * math.sqrt(1 / len(base) + 1 / len(now))
    draws = center + scale * np.random.default_rng(_SEED).standard_t(max(degrees, 1), size=DRAWS)
    return Estimate(center, draws, spread)


def paired_processes(differences: Any) -> Estimate:
    """Of what the same processes measured on both sides: (processes, batches) differences of logarithms.

    The mean over the processes of their medians, with Student's t: three processes resampled lie on one side of no
    difference in a quarter of all cases without any.
    """
    levels = np.nanmedian(differences, axis=1)
    spread = float(np.std(levels, ddof=1))
    drawn = np.random.default_rng(_SEED).standard_t(len(levels) - 1, size=DRAWS)
    center = float(levels.mean())
    return Estimate(center, center + spread / math.sqrt(len(levels)) * drawn, spread)


def spread_of(groups: Sequence[Any]) -> float | None:
    """The standard deviation between processes, pooled over groups of alike ones; `None` without two of a group."""
    many = [np.asarray(group) for group in groups if len(group) > 1]
    degrees = sum(len(group) - 1 for group in many)
    if not degrees:
        return None
    return math.sqrt(sum(float(np.sum((group - group.mean()) ** 2)) for group in many) / degrees)


def paired_means(differences: Any) -> Any:
    """Draws of the mean of `differences`, one for each sample (bootstrap over the samples)."""
    count = len(differences)
    rng, shares = np.random.default_rng(_SEED), np.full(count, 1 / count)
    return np.concatenate([rng.multinomial(count, shares, size=100) @ differences for _ in range(DRAWS // 100)]) / count


def holm(p_values: Sequence[float], level: float = 1 - CONFIDENCE) -> list[bool]:
    """Which hypotheses fall when all are tested together: at most `level` of families has a false one (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    falls = [False] * len(p_values)
    for place, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - place):
            break
        falls[index] = True
    return falls


def processes_needed(estimate: Bounded, limit: float, most: int = 100) -> int | None:
    """Processes a side that would put the whole one-sided interval on one side of `limit`, if the estimate is right.

    `None` where the spread is unknown, and where `most` would not do.
    """
    gap = abs(estimate.center - limit)
    if estimate.spread is None or gap == 0:
        return None
    ratio = _ONE_SIDED * estimate.spread / gap
    return max(math.ceil(2 * ratio**2), 3) if ratio <= math.sqrt(most / 2) else None


# The normal quantile of `CONFIDENCE`.
_ONE_SIDED = 1.645
