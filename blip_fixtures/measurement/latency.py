"""The latency pass: timed `generate` calls through pytest-benchmark, and nothing else inside the timed region."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from blip_fixtures.devices import synchronizing_timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from blip_fixtures.record import Latency, LatencyAgain

# Side of the reference's matrices and how many products one reading takes: about 2 ms, and 0.75 MiB on a CPU,
# 12 MiB on a GPU, both well inside the caches.
_REFERENCE = {"cpu": (256, 16), "cuda": (1024, 48)}


class ReferenceKernel:
    """A fixed matrix product whose time tells the machine's drift from a change of the code.

    Half as many products run untimed before: what came before, such as a wait that let the threads fall asleep, must
    not show, or a change of the code would calibrate itself away.
    """

    def __init__(self, device: str) -> None:
        import torch

        self._timer = synchronizing_timer(device)
        side, self._products = _REFERENCE[device.partition(":")[0]]
        generator = torch.Generator().manual_seed(0)
        self._matrix = torch.randn(side, side, generator=generator).to(device)

    def __call__(self) -> float:
        """Seconds that the products took now."""
        self._run(self._products // 2)
        start_s = self._timer()
        self._run(self._products)
        return self._timer() - start_s

    def _run(self, products: int) -> None:
        for _ in range(products):
            self._matrix @ self._matrix


def latency_pass(
    benchmark: BenchmarkFixture,
    generate: Callable[[Any], Any],
    next_inputs: Callable[[], Any],
    reference: Callable[[], float],
    *,
    rounds: int,
    warmup_rounds: int,
) -> Latency | None:
    """Time `rounds` calls of ``generate(inputs)``, each on the inputs that `next_inputs` prepared beforehand.

    Returns seconds per batch, or `None` where pytest-benchmark is disabled and made a single untimed call.
    """
    reference_s: list[float] = []

    def setup() -> tuple[tuple[Any], dict[str, Any]]:
        inputs = next_inputs()
        reference_s.append(reference())
        return (inputs,), {}

    benchmark.pedantic(generate, setup=setup, rounds=rounds, warmup_rounds=warmup_rounds, iterations=1)
    if benchmark.stats is None:
        return None
    rounds_s = [float(seconds) for seconds in benchmark.stats.stats.data]
    return summarize(rounds_s, reference_s[warmup_rounds : warmup_rounds + rounds], warmup_rounds)


def latency_again(
    generate: Callable[[Any], Any],
    next_inputs: Callable[[], Any],
    reference: Callable[[], float],
    timer: Callable[[], float],
    *,
    rounds: int,
    warmup_rounds: int,
) -> LatencyAgain:
    """The latency pass once more, outside of pytest-benchmark: a machine that drifts shows in the difference."""
    rounds_s, reference_s = [], []
    for number in range(-warmup_rounds, rounds):
        inputs = next_inputs()
        kernel_s = reference()
        start_s = timer()
        generate(inputs)
        end_s = timer()
        if number >= 0:
            rounds_s.append(end_s - start_s)
            reference_s.append(kernel_s)
    return {"median_s": statistics.median(rounds_s), "rounds_s": rounds_s, "reference_s": reference_s}


def summarize(rounds_s: list[float], reference_s: list[float], warmup_rounds: int) -> Latency:
    """Mean, median, standard deviation (n - 1) and 90th percentile of the raw rounds, in seconds."""
    many = len(rounds_s) > 1
    return {
        "mean_s": statistics.fmean(rounds_s),
        "median_s": statistics.median(rounds_s),
        "stddev_s": statistics.stdev(rounds_s) if many else None,
        "p90_s": statistics.quantiles(rounds_s, n=10, method="inclusive")[-1] if many else rounds_s[0],
        "rounds_s": rounds_s,
        "reference_s": reference_s,
        "warmup_rounds": warmup_rounds,
    }
