"""The latency loop: what is inside the timed region, whoever times it, and the statistics of the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import NameWrapper

from blip_fixtures.engine.loop import Loop, PlainLoop, ReferenceKernel
from blip_fixtures.engine.passes.latency import summarize
from blip_fixtures.pytest_plugin.loop import PedanticLoop, list_rounds
from blip_fixtures.record import Latency


@dataclass
class VirtualClock:
    """Seconds that pass only when somebody spends them."""

    now_s: float = 100.0
    log: list[str] = field(default_factory=list)

    def read(self) -> float:
        self.log.append("read")
        return self.now_s

    def spend(self, what: str, seconds: float) -> None:
        self.log.append(what)
        self.now_s += seconds


def make_benchmark(clock: VirtualClock, listed: list[object]) -> BenchmarkFixture:
    class Node:
        name = nodeid = "test"

    return BenchmarkFixture(
        Node(),
        disable_gc=False,
        timer=NameWrapper(clock.read),
        min_rounds=1,
        min_time=0,
        max_time=1,
        precision=None,
        confidence=None,
        warmup=False,
        warmup_iterations=0,
        calibration_precision=10,
        add_stats=listed.append,
        logger=None,
        warner=None,
        disabled=False,
        cprofile=False,
        cprofile_loops=None,
        cprofile_dump=None,
    )


def pedantic(clock: VirtualClock) -> Loop:
    return PedanticLoop(make_benchmark(clock, []))


def second_timing(clock: VirtualClock) -> Loop:
    first = PedanticLoop(make_benchmark(clock, []))
    first(lambda _inputs: None, lambda: None, 1, 0)
    clock.log.clear()
    return first.unused()


def plain(clock: VirtualClock) -> Loop:
    return PlainLoop(clock.read)


@pytest.mark.parametrize("make_loop", [plain, pedantic, second_timing])
def test_only_the_call_is_inside_the_timed_region(make_loop: Callable[[VirtualClock], Loop]) -> None:
    clock, costs_s = VirtualClock(), [9.0, 1.0, 2.0, 4.0]
    loop, numbers = make_loop(clock), iter(range(4))

    def setup() -> int:
        clock.spend("prepare", 50.0)
        return next(numbers)

    rounds_s = loop(lambda number: clock.spend("generate", costs_s[number]), setup, 3, 1)
    assert rounds_s == [1.0, 2.0, 4.0]
    # pytest-benchmark runs the target once more where it is profiled alone.
    assert clock.log == ["prepare", "read", "generate", "read"] * 4


def test_a_second_timing_is_not_listed_and_leaves_the_first_alone() -> None:
    listed: list[object] = []
    first = PedanticLoop(make_benchmark(VirtualClock(), listed))
    one_s = first(lambda _inputs: None, lambda: None, 2, 0)
    first.unused()(lambda _inputs: None, lambda: None, 5, 0)
    assert listed == [first.benchmark.stats]
    assert first.benchmark.stats is not None
    assert first.benchmark.stats.stats.data == one_s


def test_rounds_of_another_test_are_listed_as_they_are() -> None:
    listed: list[object] = []
    benchmark = make_benchmark(VirtualClock(), listed)
    list_rounds(benchmark, (0.1, 0.3))
    assert benchmark.stats is not None
    assert listed == [benchmark.stats]
    assert benchmark.stats.stats.data == [0.1, 0.3]


def test_statistics() -> None:
    rounds_s = [0.5, 0.1, 0.3, 0.2, 0.4]
    assert summarize(rounds_s, [0.002] * 5, 2) == Latency(
        mean_s=statistics.fmean(rounds_s),
        median_s=0.3,
        stddev_s=statistics.stdev(rounds_s),
        p90_s=statistics.quantiles(rounds_s, n=10, method="inclusive")[8],
        rounds_s=tuple(rounds_s),
        reference_s=(0.002,) * 5,
        warmup_rounds=2,
    )


def test_one_round_has_no_spread() -> None:
    assert summarize([0.5], [0.002], 0).stddev_s is None


def test_the_reference_kernel_takes_time() -> None:
    reference = ReferenceKernel("cpu")
    assert all(0 < reference() < 5 for _ in range(3))
