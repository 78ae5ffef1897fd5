from __future__ import annotations

from blip_fixtures.report.page.pareto import Candidate, Span, dominators


def candidate(name: str, x: float, y: float, *, spread: float = 0.0, group: str = "") -> Candidate:
    return Candidate(name, group, Span(x, x - spread, x + spread), Span(y, y - spread, y + spread))


def test_faster_and_better_dominates() -> None:
    found = dominators([candidate("fast", 1, 0.9), candidate("slow", 2, 0.8), candidate("good", 3, 0.95)])
    assert found == {"slow": ("fast",)}


def test_equal_quality_and_clearly_faster_dominates() -> None:
    assert dominators([candidate("fast", 1, 0.9), candidate("slow", 2, 0.9)]) == {"slow": ("fast",)}


def test_the_same_point_dominates_nobody() -> None:
    assert dominators([candidate("one", 1, 0.9), candidate("other", 1, 0.9)]) == {}


def test_intervals_that_overlap_on_both_axes_decide_nothing() -> None:
    found = dominators([candidate("one", 1.0, 5.1, spread=0.2), candidate("other", 1.1, 5.0, spread=0.2)])
    assert found == {}


def test_clear_on_one_axis_suffices_where_the_other_is_at_least_as_good() -> None:
    fast = Candidate("fast", "", Span(1, 0.9, 1.1), Span(0.90, 0.8, 1.0))
    slow = Candidate("slow", "", Span(2, 1.9, 2.1), Span(0.89, 0.8, 1.0))
    better = Candidate("better", "", Span(2, 1.9, 2.1), Span(0.91, 0.8, 1.0))
    assert dominators([fast, slow, better]) == {"slow": ("fast",)}


def test_only_cases_of_one_group_are_rivals() -> None:
    assert dominators([candidate("one", 1, 1, group="a"), candidate("other", 2, 0, group="b")]) == {}


def test_less_memory_is_better() -> None:
    found = dominators([candidate("small", 1, 10), candidate("large", 1, 20)], lower_y=True)
    assert found == {"large": ("small",)}


def test_an_interval_holds_its_figure() -> None:
    assert Span.of(1.0) == Span(1.0, 1.0, 1.0)
    assert Span.of(1.0, 2.0, 3.0) == Span(1.0, 1.0, 3.0)
