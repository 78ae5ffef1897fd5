"""What a row of the gate says of a metric, and the units of its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from blip_fixtures import formats
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blip_fixtures.gate.doubts import Doubt
    from blip_fixtures.gate.findings import Finding
    from blip_fixtures.gate.matching import Pair
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.spreads import KnownSpread
    from blip_fixtures.record import Record
    from blip_fixtures.words import PassName


@dataclass(frozen=True)
class Unit:
    """The units in which an absolute limit may stand, in those of the records, and how people see a number.

    `example` is that of a rule, with ``{name}`` for the metric's name. Of a score limits and changes are points, and
    never shares of the baseline.
    """

    limits: Mapping[str, float]
    example: str
    show: Callable[[float], str]
    is_score: bool = False

    @property
    def takes(self) -> str:
        """What a limit may stand in, for a message."""
        return "points, without a unit" if self.is_score else ", ".join((*self.limits, "%"))


def _seconds(value: float) -> str:
    return f"{formats.significant(value, 4)} s" if value >= 1 else f"{formats.milliseconds(value)} ms"


SECONDS = Unit({"us": 1e-6, "ms": 1e-3, "s": 1.0}, "{name}:10% or {name}:5ms", _seconds)
JOULES = Unit(
    {"mJ": 1e-3, "J": 1.0, "kJ": 1e3},
    "{name}:10% or {name}:0.5J",
    lambda value: f"{formats.significant(value, 4)} J",
)
BYTES = Unit(
    {
        "B": 1.0,
        "kB": 1e3,
        "KB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
    "{name}:5% or {name}:200MB",
    lambda value: f"{formats.mebibytes(value)} MiB",
)
OPERATIONS = Unit({"M": 1e6, "G": 1e9, "T": 1e12}, "{name}:0% or {name}:1G", formats.flops)
# A score of 0.42 is 42 points.
SCORE = Unit({"": 1e-2}, "{name}:1 (points)", lambda value: formats.fixed(value, 3), is_score=True)


class Judged(Protocol):
    """How a metric is judged on one case: one finding, or one for each part of the metric."""

    def __call__(self, metric: Metric, pair: Pair, rule: Rule, known: KnownSpread, /) -> list[Finding]:
        """The verdicts; `known` is what earlier runs say of the spread between processes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the gate: ``NAME:LIMIT``.

    `read` gives its number in a record, in the record's units, or `None`; where it has several parts, that of the part
    which tells whether there is one at all. `measured_by` is the pass without which there is none. `why` replaces the
    reason that stands under the record's `missing`.

    For a metric that varies from process to process: `calibrated` gives (batches,) logarithms of rounds over the
    reference products before them, `doubt` why the number of one process cannot be judged (it is told what a reference
    product usually takes, in seconds), `error_bound` the share of the number by which a reading may be wrong.
    `is_judged_together` adds one comparison of all cases as one; `is_once_a_load` leaves it at the first case of each
    device and optimization, whose cases share one load of the model.
    """

    name: str
    unit: Unit
    read: Callable[[Record], float | None]
    judged: Judged
    measured_by: PassName | None = None
    why: Callable[[Record], str] | None = None
    calibrated: Callable[[Record], Any] | None = None
    doubt: Callable[[Record, float | None], Doubt | None] | None = None
    error_bound: Callable[[Record], float] | None = None
    is_judged_together: bool = False
    is_once_a_load: bool = False

    @property
    def example(self) -> str:
        """Rules that may be written."""
        return self.unit.example.format(name=self.name)

    def has_number(self, record: Record) -> bool:
        """Whether the record has a number for the metric."""
        return self.read(record) is not None

    def why_missing(self, record: Record) -> str:
        """The record's own reason for a number that it does not have, in English."""
        if self.why is not None:
            return self.why(record)
        part = self.measured_by or self.name
        # A number without an interval is there all the same.
        reasons = [
            reason
            for field, reason in record.missing.items()
            if field.partition(".")[0] == part and not field.endswith(".interval")
        ]
        return (reasons[0] if reasons else Reason.of("no_such_number")).say()

    def logarithms(self, record: Record) -> Any:
        """(batches,) of a record that has a number; one for a metric that has one for a process."""
        if self.calibrated is not None:
            return self.calibrated(record)
        value = self.read(record)
        assert value is not None
        return np.array([math.log(value) if value > 0 else -math.inf])
