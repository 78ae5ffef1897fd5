"""The metrics of the gate. One row is one metric, in `rows.py`; `register_metric` adds one from outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blip_fixtures.gate.metrics.metric import BYTES, JOULES, OPERATIONS, SCORE, SECONDS, Metric, Unit
from blip_fixtures.gate.metrics.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BYTES",
    "JOULES",
    "OPERATIONS",
    "SCORE",
    "SECONDS",
    "Metric",
    "Unit",
    "find_metric",
    "metric_names",
    "register_metric",
]

_METRICS = {metric.name: metric for metric in ROWS}


def find_metric(name: str) -> Metric:
    """The metric of that name. Raises `LookupError`."""
    if name not in _METRICS:
        raise LookupError(f"the gate has no metric {name!r}; it has {', '.join(_METRICS)}")
    return _METRICS[name]


def metric_names() -> tuple[str, ...]:
    """All of them, in the order in which they are judged."""
    return tuple(_METRICS)


def register_metric(metric: Metric) -> Callable[[], None]:
    """A metric of one's own, behind the others; call what is returned to remove it again.

    Raises `ValueError` for a name that is taken, or that cannot stand in a rule.
    """
    if re.fullmatch(r"[A-Za-z]\w*", metric.name) is None:
        raise ValueError(f"{metric.name!r} cannot stand in METRIC:LIMIT; name the metric with letters, digits and _")
    if metric.name in _METRICS:
        raise ValueError(f"the gate has a metric {metric.name} already; give yours another name")
    _METRICS[metric.name] = metric

    def remove() -> None:
        del _METRICS[metric.name]

    return remove
