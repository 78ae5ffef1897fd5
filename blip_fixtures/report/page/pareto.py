"""Which cases another one beats: a claim, so it is made only where their spreads leave no doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence


@dataclass(frozen=True)
class Span:
    """A figure with the ends of its interval, which are the figure itself where nothing is known of its spread."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, low: float | None = None, high: float | None = None) -> Span:
        """The interval holds the figure, whatever a file says of it."""
        ends = [value, *(end for end in (low, high) if end is not None)]
        return cls(value, min(ends), max(ends))


@dataclass(frozen=True)
class Candidate:
    """One case on two axes. Only those with the same `group` are compared: they did the same work."""

    name: str
    group: Hashable
    x: Span
    y: Span


def dominators(
    candidates: Iterable[Candidate], *, lower_x: bool = True, lower_y: bool = False
) -> dict[str, tuple[str, ...]]:
    """By name, the candidates that dominate it; those that nothing dominates are left out.

    One dominates another when it is at least as good on both axes and clearly better on one: there the two intervals
    do not overlap. `lower_x` and `lower_y` say that less is better.
    """
    groups: dict[Hashable, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.group, []).append(candidate)
    found: dict[str, tuple[str, ...]] = {}
    for group in groups.values():
        for candidate in group:
            names = _names_of_better(candidate, group, lower_x=lower_x, lower_y=lower_y)
            if names:
                found[candidate.name] = names
    return found


def _names_of_better(
    candidate: Candidate, group: Sequence[Candidate], *, lower_x: bool, lower_y: bool
) -> tuple[str, ...]:
    return tuple(
        other.name
        for other in group
        if other is not candidate
        and _at_least_as_good(other.x, candidate.x, lower=lower_x)
        and _at_least_as_good(other.y, candidate.y, lower=lower_y)
        and (
            _clearly_better(other.x, candidate.x, lower=lower_x) or _clearly_better(other.y, candidate.y, lower=lower_y)
        )
    )


def _at_least_as_good(one: Span, other: Span, *, lower: bool) -> bool:
    return one.value <= other.value if lower else one.value >= other.value


def _clearly_better(one: Span, other: Span, *, lower: bool) -> bool:
    return one.high < other.low if lower else one.low > other.high
