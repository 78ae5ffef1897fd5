"""Where a row stands: errors name its file and its number, also those of a picture that is decoded long after."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.data.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image


class RowError(ValueError):
    """A row that is no sample, or whose picture cannot be used; the message begins with its file and number."""


@dataclass(frozen=True)
class Places:
    """Which row of which file a row's number stands for."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]

    def name(self, number: int) -> str:
        """The file and the row in it."""
        starts = [0, *itertools.accumulate(self.counts)]
        file = bisect.bisect_right(starts, number) - 1
        return f"{self.paths[file]}, row {number - starts[file]} (counted from 0)"


@dataclass(frozen=True)
class PlacedImage:
    """What decodes the picture of row `number`."""

    open_image: Callable[[], Image]
    places: Places
    number: int

    def __call__(self) -> Image:
        """The picture. Raises `RowError`."""
        try:
            return self.open_image()
        except ImageError as error:
            raise RowError(f"{self.places.name(self.number)}: {error}") from error
