"""Published scores of checkpoints: the table `published.toml` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from blip_fixtures.case import checkpoint_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Source:
    """Where a score was read: what it is, and its address."""

    text: str
    url: str


@dataclass(frozen=True)
class Split:
    """The part of a dataset that a score is of.

    `others` are repositories whose rows are of another split, and its name: records of older releases name the
    repository alone. `also` are what others call the split.
    """

    name: str
    samples: int
    also: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """All that a record may call it."""
        return self.name, *self.also


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score as its source prints it. `is_single` says that no second place was found that prints it.

    `kinds` are those of the checkpoint's family, for which a protocol may differ (`words.FamilyKind`).
    """

    model: str
    dataset: str
    metric: str
    split: Split
    score: float
    sources: tuple[Source, ...]
    scale: float = 100.0
    decimals: int = 1
    image_size: int = 224
    kinds: tuple[str, ...] = ()
    is_single: bool = False

    @property
    def value(self) -> float:
        """It in the units of a record: 0.704, or a CIDEr of 1.458."""
        return self.score / self.scale

    @property
    def half_unit(self) -> float:
        """What rounding may have hidden, in the same units."""
        return 0.5 * 10.0**-self.decimals / self.scale

    def show(self, value: float) -> str:
        """A value of a record as the source would print it."""
        return f"{value * self.scale:.{self.decimals}f}"


def scores_of(model: str) -> tuple[Score, ...]:
    """Those of the checkpoint called `model`; a folder is known by the last part of its name."""
    name = checkpoint_name(model)
    return tuple(score for score in _scores() if checkpoint_name(score.model) == name)


def published_models() -> tuple[str, ...]:
    """The checkpoints that have a score."""
    return tuple(dict.fromkeys(score.model for score in _scores()))


@cache
def _scores() -> tuple[Score, ...]:
    table = tomllib.loads(files("blip_fixtures.quality").joinpath("published.toml").read_text(encoding="utf-8"))
    sources = {name: Source(**entry) for name, entry in table["sources"].items()}
    splits = {
        dataset: Split(**{**entry, "also": tuple(entry.get("also", ()))}) for dataset, entry in table["splits"].items()
    }
    return tuple(
        Score(
            **{name: value for name, value in entry.items() if name not in ("sources", "single")},
            kinds=tuple(table["kinds"][entry["model"]]),
            split=splits[entry["dataset"]],
            sources=tuple(sources[name] for name in entry["sources"]),
            is_single=entry.get("single", False),
        )
        for entry in table["scores"]
    )
