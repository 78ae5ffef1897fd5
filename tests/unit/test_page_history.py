from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from blip_fixtures.report.page import changes
from blip_fixtures.report.page.changes import FEWEST_RUNS, find_changes
from blip_fixtures.report.page.history import History, StoredRun, history_of, in_order, read_history
from blip_fixtures.report.page.points import TimeUnit
from blip_fixtures.report.page.verdicts import pairs_of
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.selection import case_key
from tests.unit.records import make_latency, make_record
from tests.unit.sides import noisy_record, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.record import Record

PROSE = load_prose("en")
MS = TimeUnit("ms", 1000.0)


def series(*levels: tuple[int, float], seed: int = 0, spread: float = 0.02) -> list[float]:
    rng = np.random.default_rng(seed)
    return [level * math.exp(rng.normal(0, spread)) for count, level in levels for _ in range(count)]


def run(day: int, seconds: float, **overrides: Any) -> StoredRun:
    environment = {"started_at": f"2026-01-{day:02d}T00:00:00+00:00", "commit": f"{day:040x}", "dirty": day == 3}
    record = make_record(latency=make_latency([seconds] * 5), environment=environment, **overrides)
    return StoredRun(f"{day:04d}_base", (record,))


def shown(runs: list[StoredRun]) -> Any:
    (record,) = runs[-1].records
    return history_of(runs, {case_key(record): "case"}, MS, PROSE)


@pytest.mark.parametrize("place", [4, 10, 15])
def test_a_step_is_found_where_it_is(place: int) -> None:
    found = [find_changes(series((place, 1.0), (20 - place, 1.2), seed=seed)).places for seed in range(20)]
    exact = [places for places in found if len(places) == 1 and abs(places[0] - place) <= 1]
    assert len(exact) >= 18


def test_two_steps() -> None:
    assert len(find_changes(series((10, 1.0), (10, 1.3), (10, 0.9))).places) == 2


def test_noise_seldom_shows_a_change() -> None:
    alarms = sum(bool(find_changes(series((20, 1.0), seed=seed)).places) for seed in range(200))
    assert alarms <= 12


def test_one_odd_run_is_no_change() -> None:
    alarms = 0
    for seed in range(50):
        values = series((20, 1.0), seed=seed)
        values[9] *= 1.5
        alarms += bool(find_changes(values).places)
    assert alarms <= 3


def test_what_never_varies_has_a_change_where_it_moves() -> None:
    assert find_changes([5.0] * 8 + [6.0] * 8).places == (8,)
    assert find_changes([5.0] * 12).places == ()


def test_fewer_than_ten_runs_are_too_few() -> None:
    assert find_changes([1.0] * (FEWEST_RUNS - 1)).why == changes.TOO_FEW


def test_values_without_a_logarithm_are_not_looked_at() -> None:
    assert find_changes([0.0] * 12).why == changes.NOT_POSITIVE


def test_without_the_library_nobody_looks_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)
    runs = [run(day, 0.1 + day / 1000) for day in range(1, 13)]
    assert "pytest-blip[history]" in shown(runs)["series"]["case"]["latency"]["said"]


def test_a_series_has_its_runs_bands_and_changes() -> None:
    runs = [run(day, seconds) for day, seconds in enumerate(series((8, 0.1), (6, 0.13)), 1)]
    found = shown(runs)
    latency = found["series"]["case"]["latency"]
    assert latency["changes"] == [8]
    assert [band[:2] for band in latency["bands"]] == [[0, 7], [8, 13]]
    assert latency["values"][0] == pytest.approx(1000 * series((8, 0.1))[0], rel=1e-4)
    assert "% at run 9" in latency["said"]
    assert found["runs"][2] == {"name": "0003_base", "commit": "000000000000+", "started": "2026-01-03 00:00:00"}
    assert found["sentence"] == ""


def test_fewer_than_ten_runs_are_said_to_be_few() -> None:
    found = shown([run(1, 0.1), run(2, 0.1)])
    assert "There are 2 runs" in found["sentence"]
    assert "has 2 runs" in found["series"]["case"]["latency"]["said"]


def test_a_case_that_no_other_run_has_has_no_history() -> None:
    assert shown([run(1, 0.1, batch_size=4), run(2, 0.1)])["series"] == {}


def test_a_gap_stays_a_gap() -> None:
    runs = [run(1, 0.1), run(2, 0.1, batch_size=4), run(3, 0.1)]
    assert shown(runs)["series"]["case"]["latency"]["values"] == [100.0, None, 100.0]


def test_another_machine_is_another_case() -> None:
    assert shown([run(1, 0.1, device_name="another"), run(2, 0.1)])["series"] == {}


def test_runs_are_in_the_order_of_time_and_this_one_stands_last_and_once() -> None:
    first, second, now = run(1, 0.1), run(2, 0.1), run(3, 0.1)
    again = StoredRun("0009_saved", now.records)
    assert in_order([second, again, first], now) == [first, second, now]


def test_a_storage_is_read_and_what_is_no_use_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "Linux-CPython-3.11-64bit"
    write_run(folder / "0001_base.json", [make_record()])
    write_run(folder / "0003_base.json", [make_record()])
    (folder / "0002_torn.json").write_text("{")
    (folder / "notes.json").write_text("{")
    (folder / "0004_theirs.json").write_text('{"benchmarks": [{"fullname": "a test of another suite"}]}')
    found = read_history(tmp_path)
    assert [each.name for each in found.runs] == ["0001_base", "0003_base"]
    (said,) = found.unread
    assert "0002_torn.json" in said
    assert read_history(tmp_path / "none") == History()


def noisy_run(seed: int, slower: float = 1.0) -> StoredRun:
    rng = np.random.default_rng(seed)
    records: list[Record] = [noisy_record(rng, dataset=name, slower=slower) for name in ("textvqa", "scienceqa")]
    return StoredRun(f"run-{seed}", tuple(records))


def test_the_last_run_is_judged_against_the_ones_before_it() -> None:
    runs = [*(noisy_run(seed) for seed in range(6)), noisy_run(9, slower=1.6)]
    ids = [record.case_id for record in runs[-1].records]
    pairs = pairs_of(runs, ids, PROSE)
    assert [(pair["base"], pair["now"]) for pair in pairs] == [(5, 6), (4, 6), (3, 6), (2, 6)]
    latency = {row[0]: row[-1] for row in pairs[0]["rows"] if row[1] == "latency"}
    assert latency == {0: "regression", 1: "regression"}
    assert "2 regression" in pairs[0]["sentence"]


def test_a_refusal_is_a_sentence() -> None:
    runs = [StoredRun("a", (make_record(batch_size=4),)), StoredRun("b", (make_record(),))]
    (pair,) = pairs_of(runs, [], PROSE)
    assert "no case in common" in pair["refused"]
    assert pair["rows"] == []
