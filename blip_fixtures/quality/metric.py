"""What a metric is made of: a value over the dataset with its interval, and one for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.record import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESAMPLES = 1000
COVERAGE = 0.95
_SEED = 0
# Drawn at once: a thousand draws over thousands of samples would take a hundred megabytes.
_DRAWS = 50


def mean_metric(per_sample: Sequence[float], *, higher_is_better: bool = True) -> Metric:
    """The metric whose value over the dataset is the mean over its samples; `None` where there are none."""
    return summed_metric(
        [(score, 1.0) for score in per_sample],
        lambda sums: sums[..., 0] / sums[..., 1],
        per_sample,
        higher_is_better=higher_is_better,
    )


def summed_metric(
    statistics: Sequence[Sequence[float]],
    value_of: Callable[[Any], Any],
    per_sample: Sequence[float | None],
    *,
    higher_is_better: bool,
) -> Metric:
    """A metric that depends on its samples through sums alone.

    `statistics` has one row of numbers for each sample; `value_of` maps their sums, an array (..., numbers), to values
    (...). `value` and `interval` are `None` without samples, and where the value is not finite.
    """
    table = np.asarray(statistics, dtype=float)
    value = None
    if len(table):
        with np.errstate(divide="ignore", invalid="ignore"):
            found = float(value_of(table.sum(axis=0)))
        value = found if np.isfinite(found) else None
    return Metric(
        value=value,
        per_sample=tuple(per_sample),
        higher_is_better=higher_is_better,
        interval=None if value is None or len(table) < 2 else _interval(table, value_of),
    )


def _interval(table: Any, value_of: Callable[[Any], Any]) -> tuple[float, float] | None:
    """The central 95 % of the value over resampled datasets (bootstrap, Efron 1979), the same in every run."""
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
    return float(low), float(high)
