"""The latency pass: what is inside the timed region, and the statistics of the rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import NameWrapper

from blip_fixtures.measurement.latency import ReferenceKernel, latency_pass, summarize


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


def make_benchmark(clock: VirtualClock, *, disabled: bool = False) -> BenchmarkFixture:
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
        add_stats=lambda stats: None,
        logger=None,
        warner=None,
        disabled=disabled,
        cprofile=False,
        cprofile_loops=None,
        cprofile_dump=None,
    )


def run(clock: VirtualClock, costs_s: list[float], *, warmup_rounds: int, disabled: bool = False) -> Any:
    numbers = iter(range(len(costs_s)))
    readings = iter(range(1, 100))

    def next_inputs() -> int:
        clock.spend("prepare", 50.0)
        return next(numbers)

    def reference() -> float:
        clock.spend("reference", 7.0)
        return next(readings) / 1000

    return latency_pass(
        make_benchmark(clock, disabled=disabled),
        lambda number: clock.spend("generate", costs_s[number]),
        next_inputs,
        reference,
        rounds=len(costs_s) - warmup_rounds,
        warmup_rounds=warmup_rounds,
    )


def test_only_generate_is_inside_the_timed_region() -> None:
    clock = VirtualClock()
    latency = run(clock, [9.0, 1.0, 2.0, 4.0], warmup_rounds=1)
    assert latency["rounds_s"] == [1.0, 2.0, 4.0]
    assert clock.log == ["prepare", "reference", "read", "generate", "read"] * 4


def test_the_reference_readings_are_those_of_the_timed_rounds() -> None:
    latency = run(VirtualClock(), [9.0, 9.0, 1.0, 2.0], warmup_rounds=2)
    assert latency["reference_s"] == [0.003, 0.004]
    assert latency["warmup_rounds"] == 2


def test_a_disabled_benchmark_measures_nothing() -> None:
    clock = VirtualClock()
    assert run(clock, [1.0, 2.0], warmup_rounds=1, disabled=True) is None
    assert clock.log.count("generate") == 1


def test_statistics() -> None:
    rounds_s = [0.5, 0.1, 0.3, 0.2, 0.4]
    assert summarize(rounds_s, [0.002] * 5, 2) == {
        "mean_s": pytest.approx(0.3),
        "median_s": 0.3,
        "stddev_s": pytest.approx(statistics.stdev(rounds_s)),
        "p90_s": pytest.approx(0.46),
        "rounds_s": rounds_s,
        "reference_s": [0.002] * 5,
        "warmup_rounds": 2,
    }


def test_one_round_has_no_spread() -> None:
    assert summarize([0.5], [0.002], 0)["stddev_s"] is None


def test_the_reference_kernel_takes_time() -> None:
    reference = ReferenceKernel("cpu")
    assert all(0 < reference() < 5 for _ in range(3))
