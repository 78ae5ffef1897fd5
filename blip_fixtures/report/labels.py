"""The names that the values of a case have in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.case import kind_of
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.optimizations import optimization_label

if TYPE_CHECKING:
    from blip_fixtures.record import CaseFields

DEVICE_KINDS = {"cuda": "GPU", "cpu": "CPU"}


def device_kind(device: str) -> str:
    """``GPU`` for ``cuda:0`` and ``cuda@H100``, ``CPU`` for ``cpu``, another torch device type in capitals."""
    kind = kind_of(device)
    return DEVICE_KINDS.get(kind, kind.upper())


def device_rank(device: str) -> tuple[int, str]:
    """Sorts GPUs first, then CPUs, then the rest."""
    kind = kind_of(device)
    order = list(DEVICE_KINDS)
    return (order.index(kind) if kind in order else len(order), device)


def dataset_label(dataset: str) -> str:
    """``TextVQA``; a dataset that the suite does not know is called what its records call it."""
    return find_dataset(dataset).label if dataset in dataset_names() else dataset


def dataset_rank(dataset: str) -> tuple[int, str]:
    """Sorts datasets as the suite lists them, and those that it does not know behind them by name."""
    names = dataset_names()
    return (names.index(dataset) if dataset in names else len(names), dataset)


def axis_value(case: CaseFields, axis: str, device_label: str) -> str:
    """What a table cell says for one axis of a case."""
    if axis == "device":
        return device_label
    if axis == "dataset":
        return dataset_label(case.dataset)
    if axis == "optimization":
        return optimization_label(case.optimization)
    return str(getattr(case, axis))
