"""What a metric is made of: a value over the dataset with its interval, and one for each sample."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.quality.intervals import FEWEST_SAMPLES, Interval, bootstrap, wilson
from blip_fixtures.record import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def share_metric(per_sample: Sequence[bool], *, higher_is_better: bool = True) -> Metric:
    """The share of the samples that are true, with Wilson's interval; `None` where there are none."""
    scores = [float(is_true) for is_true in per_sample]
    value = fmean(scores) if scores else None
    return _metric(value, scores, _wilson(scores, (0.0, 1.0)), higher_is_better=higher_is_better)


def mean_metric(
    per_sample: Sequence[float], *, higher_is_better: bool = True, span: tuple[float, float] | None = None
) -> Metric:
    """The metric whose value over the dataset is the mean over its samples; `None` where there are none.

    Its interval is the bootstrap's. Where no sample differs from another that would be a point: a metric whose samples
    lie within a `span`, least and most, has Wilson's then, and another one none.
    """
    found = summed_metric(
        [(score, 1.0) for score in per_sample],
        lambda sums: sums[..., 0] / sums[..., 1],
        per_sample,
        higher_is_better=higher_is_better,
    )
    if found.interval is not None or span is None:
        return found
    return _metric(found.value, per_sample, _wilson(per_sample, span), higher_is_better=higher_is_better)


def summed_metric(
    statistics: Sequence[Sequence[float]],
    value_of: Callable[[Any], Any],
    per_sample: Sequence[float | None],
    *,
    higher_is_better: bool,
) -> Metric:
    """A metric that depends on its samples through sums alone.

    `statistics` has one row of numbers for each sample; `value_of` maps their sums, an array (..., numbers), to values
    (...). `value` and `interval` are `None` without samples, and where the value is not finite; `interval` also where
    no sample differs from another, so that the bootstrap can tell none.
    """
    table = np.asarray(statistics, dtype=float)
    value = None
    if len(table):
        with np.errstate(divide="ignore", invalid="ignore"):
            found = float(value_of(table.sum(axis=0)))
        value = found if np.isfinite(found) else None
    interval = None if value is None or len(table) < FEWEST_SAMPLES else bootstrap(table, value_of)
    return _metric(value, per_sample, interval, higher_is_better=higher_is_better)


def _wilson(scores: Sequence[float], span: tuple[float, float]) -> Interval | None:
    return wilson(fmean(scores), len(scores), span) if len(scores) >= FEWEST_SAMPLES else None


def _metric(
    value: float | None, per_sample: Sequence[float | None], interval: Interval | None, *, higher_is_better: bool
) -> Metric:
    return Metric(
        value=value,
        per_sample=tuple(per_sample),
        higher_is_better=higher_is_better,
        interval=None if interval is None else interval.ends,
        interval_method=None if interval is None else interval.method,
    )
