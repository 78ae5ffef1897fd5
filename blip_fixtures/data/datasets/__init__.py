"""The datasets that the suite knows: one file each, and those that somebody registered.

This package is read while cases are put together and documents are written, so that it loads no other library.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from blip_fixtures.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.data.datasets.base import Dataset

# The files beside this one, in the order in which the suite lists its datasets.
_OWN = ("textvqa", "coco", "scienceqa")
_ADDED: dict[str, Dataset] = {}


def dataset_names() -> tuple[str, ...]:
    """The suite's datasets in its order, then those from outside."""
    return (*_OWN, *_ADDED)


def find_dataset(name: str) -> Dataset:
    """The dataset called `name`. Raises `ValueError` where there is none."""
    if name in _ADDED:
        return _ADDED[name]
    if name not in _OWN:
        known = dataset_names()
        raise ValueError(f"unknown dataset {name!r}; the suite knows {', '.join(known)}{did_you_mean(name, known)}")
    found: Dataset = import_module(f"{__name__}.{name}").DATASET
    return found


def register_dataset(dataset: Dataset) -> Callable[[], None]:
    """Make a dataset from outside the package known, from a `conftest.py` for example; what comes back undoes it.

    Raises `ValueError` where the name is taken.
    """
    if dataset.name in dataset_names():
        raise ValueError(f"the dataset {dataset.name!r} is known already; give yours another name")
    _ADDED[dataset.name] = dataset
    return partial(_forget, dataset.name)


def _forget(name: str) -> None:
    _ADDED.pop(name, None)
