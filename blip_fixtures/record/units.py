"""The numbers and texts of a record, each with its bounds: those of the unit, far beyond what was ever measured.

They stand in the JSON Schema too. Beyond them lies what no machine did: a reader need not show it, nor reckon with it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from blip_fixtures.bounds import MOST_ROUNDS, MOST_SAMPLES
from blip_fixtures.plain import LARGEST_WHOLE, Facts, Key, Text

__all__ = ["Key", "Text"]

# Rounds that one case may keep, and samples or batches that it may have.
# Entries of what a record has a few of: sweeps, metrics, notes.
MOST_PARTS = 1_000

Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Joules = Annotated[float, Meta(ge=0, le=1e15)]
NetJoules = Annotated[float, Meta(ge=-1e15, le=1e15)]
Watts = Annotated[float, Meta(ge=0, le=1e9)]
# FLOPs, tokens, samples: of a batch, or a second.
Amount = Annotated[float, Meta(ge=0, le=1e24)]
Ratio = Annotated[float, Meta(ge=0, le=1e15)]
Share = Annotated[float, Meta(ge=0, le=1)]
Score = Annotated[float, Meta(ge=-1e9, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=LARGEST_WHOLE)]
AtLeastOne = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
Batches = Annotated[int, Meta(ge=0, le=MOST_SAMPLES)]
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
Word = Annotated[str, Meta(max_length=1_000)]
# A checkpoint may be a folder, and the end of its path names one: no name holds a zero character.
Model = Annotated[str, Meta(min_length=1, max_length=4_096, pattern="^[^\\x00]*$")]
Rounds = Annotated[tuple[Seconds, ...], Meta(max_length=MOST_ROUNDS)]
BatchSeconds = Annotated[tuple[Seconds, ...], Meta(max_length=MOST_SAMPLES)]
Conditions = Annotated[tuple[Facts, ...], Meta(max_length=MOST_SAMPLES)]
# Of whatever there are a few of.
Few = Meta(max_length=MOST_PARTS)
