"""The names that axis values, sweeps and cases have in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.case import DATASETS

if TYPE_CHECKING:
    from blip_fixtures.record import CaseFields

DEVICE_KINDS = {"cuda": "GPU", "cpu": "CPU"}
DATASET_LABELS = {"coco": "COCO", "scienceqa": "ScienceQA", "textvqa": "TextVQA"}
OPTIMIZATION_LABELS = {"compile": "Compile", "flash_attention_2": "Flash Attention 2"}

SWEEP_TITLES = {
    "device": "Device Tests",
    "batch_size": "Batch Tests",
    "image_size": "Image Size Tests",
    "sequence_length": "Sequence Length Tests",
    "optimization": "Optimization Tests",
}
SWEEP_HEADERS = {
    "device": "Device",
    "batch_size": "batch_size",
    "image_size": "image_size",
    "sequence_length": "Sequence Len",
    "optimization": "Optimization",
}
# The axes above each table as the document writes them, its uneven blanks included.
HELD_LINES: dict[str, tuple[tuple[str, str], ...]] = {
    "device": (
        ("Dataset: ", "dataset"),
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
    ),
    "batch_size": (
        ("Dataset: ", "dataset"),
        ("ImgSize: ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    "image_size": (
        ("BatchSize: ", "batch_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    "sequence_length": (
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    "optimization": (
        ("Dataset: ", "dataset"),
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Device: ", "device"),
    ),
}


def device_kind(device: str) -> str:
    """``GPU`` for ``cuda:0``, ``CPU`` for ``cpu``, another torch device type in capitals."""
    kind = device.partition(":")[0]
    return DEVICE_KINDS.get(kind, kind.upper())


def device_rank(device: str) -> tuple[int, str]:
    """Sorts GPUs first, then CPUs, then the rest."""
    kind = device.partition(":")[0]
    order = list(DEVICE_KINDS)
    return (order.index(kind) if kind in order else len(order), device)


def optimization_label(optimization: str) -> str:
    """``Flash Attention 2`` for ``flash_attention_2``; the parts of a combination stay joined by ``+``."""
    return "+".join(OPTIMIZATION_LABELS.get(part, part) for part in optimization.split("+"))


def dataset_rank(dataset: str) -> int:
    """Sorts datasets as the suite lists them."""
    return DATASETS.index(dataset)


def sweep_title(sweep: str) -> str:
    """A heading: the five sweeps have their own, a user's sweep ``beam_width`` becomes ``Beam Width Tests``."""
    return SWEEP_TITLES.get(sweep, f"{sweep.replace('_', ' ').strip().title()} Tests")


def axis_value(case: CaseFields, axis: str, device_label: str) -> str:
    """What a table cell says for one axis of a case."""
    if axis == "device":
        return device_label
    if axis == "dataset":
        return DATASET_LABELS[case["dataset"]]
    if axis == "optimization":
        return optimization_label(case["optimization"])
    return str(case[axis])  # type: ignore[literal-required]
