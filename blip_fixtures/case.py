"""Case: one point of a sweep, its id and its configuration hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

DATASETS = ("textvqa", "coco", "scienceqa")
# The checkpoint's own weights, or synthetic ones.
WEIGHTS = (TRAINED, RANDOM) = ("checkpoint", "random")
# What becomes of a row that is no good.
DATA_ERRORS = (FAIL, SKIP, CONVERT) = ("fail", "skip", "convert")
# What a case is measured for; the latency always.
PASSES = (LATENCY, PHASES, QUALITY, ENERGY, MEMORY, FLOPS, LIMIT) = (
    "latency",
    "phases",
    "quality",
    "energy",
    "memory",
    "flops",
    "limit",
)
PRESETS = ("paper", "lmms-eval", "seed")
AXES = ("dataset", "device", "optimization", "batch_size", "image_size", "sequence_length")

# The mark of a benchmark that runs on each device, not on the primary one alone.
EVERY_DEVICE = "every_device"
_FIXTURES_OF_A_BENCHMARK = {"measure", "case", *AXES}


def is_benchmark(item: pytest.Item | pytest.Metafunc) -> bool:
    """Whether the item asks for the suite's `measure`.

    The axes that `measure` pulls in are asked for as well, since another suite may have a `measure` of its own.
    """
    return _FIXTURES_OF_A_BENCHMARK.issubset(getattr(item, "fixturenames", ()))


def axis_id(axis: str, value: object) -> str:
    """How a value of an axis stands in a test id.

    Numbers are padded with zeros, because `-k batch1` would otherwise match `batch16` too.
    """
    if axis == "batch_size" and isinstance(value, int):
        return f"batch{value:02d}"
    if axis == "image_size" and isinstance(value, int):
        return f"image{value:04d}"
    if axis == "sequence_length" and isinstance(value, int):
        return f"seq{value:03d}"
    return str(value)


def checkpoint_name(model: str) -> str:
    """The part of a checkpoint's name behind the last ``/``: the folder that a run writes to."""
    name = PurePosixPath(model).name
    return name if name not in ("", "..") else Path(model).resolve().name


@dataclass(frozen=True)
class Case:
    """One point of a sweep. `model` is what `--blip-model` names, `device` a torch device: ``cpu``, ``cuda:0``."""

    model: str
    weights: str
    dataset: str
    device: str
    optimization: str
    batch_size: int
    image_size: int
    sequence_length: int
    prompts: str

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise ValueError(f"unknown dataset {self.dataset!r}; the suite knows {', '.join(DATASETS)}")
        for axis in ("batch_size", "image_size", "sequence_length"):
            value = getattr(self, axis)
            if type(value) is not int or value < 1:
                raise ValueError(f"{axis} must be a whole number of at least 1, not {value!r}")

    @property
    def id(self) -> str:
        """For example ``textvqa-cpu-fp16-batch01-image0224-seq200``: the test id of the case."""
        return "-".join(axis_id(axis, getattr(self, axis)) for axis in AXES)

    def config_hash(self, settings: Mapping[str, Any]) -> str:
        """The first 16 hex digits of a SHA-256 over the case and everything else that makes two records comparable."""
        text = json.dumps({"case": asdict(self), "settings": dict(settings)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
