"""`benchmark.pedantic` as the engine's loop."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_benchmark.fixture import BenchmarkFixture


class PedanticLoop:
    """The rounds of one test, timed by pytest-benchmark under the timer of the test's mark."""

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self.benchmark = benchmark

    def __call__(self, run: Callable[[Any], object], setup: Callable[[], Any], rounds: int, warmup: int) -> list[float]:
        """Seconds of each round."""
        self.benchmark.pedantic(run, setup=lambda: ((setup(),), {}), rounds=rounds, warmup_rounds=warmup, iterations=1)
        assert self.benchmark.stats is not None
        return [float(seconds) for seconds in self.benchmark.stats.stats.data]

    def listed(self, rounds_s: Sequence[float]) -> None:
        """Take these rounds as if they had been timed here."""
        list_rounds(self.benchmark, rounds_s)

    def unused(self) -> PedanticLoop:
        """The same loop for a second timing, which pytest-benchmark's tables do not list.

        A fixture times once, and only a test gets one, so its own is copied as it was before. pytest-benchmark has no
        public way to that.
        """
        fixture = copy.copy(self.benchmark)
        fixture._mode, fixture.stats = None, None
        fixture._add_stats = lambda _stats: None
        return PedanticLoop(fixture)


def list_rounds(benchmark: BenchmarkFixture, rounds_s: Sequence[float]) -> None:
    """List rounds that another test timed under this test too, so that no group of the tables lacks a case.

    pytest-benchmark makes statistics of what it timed itself only, so its private way to make them is taken.
    """
    benchmark._mode = "listed"
    stats = benchmark._make_stats(1)
    for seconds in rounds_s:
        stats.update(seconds)


def mark_used(benchmark: BenchmarkFixture) -> None:
    """A case may end before its first round: its test did not forget the fixture, as pytest-benchmark would warn."""
    benchmark._mode = benchmark._mode or "ended early"
