"""Will it fit across several cards? Each must have room for its own part of the model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from blip_fixtures.case import JOINS
from blip_fixtures.engine.fit import Need, fitting_instead, said_of
from blip_fixtures.families.placing import bytes_on, pieces_of
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from blip_fixtures.engine.fit import Estimator, Size


class Across:
    """Needs of one architecture in one dtype on cards whose memory is as `shares`, the first one's first."""

    def __init__(self, estimator: Estimator, shares: Sequence[float]) -> None:
        self._estimator = estimator
        family = estimator.family
        lists = family.block_lists()
        pieces, placed = pieces_of(estimator.model, lists), family.device_map(estimator.model, shares)
        self.weights = bytes_on(pieces, placed, len(shares))
        cached = [card for path, card in placed.items() if path.startswith(f"{lists[-1]}.")]
        self._cached = [cached.count(card) / len(cached) for card in range(len(shares))]
        self._parts = [
            {family.part_of(path) for path, card in placed.items() if card == number} for number in range(len(shares))
        ]

    def needs(self, size: Size) -> list[Need]:
        """Of each card: its weights, its part of the cache, and the activations of the largest phase that it works in.

        On the first the inputs and results of all phases lie. Each is an upper limit: of a phase that two cards share
        each is taken to hold all that is alive in it. Raises `ValueError` as `Estimator.need` does.
        """
        whole, live = self._estimator.need(size), self._estimator.activations(size)
        return [
            Need(
                weights,
                max((count for part, count in live.items() if number == 0 or part in parts), default=0),
                round(share * whole.cache),
            )
            for number, (weights, share, parts) in enumerate(zip(self.weights, self._cached, self._parts, strict=True))
        ]


def why_too_large_across(
    size: Size,
    optimization: str,
    free: Mapping[str, int],
    shares: Sequence[float],
    estimators: Mapping[str, Callable[[], Estimator]],
) -> Reason | None:
    """Why a case of `size` does not fit across cards that have so many bytes `free`, and what would; else `None`.

    The card that lacks the most is named. `estimators` is as for `why_too_large`.
    """
    across = cache(lambda name: Across(estimators[name](), shares))

    def lacking(name: str, other: Size) -> Iterator[tuple[int, str, Need]]:
        for need, (card, left) in zip(across(name).needs(other), free.items(), strict=True):
            if need.total > left:
                yield need.total - left, card, need

    def fits(name: str, other: Size) -> bool:
        # Its weights are known at once.
        light = all(weights <= left for weights, left in zip(across(name).weights, free.values(), strict=True))
        return light and not any(lacking(name, other))

    found = list(lacking(optimization, size))
    if not found:
        return None
    _, card, need = max(found, key=lambda each: each[0])
    said = {"card": card, "device": JOINS.join(free), **said_of(size, optimization, need, free[card])}
    fitting = fitting_instead(size, optimization, estimators, fits)
    if not fitting:
        return Reason.of("too_large_for_any_card", **said)
    return Reason.of("too_large_for_card", **said, fitting=" or ".join(fitting))


def cards_that_fit(
    estimator: Estimator, size: Size, card: str, free: Mapping[str, int], shares: Mapping[str, float]
) -> str | None:
    """The fewest cards that hold such a case together, `card` first and then as they are numbered; `None` for none."""
    ordered = [card, *(other for other in free if other != card)]
    for count in range(2, len(ordered) + 1):
        taken = ordered[:count]
        needs = Across(estimator, [shares[each] for each in taken]).needs(size)
        if all(need.total <= free[each] for need, each in zip(needs, taken, strict=True)):
            return JOINS.join(taken)
    return None
