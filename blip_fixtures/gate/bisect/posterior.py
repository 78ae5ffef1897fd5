"""A binary search whose answers may be wrong: it keeps how likely each commit is, and asks where that is even.

Burnashev and Zigangirov 1974; Karp and Kleinberg 2007. With answers that cannot be wrong it is the plain one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

# How likely the commit must be.
SURE = 0.99
# What may be wrong with an answer that the gate is sure of: a machine that was busy in one side's turns only, say.
_LEAST_ERROR = 1e-3
MOST_ERROR = 0.5


@dataclass(frozen=True)
class Answer:
    """Whether a commit, by its place from 0, is worse than the good one; `error` is how likely that is wrong.

    An error of 0 is that of what is exact.
    """

    place: int
    is_bad: bool
    error: float


class Posterior:
    """How likely each of `count` commits is the first bad one; the last is known to be bad."""

    def __init__(self, count: int, answers: Iterable[Answer] = (), skipped: Iterable[int] = ()) -> None:
        self._logarithms = np.zeros(count)
        self._skipped = set(skipped)
        for answer in answers:
            self.learn(answer)

    @property
    def probabilities(self) -> list[float]:
        """Of each commit; together 1. Those of commits that nothing can tell apart are alike."""
        shares = np.exp(self._logarithms - self._logarithms.max())
        return [float(share) for share in shares / shares.sum()]

    def learn(self, answer: Answer) -> None:
        """Of a bad commit the first bad one is it or an earlier one, of a good one a later one."""
        error = answer.error if answer.error == 0 else min(max(answer.error, _LEAST_ERROR), MOST_ERROR)
        fits = (np.arange(len(self._logarithms)) <= answer.place) == answer.is_bad
        with np.errstate(divide="ignore"):
            found = self._logarithms + np.where(fits, np.log(1 - error), np.log(error))
        # Exact answers that contradict each other leave nothing; then the later one tells nothing.
        self._logarithms = found if np.isfinite(found).any() else self._logarithms

    def skip(self, place: int) -> None:
        """The commit cannot be asked."""
        self._skipped.add(place)

    def groups(self) -> list[range]:
        """Commits that can be told apart from the others, in their order: each ends with one that can be asked."""
        last = len(self._logarithms) - 1
        ends = [place for place in range(last) if place not in self._skipped]
        return [range(start + 1, end + 1) for start, end in pairwise([-1, *ends, last])]

    def likeliest(self) -> tuple[range, float]:
        """The group with the first bad commit, and how likely it is that."""
        shares = self.probabilities
        return max(
            ((group, sum(shares[place] for place in group)) for group in self.groups()), key=lambda found: found[1]
        )

    def next_place(self) -> int | None:
        """The commit whose answer splits what is open most evenly; `None` where the search is at its end."""
        if self.likeliest()[1] >= SURE:
            return None
        below = np.cumsum(self.probabilities)
        return min((group[-1] for group in self.groups()[:-1]), key=lambda place: abs(below[place] - 0.5), default=None)


def most_steps(count: int) -> int:
    """Beyond so many answers the search ends unsure: five times as many as exact ones would need, and some."""
    return 5 * max(count - 1, 1).bit_length() + 10
