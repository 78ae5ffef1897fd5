"""A comparison that is looked at after each pair of processes: its chance of an error is that of all looks together.

Alpha spending (Lan and DeMets 1983): of the chance of an error a function of the number of pairs says how much may be
spent by each look; bounds follow from the joint distribution of the looks (Armitage, McPherson and Rowe 1969). They
are those of a normal statistic with known spread, and are used at their nominal levels for Student's t (the
significance level approach; Jennison and Turnbull 2000, section 3.8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The chance that any comparison of unchanged code fails, and the chance that a case at its limit passes.
ALPHA, BETA = 0.05, 0.05
# One pair knows nothing of the spread.
FIRST_LOOK = 2
MOST_LOOKS = 100
# Below this chance of a decision by the last look a comparison is given up.
FUTILE = 0.05
_GRID = 401
_FARTHEST = 9.0
_NORMAL = NormalDist()


def spent_on_regressions(look: int, looks: int) -> float:
    """In equal parts (Kim and DeMets 1987, their first function): a regression is rare, and worth waiting for."""
    return look / looks


def spent_on_passes(look: int, looks: int) -> float:
    """Most of it at once, since most comparisons are of code that is as fast as before."""
    return (1 - math.pow(look, -1.5)) / (1 - math.pow(looks, -1.5))


@cache
def nominal_levels(spent: Callable[[int, int], float], chance: float, looks: int) -> tuple[float, ...]:
    """The one-sided level of each look from `FIRST_LOOK` to `looks`, so that all together err with `chance`.

    The sum of the pairs' differences is followed from look to look on a grid, without what has crossed a bound.
    """
    levels, spent_before = [], 0.0
    sums, density = np.array([0.0]), np.array([1.0])
    for look in range(FIRST_LOOK, looks + 1):
        step, scale = (look if look == FIRST_LOOK else 1), math.sqrt(look)
        reach = np.linspace(-_FARTHEST * scale, _FARTHEST * scale, 2 * _GRID)
        width = reach[1] - reach[0]
        ahead = np.exp(-((reach[:, None] - sums[None]) ** 2) / (2 * step)) @ density / math.sqrt(2 * math.pi * step)
        beyond = np.cumsum(ahead[::-1])[::-1] * width
        share = chance * spent(look, looks)
        # `beyond` falls along the grid, and is that from the middle of a cell on.
        bound = float(np.interp(-(share - spent_before), -beyond, reach - width / 2))
        levels.append(max(1 - _NORMAL.cdf(bound / scale), 1e-12))
        inside = reach < bound
        sums, density, spent_before = reach[inside], ahead[inside] * width, share
    return tuple(levels)


@dataclass(frozen=True)
class Design:
    """How a comparison of at most `looks` pairs is looked at."""

    looks: int

    def levels(self, look: int, *, of_pass: bool = False) -> float:
        """The nominal one-sided level at a look, of one comparison alone."""
        spent, chance = (spent_on_passes, BETA) if of_pass else (spent_on_regressions, ALPHA)
        return nominal_levels(spent, chance, self.looks)[min(look, self.looks) - FIRST_LOOK]

    def p(self, tail: float, look: int) -> float:
        """The chance over all looks of which `tail` is the nominal level at this one, as Holm's method takes it."""
        levels = [nominal_levels(spent_on_regressions, chance, self.looks)[look - FIRST_LOOK] for chance in _CHANCES]
        if tail >= levels[-1]:
            return min(1.0, _CHANCES[-1] * tail / levels[-1])
        # Below the grid each is taken in proportion.
        if tail <= levels[0]:
            return max(_CHANCES[0] * tail / levels[0], 1e-300)
        return math.exp(float(np.interp(math.log(tail), np.log(levels), np.log(_CHANCES))))


# Shares of `ALPHA` from one of some hundred comparisons to all of it, and beyond.
_CHANCES = tuple(float(chance) for chance in np.geomspace(1e-5, 0.4, 15))


@dataclass(frozen=True)
class Look:
    """What one look knows of a comparison: `center` is the logarithm of now over base, `spread` that of one process."""

    center: float
    spread: float
    degrees: int
    pairs: int
    design: Design

    @property
    def low(self) -> float:
        """The lower bound: beyond a limit it is a regression, taken alone."""
        return self.center - student_quantile(self.design.levels(self.pairs), self.degrees) * self.error

    @property
    def high(self) -> float:
        """The upper bound: within a limit it passes."""
        return self.center + student_quantile(self.design.levels(self.pairs, of_pass=True), self.degrees) * self.error

    def p_not_beyond(self, limit: float) -> float:
        """How likely it is over all looks that the change is not beyond `limit`."""
        error = self.error
        if error == 0:
            return 1e-300 if self.center > limit else 1.0
        return self.design.p(student_tail((self.center - limit) / error, self.degrees), self.pairs)

    def expected_pairs(self, limit: float) -> int:
        """Pairs at which it will be decided if the estimate is right, at most `design.looks`."""
        gap, is_pass = abs(self.center - limit), self.center <= limit
        for look in range(self.pairs + 1, self.design.looks):
            needed = -_NORMAL.inv_cdf(self.design.levels(look, of_pass=is_pass))
            if gap >= needed * self.error_after(look):
                return look
        return self.design.looks

    def is_futile(self, limit: float) -> bool:
        """Whether a decision by the last look is unlikely (`FUTILE`): its predictive power (Spiegelhalter 1986)."""
        last, left = self.design.looks, self.design.looks - self.pairs
        if not left or not self.spread:
            return not left
        # The estimate of the last look less that of this one, whatever the truth is.
        drift = self.spread * math.sqrt(2 / self.pairs - 2 / last)
        bounds = [
            (sign, -_NORMAL.inv_cdf(self.design.levels(last, of_pass=sign < 0)) * self.error_after(last))
            for sign in (1, -1)
        ]
        return sum(_NORMAL.cdf((sign * (self.center - limit) - far) / drift) for sign, far in bounds) < FUTILE

    def error_after(self, pairs: int) -> float:
        """The standard error of the estimate after so many pairs."""
        return self.spread * math.sqrt(2 / pairs)

    @property
    def error(self) -> float:
        """The standard error of the estimate."""
        return self.error_after(self.pairs)


def moderated(own: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """(variance, degrees of freedom) of one process, of groups of alike ones; `None` without two of a group.

    The groups of other cases count as six degrees of freedom at most (a moderated t, Smyth 2004): cases of one
    process are not independent, and one may be noisier than another.
    """
    squares, degrees = _squares(own)
    if not degrees:
        return None
    of_others, known = _squares(others)
    prior = min(known, _MOST_PRIOR)
    usual = of_others / known if known else 0.0
    return (prior * usual + squares) / (prior + degrees), prior + degrees


_MOST_PRIOR = 6


def _squares(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    many = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    return sum(float(np.sum((group - group.mean()) ** 2)) for group in many), sum(len(group) - 1 for group in many)


def student_tail(value: float, degrees: int) -> float:
    """The chance that Student's t is above `value` (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(value / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term = total = (cosine if degrees > 1 else 0.0) if is_odd else 1.0
    for number in range(3 if is_odd else 2, degrees - 1, 2):
        term *= cosine**2 * (number - 1) / number
        total += term
    within = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return min(max((1 - within) / 2, 0.0), 1.0)


@cache
def student_quantile(tail: float, degrees: int) -> float:
    """The value above which Student's t is with the chance `tail`, below a half."""
    low, high = 0.0, 1.0
    while student_tail(high, degrees) > tail and high < 1e9:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, degrees) > tail else (low, middle)
    return high
