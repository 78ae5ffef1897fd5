"""How much processes of one code differ: what earlier runs and both sides say of it, and so of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from blip_fixtures.gate import statistics, values
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.metrics import Metric
    from blip_fixtures.gate.sides import Key, Process
    from blip_fixtures.record import Record


class Bounded(Protocol):
    """The logarithm of now over base, and how sure it is."""

    @property
    def center(self) -> float:
        """The logarithm."""
        ...

    @property
    def spread(self) -> float | None:
        """The standard deviation of one process's logarithm, where it could be known."""
        ...

    @property
    def low(self) -> float:
        """The one-sided lower bound."""
        ...

    @property
    def high(self) -> float:
        """The one-sided upper bound."""
        ...

    def p_not_beyond(self, limit: float) -> float:
        """How likely it is that the change is not beyond `limit`."""
        ...


class KnownSpread:
    """The spread between processes, from earlier runs of the machine."""

    def __init__(self, history: Sequence[Process]) -> None:
        self._history = history

    def of(self, metric: Metric, like: Record, sides: Sequence[Sequence[Record]]) -> tuple[float | None, int]:
        """(standard deviation of the logarithm, degrees of freedom), pooled over the cases of the device.

        `sides` of more than one process count as well. (`None`, 0) where nothing is known.
        """
        levels = [*self.earlier(metric, like), *levels_of(metric, like, sides)]
        # Cases of one process are not independent, so processes count and not cases.
        return statistics.spread_of(levels), max((len(group) - 1 for group in levels), default=0)

    def earlier(self, metric: Metric, like: Record) -> list[Any]:
        """(processes,) logarithms of each case of the device, of earlier runs."""
        by_case: dict[Key, list[Record]] = {}
        for process in self._history:
            for key, record in process.records.items():
                if record.status == Status.OK and record.case.device == like.case.device:
                    by_case.setdefault(key, []).append(record)
        return levels_of(metric, like, by_case.values())

    def together(self, metric: Metric, like: Record, keys: Sequence[Key]) -> Any:
        """(processes,) the mean over these cases, of the earlier runs that have them all."""
        found = []
        for process in self._history:
            records = [process.records[key] for key in keys if key in process.records]
            records = [record for record in records if record.status == Status.OK]
            records = like_it(like, records, metric)
            if len(records) == len(keys):
                found.append(float(values.levels(metric, records).mean()))
        return np.array(found)

    # Whether one process a side may tell what is further apart than two processes of one code ever were.
    one_process_tells = True

    def estimate(self, metric: Metric, pair: Pair, base: Any, now: Any) -> Bounded | None:
        """Of one case, from the (processes, batches) of both sides; `None` where nothing is known of the spread."""
        if min(len(base), len(now)) > 1:
            return statistics.over_processes(base, now)
        spread, degrees = self.of(metric, pair.now[0], (pair.base, pair.now))
        return None if spread is None else statistics.of_known_spread(base, now, spread, degrees)

    def estimate_together(self, metric: Metric, pairs: Sequence[Pair], base: Any, now: Any) -> Bounded | None:
        """Of the mean over these cases, (processes, 1) each; `None` where nothing is known of the spread."""
        if min(len(base), len(now)) > 1:
            return statistics.over_processes(base, now)
        groups = [self.together(metric, pairs[0].now[0], [pair.key for pair in pairs]), base[:, 0], now[:, 0]]
        spread = statistics.spread_of(groups)
        if spread is None:
            return None
        return statistics.of_known_spread(base, now, spread, max(len(group) - 1 for group in groups))


def levels_of(metric: Metric, like: Record, groups: Iterable[Sequence[Record]]) -> list[Any]:
    """(processes,) logarithms of each group that has several which compare with `like`."""
    alike = [like_it(like, group, metric) for group in groups]
    return [values.levels(metric, group) for group in alike if len(group) > 1]


def like_it(like: Record, records: Iterable[Record], metric: Metric) -> list[Record]:
    """Those whose numbers can be compared with that of `like`."""
    calibrated = values.is_calibrated(metric, like)
    return [
        record
        for record in records
        if values.has_share(metric, record) and values.is_calibrated(metric, record) == calibrated
    ]
