"""The number of a record that a certificate judges: it comes from the scores of single samples where they tell it.

What is derived may not fit the samples it stands beside, in a record that somebody put together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from blip_fixtures.quality.intervals import FEWEST_SAMPLES, SHARES, SPANS, Interval, interval_of, wilson
from blip_fixtures.quality.metric import mean_metric
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric

# Metrics that are the mean over their samples, and what these lie between; BLEU is none.
_MEANS = {"accuracy": (0.0, 1.0), **SPANS}
_WITHIN = {**_MEANS, "bleu4": (0.0, 1.0)}
# How far the recorded interval of a mean may be from that of a normal distribution, as a share of it: the percentiles
# of a thousand draws scatter by some percent.
_ODD = 0.25
_NORMAL = 1.96


@dataclass(frozen=True)
class Scored:
    """`value` over `samples`, with its interval; `off` is the record's own value where it is another one."""

    value: float
    samples: int
    interval: Interval | None
    off: float | None = None


def scored(name: str, metric: Metric, samples: int) -> Scored | None:
    """What the metric called `name` is; `samples` are its own where the record has no scores of single ones.

    `None` where there is no value.
    """
    if metric.value is None:
        return None
    known = [score for score in metric.per_sample if score is not None]
    if name not in _MEANS or not known:
        count = len(known) or samples
        return Scored(metric.value, count, _recorded(name, metric, count))
    value = fmean(known)
    # Rounding to three decimals is no contradiction.
    off = None if math.isclose(value, metric.value, rel_tol=0, abs_tol=0.0006) else metric.value
    return Scored(value, len(known), _of_samples(name, metric, known, value), off)


def why_impossible(name: str, metric: Metric) -> Reason | None:
    """Why the numbers are none of this metric: they lie outside of what it can be, as percent do."""
    low, high = _WITHIN[name]
    known = [score for score in metric.per_sample if score is not None]
    numbers = known if known and name in _MEANS else [metric.value] if metric.value is not None else []
    beyond = next((number for number in numbers if not low - 1e-9 <= number <= high + 1e-9), None)
    if beyond is None:
        return None
    return Reason.of("impossible_score", metric=name, value=beyond, low=low, high=high)


def why_no_interval(name: str, metric: Metric, samples: int) -> Reason:
    """Why a metric with a value has none."""
    if samples < FEWEST_SAMPLES:
        return Reason.of("no_interval_of_one_sample")
    if metric.interval is None and len(set(metric.per_sample)) == 1:
        return Reason.of("no_interval_all_alike")
    return Reason.of("interval_not_recorded", metric=name)


def _recorded(name: str, metric: Metric, samples: int) -> Interval | None:
    """The record's own, where it is one of its value; of a share its number of samples tells it."""
    assert metric.value is not None
    if name in SHARES and samples >= FEWEST_SAMPLES:
        return wilson(metric.value, samples)
    found = interval_of(name, metric)
    return found if found is not None and found.low <= metric.value <= found.high else None


def _of_samples(name: str, metric: Metric, known: Sequence[float], value: float) -> Interval | None:
    if len(known) < FEWEST_SAMPLES:
        return None
    if name in SHARES:
        return wilson(value, len(known))
    found = interval_of(name, metric)
    normal = _NORMAL * pstdev(known) / math.sqrt(len(known))
    if found is not None and found.low <= value <= found.high and abs(found.half_width - normal) <= _ODD * normal:
        return found
    made = mean_metric(known, span=_MEANS[name])
    return interval_of(name, made)
