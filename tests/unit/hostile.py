"""One text that tries everything, and a walk that puts it everywhere."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tools.faults.hostile_records import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HOSTILE", "texts_of", "with_value"]


def texts_of(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all texts within a value as JSON has it."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from texts_of(value, (*path, name))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from texts_of(value, (*path, index))
    elif isinstance(part, str):
        yield path


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with one place changed."""
    changed = copy.deepcopy(document)
    part = changed
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return changed
