"""Which tests are benchmarks, and what a person may have meant by an expression that selects none of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blip_fixtures.case import AXES, kind_of
from blip_fixtures.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

# The mark of a benchmark that runs on each device, not on the primary one alone.
EVERY_DEVICE = "every_device"
# The mark of a value that belongs to a sweep on one kind of device alone: ``cuda``, ``cpu``.
ONLY_ON = "only_on"
_KINDS = {"cpu", "cuda"}
_FIXTURES_OF_A_BENCHMARK = {"measure", "case", *AXES}
_OPERATORS = {"and", "or", "not"}


def is_benchmark(item: pytest.Item | pytest.Metafunc) -> bool:
    """Whether the item asks for the suite's `measure`.

    The axes that `measure` pulls in are asked for as well, since another suite may have a `measure` of its own.
    """
    return _FIXTURES_OF_A_BENCHMARK.issubset(getattr(item, "fixturenames", ()))


def sweep_of(item: pytest.Function) -> str:
    """The sweep that a benchmark belongs to: the name of its test without ``test_``."""
    return item.originalname.removeprefix("test_")


def out_of_place(item: pytest.Item) -> bool:
    """Whether the benchmark has a value that its device's kind is not marked for.

    A `device` of the user's own may have a parameter that names no device: such a benchmark stays.
    """
    if not is_benchmark(item) or not hasattr(item, "callspec"):
        return False
    kind = kind_of(str(item.callspec.params.get("device", "")))
    return kind in _KINDS and any(kind not in mark.args for mark in item.iter_markers(ONLY_ON))


def left_out(elsewhere: Sequence[pytest.Item]) -> list[str]:
    """One line on the benchmarks that are `out_of_place`, if there are any."""
    if not elsewhere:
        return []
    marks = [mark for item in elsewhere for mark in item.iter_markers(ONLY_ON)]
    kinds = " or ".join(dict.fromkeys(str(kind) for mark in marks for kind in mark.args))
    count = "1 benchmark is" if len(elsewhere) == 1 else f"{len(elsewhere)} benchmarks are"
    return [
        f"{count} for {kinds} alone and left out; choose such a device with --blip-device, or measure a value here all "
        "the same with --blip-also"
    ]


def why_none(option: str, expression: str, benchmarks: Sequence[pytest.Item]) -> str:
    """That `expression` selects none of the benchmarks, and what was meant by a word that is in no id, or no mark."""
    if option == "-m":
        names = [[mark.name for mark in item.iter_markers()] for item in benchmarks]
        example = f"their marks are {', '.join(dict.fromkeys(name for each in names for name in each))}"
    else:
        names = [_words(item.nodeid.lower()) for item in benchmarks]
        example = f"ids are such as {benchmarks[0].nodeid}"
    words = [word for word in re.findall(r"[\w.+:-]+", expression.lower()) if word not in _OPERATORS]
    known = dict.fromkeys(name for each in names for name in each if name)

    def is_there(word: str) -> bool:
        """A mark goes by its whole name, an id by any part of it."""
        return word in known if option == "-m" else any(word in name for name in known)

    hints = [did_you_mean(word, known) for word in words if not is_there(word)]
    hint = next(filter(None, hints), f"; {example}")
    return f"{option} {expression!r} selects none of the {len(benchmarks)} benchmarks{hint}"


def _words(node_id: str) -> list[str]:
    """``textvqa``, ``batch01`` and so on, and the name of the test."""
    path, _, rest = node_id.partition("::")
    test, _, params = rest.partition("[")
    return [*re.split(r"[-\]]", params), test, path.rpartition("/")[2].removesuffix(".py")]
