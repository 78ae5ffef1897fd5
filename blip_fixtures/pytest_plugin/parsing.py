"""What the texts of options stand for. Each function raises `ValueError` with what can be given instead."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures.bounds import MOST_NEW_TOKENS, MOST_OF_AXIS, name_or_path, whole_number
from blip_fixtures.case import AXES, COUNTED_AXES, JOINS, NewTokens, cards_of
from blip_fixtures.gate.rules import ALLOWABLE
from blip_fixtures.spelling import did_you_mean
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_SECONDS = 7 * 24 * 3600
# More than machines have that share one memory of the host.
MOST_CARDS = 16
_CARD = r"cuda:(0|[1-9][0-9]{0,2})"
MOST_OF_A_PORT = 65535
# A device by a name of its machine: a label, an accelerator's type, a host.
OF_A_CLUSTER = r"(cpu|cuda)@[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
ALL_PASSES = "all"
# The device is chosen by an option of its own.
BASELINE_AXES = tuple(axis for axis in AXES if axis != "device")


def count(least: int, most: int) -> Callable[[str], int]:
    """Whole numbers within these bounds."""
    return partial(whole_number, least=least, most=most)


def seconds(text: str) -> float:
    """More than none, and at most `MOST_SECONDS`."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) or not 0 < float(text) <= MOST_SECONDS:
        raise ValueError(f"give seconds, more than 0 and at most {MOST_SECONDS} (a week)")
    return float(text)


def new_tokens(text: str) -> NewTokens:
    """``50``, or ``fixed:50``."""
    number = text.removeprefix("fixed:")
    try:
        return NewTokens(whole_number(number, 1, MOST_NEW_TOKENS), fixed=number != text)
    except ValueError:
        raise ValueError(
            "give a whole number of at least 1, or fixed:N for exactly N tokens in every row; at most "
            f"{MOST_NEW_TOKENS:,}"
        ) from None


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Choosing one of these; the word of an enum becomes its member."""
    known = {str(name): name for name in names}

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"choose one of {', '.join(known)}{did_you_mean(text, known)}")
        return known[text]

    return parse


def devices(values: list[str]) -> tuple[str, ...]:
    """Torch devices, cards joined by ``+``, or devices of a cluster, each once; or ``auto`` or ``every`` alone."""
    for value in values:
        if JOINS in value:
            _joined(value)
        elif not re.fullmatch(rf"auto|every|cpu|cuda|{_CARD}|{OF_A_CLUSTER}", value):
            hint = did_you_mean(value, ("auto", "cpu", "cuda", "every"))
            raise ValueError(
                "choose auto, cpu, cuda, cuda:N or cuda:N+cuda:M, or with --blip-ray every, cpu@LABEL or "
                f"cuda@LABEL{hint}"
            )
    for word in ("auto", "every"):
        if word in values and len(set(values)) > 1:
            raise ValueError(f"{word} stands for every device, so name either {word} or single devices")
    return tuple(dict.fromkeys(values))


def _joined(value: str) -> None:
    """Raises `ValueError` for cards that cannot hold a model together."""
    cards = cards_of(value)
    unfit = [card for card in cards if not re.fullmatch(_CARD, card)]
    if unfit:
        raise ValueError(f"only cards with their numbers are joined by +, such as cuda:0+cuda:1, and not {unfit[0]!r}")
    if len(set(cards)) < len(cards):
        raise ValueError("a card can hold its part of a model once; name different cards")
    if len(cards) > MOST_CARDS:
        raise ValueError(f"at most {MOST_CARDS} cards are joined")


def ray_address(text: str) -> str:
    """``auto``, ``local``, ``host:port`` or ``ray://host:port``."""
    address = re.fullmatch(r"(?:ray://)?(?:[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})", text, re.ASCII)
    if text not in ("auto", "local") and (address is None or not 0 < int(address[1]) <= MOST_OF_A_PORT):
        hint = did_you_mean(text, ("auto", "local"))
        raise ValueError(f"give auto, local, host:port or ray://host:port{hint}")
    return text


def _pairs(values: list[str], names: tuple[str, ...], form: str) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping, each name once."""
    chosen: dict[str, str] = {}
    for value in values:
        name, _, text = value.partition("=")
        if name not in names or not text:
            raise ValueError(f"give {form} with one of {', '.join(names)}{did_you_mean(name, names)}")
        if name in chosen:
            raise ValueError(f"{name} is given twice")
        chosen[name] = name_or_path(text)
    return chosen


def baseline(values: list[str]) -> dict[str, str | int]:
    """``AXIS=VALUE`` texts, counts as numbers."""
    chosen = _pairs(values, BASELINE_AXES, "AXIS=VALUE")
    return {axis: _counted(axis, text) if axis in COUNTED_AXES else text for axis, text in chosen.items()}


def _counted(axis: str, text: str) -> str | int:
    """A number where it is one; what else there is, and 0, the case refuses, whatever sweep it comes from."""
    if not text.isdecimal():
        return text
    try:
        return whole_number(text, 0, MOST_OF_AXIS[axis])
    except ValueError:
        raise ValueError(f"{axis} is a whole number of at least 1 and at most {MOST_OF_AXIS[axis]:,}") from None


def also(values: list[str]) -> dict[str, tuple[str | int, ...]]:
    """``AXIS=VALUE`` texts, counts as numbers: the values of each axis, each once."""
    chosen: dict[str, dict[str | int, None]] = {}
    for value in values:
        for axis, one in baseline([value]).items():
            chosen.setdefault(axis, {})[one] = None
    return {axis: tuple(found) for axis, found in chosen.items()}


def datasets(values: list[str]) -> dict[str, str]:
    """``DATASET=ID_OR_PATH`` texts."""
    if not values:
        return {}
    from blip_fixtures.data.datasets import dataset_names

    return _pairs(values, dataset_names(), "DATASET=ID_OR_PATH")


def _listed(values: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Names separated by commas, by spaces, or by both, as an ini file may have them."""
    names = tuple(name for value in values for name in re.split(r"[,\s]+", value) if name)
    for name in names or values:
        one_of(known)(name)
    return names


def conditions(values: list[str]) -> tuple[str, ...]:
    """What may differ from the baseline's run."""
    return _listed(values, ALLOWABLE)


def passes(values: list[str]) -> tuple[PassName, ...]:
    """Passes in their order."""
    names = _listed(values, (*PassName, ALL_PASSES))
    return tuple(name for name in PassName if ALL_PASSES in names or name in names)
