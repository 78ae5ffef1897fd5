"""What a file of pytest-benchmark holds beside the records, as far as anybody reads it.

What pytest-benchmark itself writes is its own and passed over; the part ``blip`` is the suite's.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from blip_fixtures.record.units import Key, Text, Word

MOST_CASES = 100_000
_Arguments = Annotated[tuple[Text, ...], Meta(max_length=MOST_CASES)]


class Selected(msgspec.Struct, frozen=True):
    """What a run was asked for, as far as its file knows: pytest's arguments, and its ``-k`` and ``-m``."""

    arguments: _Arguments = ()
    keyword: Text = ""
    marks: Text = ""


class GateFacts(msgspec.Struct, frozen=True):
    """What the gate said of the run, or pytest-benchmark's own comparison (`by`)."""

    regressed: bool = False
    accepted: bool = False
    rejected: bool = False
    refusal: Text | None = None
    by: Text | None = None


class Beside(msgspec.Struct, frozen=True):
    """The part ``blip``: records that pytest-benchmark does not list, and facts about the run.

    `not_run` are those of cases that did not run to their end, `untimed` those of cases that ran and were not timed,
    `again` those of second timings, `processes` those of further processes; each is a record of its own and checked as
    one. `order` are the ids of the cases in the order of the run. `interrupted` says that the run was broken off, so
    that cases are missing which it would have measured; `planned` is how many it had then. `resumed` are the ids of
    cases that an earlier process of the run had finished.
    """

    not_run: Annotated[tuple[Any, ...], Meta(max_length=MOST_CASES)] | None = None
    untimed: Annotated[tuple[Any, ...], Meta(max_length=MOST_CASES)] | None = None
    again: Annotated[tuple[Any, ...], Meta(max_length=MOST_CASES)] | None = None
    processes: Annotated[tuple[Any, ...], Meta(max_length=MOST_CASES)] | None = None
    order: Annotated[tuple[Word, ...], Meta(max_length=MOST_CASES)] | None = None
    selected: Selected | None = None
    gate: GateFacts | None = None
    interrupted: bool = False
    planned: Annotated[int, Meta(ge=0, le=MOST_CASES)] | None = None
    resumed: Annotated[tuple[Word, ...], Meta(max_length=MOST_CASES)] = ()


class _ExtraInfo(msgspec.Struct, frozen=True):
    blip: Any = None


class Benchmark(msgspec.Struct, frozen=True):
    """One benchmark of the list; `fullname` is the pytest id of its test."""

    fullname: Key = ""
    extra_info: _ExtraInfo | None = None

    @property
    def record(self) -> Any:
        """The record that it carries, unchecked; `None` for a benchmark of another suite."""
        return None if self.extra_info is None else self.extra_info.blip


class Document(msgspec.Struct, frozen=True):
    """A file of pytest-benchmark."""

    benchmarks: Annotated[tuple[Benchmark, ...], Meta(max_length=MOST_CASES)] = ()
    blip: Beside = Beside()
