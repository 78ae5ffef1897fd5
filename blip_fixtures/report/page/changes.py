"""Where a series of processes changed its level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fewer say too little of the spread between processes.
FEWEST_RUNS = 10
# A stretch has at least so many processes: one that is odd is no change.
LEAST_STRETCH = 3
# The price of a change, in units of log(n) x variance. Of 1,000 series of noise alone 7 % show one with 10 runs, 3 %
# with 20 and 1 % with 40; a step of five times the spread is found in its place in 92 % with 10 runs, 99.9 % with 20.
_PRICE = 5.0
# Of a normal distribution the standard deviation over the median of absolute deviations.
_NORMAL = 1.4826
NO_LIBRARY, TOO_FEW, NOT_POSITIVE = "no_library", "too_few", "not_positive"


@dataclass(frozen=True)
class Changes:
    """The first place of each new level, in order; or `why` nobody looked."""

    places: tuple[int, ...] = ()
    why: str | None = None


def find_changes(values: Sequence[float]) -> Changes:
    """Of at least `FEWEST_RUNS` values, by PELT on their logarithms (Killick, Fearnhead and Eckley 2012).

    The spread is that of the differences between neighbours, so that a change does not hide itself in it. Without the
    extra ``history`` nobody looks.
    """
    if len(values) < FEWEST_RUNS:
        return Changes(why=TOO_FEW)
    if min(values) <= 0:
        return Changes(why=NOT_POSITIVE)
    try:
        import ruptures
    except ImportError:
        return Changes(why=NO_LIBRARY)
    logarithms = np.log(np.array(values, dtype=float))
    spread = _spread(logarithms)
    if spread == 0:
        return Changes(_steps(logarithms))
    signal = (_without_odd_ones(logarithms) / spread).reshape(-1, 1)
    found = (
        ruptures.Pelt(model="l2", min_size=LEAST_STRETCH, jump=1).fit(signal).predict(_PRICE * math.log(len(values)))
    )
    return Changes(tuple(int(place) for place in found[:-1]))


def _without_odd_ones(logarithms: Any) -> Any:
    """The middle one of each value and its neighbours: a step stays in its place, a value that is odd alone goes."""
    inner = np.median(np.stack([logarithms[:-2], logarithms[1:-1], logarithms[2:]]), axis=0)
    return np.concatenate([logarithms[:1], inner, logarithms[-1:]])


def _spread(logarithms: Any) -> float:
    differences = np.diff(logarithms)
    deviation = float(np.median(np.abs(differences - np.median(differences))))
    return _NORMAL * deviation / math.sqrt(2)


def _steps(logarithms: Any) -> tuple[int, ...]:
    """Of values that mostly do not vary at all, such as FLOPs: wherever they do, and stay."""
    moved = [int(place) + 1 for place in np.flatnonzero(np.diff(logarithms))]
    ends = [*moved[1:], len(logarithms)]
    return tuple(first for first, end in zip(moved, ends, strict=False) if end - first >= LEAST_STRETCH)
