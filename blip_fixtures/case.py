"""Case: one point of a sweep, and its id; and how many tokens an answer may have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from blip_fixtures.bounds import MOST_OF_AXIS
from blip_fixtures.words import Weights

# The tables of data/prompts.toml, named here for help texts without reading it.
PRESETS = ("paper", "published", "lmms-eval", "seed")
# Rounds of a case where nobody says otherwise.
DEFAULT_WARMUP_ROUNDS = 2
MIN_ROUNDS = 10
AXES = ("dataset", "device", "optimization", "batch_size", "image_size", "sequence_length")
COUNTED_AXES = ("batch_size", "image_size", "sequence_length")
# Between cards that hold one model together.
JOINS = "+"


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


def cards_of(device: str) -> tuple[str, ...]:
    """The torch devices that a device consists of, the one that takes the inputs first.

    ``cuda:0+cuda:1`` is two cards with one model across them; every other device is one.
    """
    return tuple(device.split(JOINS))


def kind_of(device: str) -> str:
    """``cpu`` or ``cuda``: of a torch device (``cuda:0``), and of one of a cluster (``cuda@H100``)."""
    return device.partition("@")[0].partition(":")[0]


def checkpoint_name(model: str) -> str:
    """The part of a checkpoint's name after the last ``/``: the folder that a run writes to."""
    name = PurePosixPath(model).name
    return name if name not in ("", "..") else Path(model).resolve().name


@dataclass(frozen=True)
class NewTokens:
    """The upper bound of generated tokens; `fixed` makes every row of a batch generate exactly `limit`."""

    limit: int = 50
    fixed: bool = False

    def __str__(self) -> str:
        return f"fixed:{self.limit}" if self.fixed else str(self.limit)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One point of a sweep. `model` is what `--blip-model` names.

    `device` is a torch device, ``cpu`` or ``cuda:0``, several cards with the model across them, ``cuda:0+cuda:1``, or a
    device of a cluster, ``cuda@H100``.

    Raises `ValueError` for a count below one, or far above what any machine could measure.
    """

    model: str
    dataset: str
    device: str
    optimization: str
    batch_size: int
    image_size: int
    sequence_length: int
    weights: Weights = Weights.TRAINED
    prompts: str = PRESETS[0]

    def __post_init__(self) -> None:
        for axis in COUNTED_AXES:
            value = getattr(self, axis)
            if type(value) is not int or value < 1:
                raise ValueError(f"{axis} must be a whole number of at least 1, not {value!r}")
            if value > MOST_OF_AXIS[axis]:
                raise ValueError(f"{axis} must be a whole number of at most {MOST_OF_AXIS[axis]:,}")

    @property
    def id(self) -> str:
        """For example ``textvqa-cpu-fp16-batch01-image0224-seq200``: the test id of the case."""
        return "-".join(axis_id(axis, getattr(self, axis)) for axis in AXES)
