"""95 % intervals of metrics: Wilson's for shares, the bootstrap for the rest, and none where neither can tell one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.reasons import Reason
from blip_fixtures.words import IntervalMethod

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.record import Metric

RESAMPLES = 1000
COVERAGE = 0.95
FEWEST_SAMPLES = 2
# Metrics that are shares, and what the samples of others lie between: what older records do not say of theirs.
SHARES = frozenset({"accuracy", "unparsed_share"})
SPANS = {"vqa_accuracy": (0.0, 1.0), "rouge_l": (0.0, 1.0), "cider": (0.0, 10.0)}
_SEED = 0
# Drawn at once: a thousand draws over thousands of samples would take a hundred megabytes.
_DRAWS = 50
_Z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
# The least rate of a Poisson count that shows 1, 2, 3 or more in 5 % of all draws.
_RARE = {1: 0.051293, 2: 0.355362, 3: 0.817691}
_FEW_TRIALS = 50


@dataclass(frozen=True)
class Interval:
    """`low` to `high` hold the truth with 95 %, as `method` finds."""

    low: float
    high: float
    method: IntervalMethod

    @property
    def ends(self) -> tuple[float, float]:
        """Both, as a record has them."""
        return self.low, self.high

    @property
    def half_width(self) -> float:
        """Half of what lies between them."""
        return (self.high - self.low) / 2


def wilson(mean: float, count: int, span: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Wilson's score interval of `count` values with this mean (Wilson 1927), all of them within `span`.

    It never is a point. One, two or three values apart from all others it takes the end near the span's that Brown,
    Cai and DasGupta give it (2001, "Interval estimation for a binomial proportion", section 4.1.1), since Wilson's own
    is too near to the mean there: of 16 values, 99 % of them ones, it would hold the truth in 85 % of all draws.

    For values between 0 and 1 it is wide enough too: as x*x <= x there, their variance is at most p - p*p, that of
    zeros and ones with the same mean p. And all of them are 1 with a probability of at most p**count, since a value is
    1 with a probability of at most p.

    The formula is written out here, since no library that the package needs has it.
    """
    least, most = span
    p = min(max((mean - least) / (most - least), 0.0), 1.0)
    spread = _Z * _Z / count
    middle = (p + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(p * (1 - p) / count + spread / (4 * count))
    low, high = _near_the_ends(p, count, middle - half, middle + half)
    return Interval(least + low * (most - least), least + high * (most - least), IntervalMethod.WILSON)


def _near_the_ends(p: float, count: int, low: float, high: float) -> tuple[float, float]:
    """The ends as they are where almost all values are equal, in 0..1."""
    few = 2 if count <= _FEW_TRIALS else 3
    ones, zeros = _whole(p * count), _whole((1 - p) * count)
    if ones == 0 or zeros == 0:
        return (0.0, min(high, 1.0)) if ones == 0 else (max(low, 0.0), 1.0)
    if ones is not None and ones <= few:
        low = _RARE[ones] / count
    if zeros is not None and zeros <= few:
        high = 1 - _RARE[zeros] / count
    return max(low, 0.0), min(high, 1.0)


def _whole(number: float) -> int | None:
    """`number` where it is a count, rounding errors aside."""
    return round(number) if math.isclose(number, round(number), abs_tol=1e-6) else None


def bootstrap(table: Any, value_of: Callable[[Any], Any]) -> Interval | None:
    """The central 95 % of the value over resampled datasets (Efron 1979), the same in every run.

    `table` is an array (samples, numbers); `value_of` maps sums of its rows (..., numbers) to values (...). `None`
    where the resampled values are all the same: that says that no sample differs, and nothing of other samples.
    """
    count = len(table)
    rng, shares = np.random.default_rng(_SEED), np.full(count, 1 / count)
    drawn = np.concatenate([rng.multinomial(count, shares, size=_DRAWS) @ table for _ in range(RESAMPLES // _DRAWS)])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(value_of(drawn), dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return None if _is_point(low, high) else Interval(float(low), float(high), IntervalMethod.BOOTSTRAP)


def interval_of(name: str, metric: Metric) -> Interval | None:
    """The interval of a record's metric that may be shown: never a point.

    Records that name no method have the bootstrap's of every metric; there a share has Wilson's here, and where the
    bootstrap's is a point it is told as it would be today.
    """
    if metric.interval is None or metric.value is None:
        return None
    low, high = metric.interval
    if metric.interval_method is not None:
        return None if _is_point(low, high) else Interval(low, high, metric.interval_method)
    count = len(metric.per_sample)
    if name in SHARES and count >= FEWEST_SAMPLES and set(metric.per_sample) <= {0.0, 1.0}:
        return wilson(metric.value, count)
    if not _is_point(low, high):
        return Interval(low, high, IntervalMethod.BOOTSTRAP)
    return wilson(metric.value, count, SPANS[name]) if name in SPANS and count >= FEWEST_SAMPLES else None


def why_no_interval(metric: Metric) -> Reason:
    """Why a metric with a value has no interval."""
    samples = len(metric.per_sample)
    return Reason.of("no_interval_of_one_sample" if samples < FEWEST_SAMPLES else "no_interval_all_alike")


def _is_point(low: float, high: float) -> bool:
    return math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12)
