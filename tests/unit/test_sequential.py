"""Looks after each pair of processes: their errors are those of all looks together, and they stop early."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from blip_fixtures.gate.sequential import (
    FIRST_LOOK,
    Design,
    Look,
    moderated,
    nominal_levels,
    spent_on_passes,
    spent_on_regressions,
    student_quantile,
    student_tail,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# Of tables of Student's t: one-sided 5 % and 1 %.
@pytest.mark.parametrize(
    ("degrees", "tail", "value"),
    [(1, 0.05, 6.314), (2, 0.05, 2.920), (4, 0.05, 2.132), (5, 0.01, 3.365), (10, 0.01, 2.764), (60, 0.05, 1.671)],
)
def test_student_is_that_of_the_tables(degrees: int, tail: float, value: float) -> None:
    assert student_quantile(tail, degrees) == pytest.approx(value, abs=5e-4)
    assert student_tail(value, degrees) == pytest.approx(tail, rel=2e-3)
    assert student_tail(-value, degrees) == pytest.approx(1 - tail, rel=2e-3)


def test_a_single_look_spends_everything() -> None:
    assert nominal_levels(spent_on_regressions, 0.05, FIRST_LOOK) == pytest.approx((0.05,), rel=0.01)


@pytest.mark.parametrize("spent", [spent_on_regressions, spent_on_passes])
@pytest.mark.parametrize("chance", [0.05, 0.005])
def test_looks_at_sums_of_normal_numbers_err_as_often_as_was_allowed(
    spent: Callable[[int, int], float], chance: float
) -> None:
    looks, repeats = 20, 40_000
    levels = nominal_levels(spent, chance, looks)
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(repeats, looks)).cumsum(axis=1)[:, FIRST_LOOK - 1 :]
    statistics = sums / np.sqrt(np.arange(FIRST_LOOK, looks + 1))
    bounds = np.array([student_quantile(level, 100_001) for level in levels])
    crossed = float((statistics > bounds).any(axis=1).mean())
    assert crossed == pytest.approx(chance, abs=3.5 * math.sqrt(chance / repeats) + 0.03 * chance)


def test_p_is_the_chance_of_which_the_tail_is_the_level() -> None:
    design = Design(20)
    for look in (2, 7, 20):
        assert design.p(design.levels(look), look) == pytest.approx(0.05, rel=0.02)
        assert design.p(nominal_levels(spent_on_regressions, 0.05 / 7, 20)[look - 2], look) == pytest.approx(
            0.05 / 7, rel=0.03
        )
        assert design.p(1.0, look) == 1.0
        assert 0 < design.p(0.0, look) < 1e-200


def test_the_spread_of_other_cases_counts_as_six_degrees_at_most() -> None:
    own, others = [[0.0, 2.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]] * 5
    assert moderated(own, []) == (2.0, 2)
    variance, degrees = moderated(own, others) or (0, 0)
    assert variance == pytest.approx(4 / 8)
    assert degrees == 8
    assert moderated([[1.0], [2.0]], others) is None


def test_what_is_at_its_limit_is_futile_and_what_is_far_is_not() -> None:
    def look(center: float, pairs: int) -> Look:
        return Look(center, 0.03, 2 * pairs, pairs, Design(20))

    assert look(0.1, 15).is_futile(0.1)
    assert not look(0.0, 3).is_futile(0.1)
    assert not look(0.1, 3).is_futile(0.1), "much may come yet"
    assert look(0.0, 20).is_futile(0.1), "no pair is left"
    assert look(0.15, 3).expected_pairs(0.1) < look(0.12, 3).expected_pairs(0.1) <= 20


CASES, LIMIT = 6, math.log(1.1)


def compare(rng: np.random.Generator, truth: np.ndarray, spreads: np.ndarray, most: int) -> tuple[list[str], int]:
    """What becomes of each case, Bonferroni over them, and of how many pairs."""
    design = Design(most)
    base = rng.normal(size=(most, CASES)) * spreads
    now = rng.normal(size=(most, CASES)) * spreads + truth
    verdicts = ["open"] * CASES
    for pairs in range(FIRST_LOOK, most + 1):
        groups = [[side[:pairs, case] for side in (base, now)] for case in range(CASES)]
        for case, verdict in enumerate(verdicts):
            if verdict != "open":
                continue
            others = [group for other, both in enumerate(groups) if other != case for group in both]
            variance, degrees = moderated(groups[case], others) or (0.0, 0)
            center = float(groups[case][1].mean() - groups[case][0].mean())
            found = Look(center, math.sqrt(variance), degrees, pairs, design)
            if found.p_not_beyond(LIMIT) <= 0.05 / CASES:
                verdicts[case] = "regression"
            elif found.high <= LIMIT:
                verdicts[case] = "pass"
        if "open" not in verdicts:
            break
    return verdicts, pairs


def test_unchanged_code_passes_after_three_pairs_and_one_slow_case_is_found() -> None:
    rng, spreads = np.random.default_rng(1), np.full(CASES, 0.03)
    same = [compare(rng, np.zeros(CASES), spreads, 30) for _ in range(60)]
    assert all(verdicts == ["pass"] * CASES for verdicts, _ in same)
    assert np.mean([pairs for _, pairs in same]) < 3.5
    one = np.zeros(CASES)
    one[2] = math.log(1.15)
    found = [compare(rng, one, spreads, 30) for _ in range(60)]
    assert np.mean([verdicts[2] == "regression" for verdicts, _ in found]) >= 0.95
    assert all("regression" not in verdicts[:2] + verdicts[3:] for verdicts, _ in found)
    assert np.mean([pairs for _, pairs in found]) < 14


@pytest.mark.parametrize("spreads", [np.full(CASES, 0.03), np.array([0.015, 0.02, 0.025, 0.03, 0.035, 0.06])])
def test_at_the_limit_both_errors_are_bounded(spreads: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    at_limit = [compare(rng, np.full(CASES, LIMIT), spreads, 12)[0] for _ in range(150)]
    # 5 % of families are allowed; 150 of them show no more than 9 % by chance.
    assert np.mean(["regression" in verdicts for verdicts in at_limit]) <= 0.09
    assert np.mean([verdict == "pass" for verdicts in at_limit for verdict in verdicts]) <= 0.08
