"""How a row stands to the first one: what is told, what cannot be, and how often that is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from blip_fixtures.gate.trust import SAME_WITHIN, Trust, compared
from blip_fixtures.record import Record, Turns
from blip_fixtures.words import Mark
from tests.unit.records import make_latency, make_record

BATCHES = 4
ROUNDS = 8


def timed(
    rng: Any, factor: float = 1.0, *, processes: int = 3, spread: float = 0.02, noise: float = 0.01, **case: Any
) -> list[Record]:
    """Records of one row, a process each: `factor` times the time, `spread` between processes, `noise` of rounds."""
    found = []
    for number in range(1, processes + 1):
        level = factor * np.exp(rng.normal(0, spread))
        batches = np.tile(np.linspace(1, 1.5, BATCHES), ROUNDS // BATCHES)
        rounds = level * batches * np.exp(rng.normal(0, noise, ROUNDS))
        latency = msgspec.structs.replace(
            make_latency(),
            rounds_s=tuple(rounds.tolist()),
            reference_s=(0.002,) * ROUNDS,
            median_s=float(np.median(rounds)),
        )
        record = make_record(latency=latency, **case)
        assert record.data is not None
        data = msgspec.structs.replace(record.data, batches=BATCHES)
        found.append(msgspec.structs.replace(record, process=number, data=data))
    return found


def one(first: list[Record], row: list[Record]) -> Trust:
    (found,) = compared(first, [row])
    assert found is not None
    return found


@pytest.fixture
def rng() -> Any:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("factor", "mark"), [(0.5, Mark.FASTER), (2.0, Mark.SLOWER), (1.3, Mark.UNKNOWN), (0.8, Mark.UNKNOWN)]
)
def test_one_process_tells_what_is_far_apart(rng: Any, factor: float, mark: Mark) -> None:
    found = one(timed(rng, processes=1), timed(rng, factor, processes=1))
    assert found.mark == mark
    assert found.change == pytest.approx(factor - 1, abs=0.1)
    assert (found.low, found.high, found.processes) == (None, None, 1)
    assert (found.needed, found.reason and found.reason.code) == (
        (3, "within_one_process") if mark == Mark.UNKNOWN else (None, None)
    )


def test_several_processes_tell_what_is_beyond_their_spread(rng: Any) -> None:
    first = timed(rng, spread=0.005)
    faster, slower = (one(first, timed(rng, factor, spread=0.005)) for factor in (0.9, 1.1))
    assert (faster.mark, slower.mark) == (Mark.FASTER, Mark.SLOWER)
    assert faster.low is not None
    assert faster.high is not None
    assert faster.low < faster.change < faster.high < 0


def test_rows_within_a_few_percent_are_the_same(rng: Any) -> None:
    found = one(timed(rng, spread=0.003, processes=4), timed(rng, spread=0.003, processes=4))
    assert found.mark == Mark.SAME
    assert found.within is not None
    assert 0 < found.within <= SAME_WITHIN


def test_what_cannot_be_told_says_how_many_processes_would(rng: Any) -> None:
    found = one(timed(rng, spread=0.08), timed(rng, 1.06, spread=0.08))
    assert (found.mark, found.reason and found.reason.code) == (Mark.UNKNOWN, "interval_holds_none")
    assert found.needed is None or found.needed > 3


def test_a_sample_of_a_larger_batch_is_compared_with_a_sample(rng: Any) -> None:
    found = one(timed(rng, processes=1, batch_size=1), timed(rng, 4.0, processes=1, batch_size=8))
    assert found.mark == Mark.FASTER
    assert found.change == pytest.approx(-0.5, abs=0.05)


def test_a_disturbed_row_is_told_nothing_of(rng: Any) -> None:
    first, row = timed(rng, processes=1), timed(rng, 0.3, processes=1)
    latency = row[0].latency
    assert latency is not None
    busy = msgspec.structs.replace(latency, reference_s=(0.01,) * ROUNDS)
    found = one(first, [msgspec.structs.replace(row[0], latency=busy)])
    assert (found.mark, found.reason and found.reason.code) == (Mark.UNKNOWN, "rows_disturbed")


def test_a_row_without_a_latency_is_not_compared(rng: Any) -> None:
    first = timed(rng)
    row = [msgspec.structs.replace(record, latency=None) for record in timed(rng)]
    assert compared(first, [row, timed(rng, 0.2)])[0] is None
    assert compared(row, [first]) == [None]


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_rows_of_one_code_are_seldom_told_apart(processes: int) -> None:
    """Tables of six equal rows: in at most one of twenty any row is called faster or slower."""
    rng = np.random.default_rng(11)
    tables = 200
    wrong = 0
    for _ in range(tables):
        first = timed(rng, processes=processes, spread=0.05)
        rows = [timed(rng, processes=processes, spread=0.05) for _ in range(5)]
        wrong += any(found is not None and found.mark in (Mark.FASTER, Mark.SLOWER) for found in compared(first, rows))
    # The first row is in all comparisons, so they are not independent; Holm's bound holds all the same.
    assert wrong <= 0.05 * tables + 2 * (0.05 * 0.95 * tables) ** 0.5


def in_turns(record: Record, first: Record, *ratios: float) -> Record:
    turns = Turns(first=first.case_id, first_s=(1.0,) * len(ratios), own_s=ratios)
    return msgspec.structs.replace(record, turns=turns)


def test_rows_that_were_timed_in_turns_are_compared_by_that(rng: Any) -> None:
    """Their own rounds may have met another machine: here they say that the rows are alike."""
    (first,), (row,), (other,) = (
        timed(rng, processes=1, noise=0.0, spread=0.0, optimization=name) for name in ("fp16", "bf16", "int8")
    )
    slow, fast = in_turns(row, first, 1.9, 2.0, 2.1), in_turns(other, first, 0.5, 0.5, 0.4)
    assert one([first], [row]).change == pytest.approx(0.0)
    found = one([first], [slow])
    assert found.mark == Mark.SLOWER
    assert found.change == pytest.approx(1.0)
    assert one([slow], [first]).change == pytest.approx(-0.5)
    assert one([slow], [fast]).change == pytest.approx(0.5 / 2.0 - 1)
    # Neither with other first rows, nor with files that nobody wrote, is anything to be had of them.
    elsewhere = msgspec.structs.replace(fast, turns=Turns(first="another", first_s=(1.0,), own_s=(9.0,)))
    torn = msgspec.structs.replace(fast, turns=Turns(first=first.case_id, first_s=(1.0,), own_s=(9.0, 9.0)))
    nothing = msgspec.structs.replace(fast, turns=Turns(first=first.case_id, first_s=(0.0,), own_s=(9.0,)))
    assert [one([first], [each]).change for each in (elsewhere, torn)] == [pytest.approx(0.0)] * 2
    assert compared([first], [[nothing]]) == [None]
