"""The latency loop: timed calls on inputs prepared beforehand, and nothing else inside the timed region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from blip_fixtures.case import cards_of
from blip_fixtures.devices import synchronizing_timer

if TYPE_CHECKING:
    from collections.abc import Callable

# Side of the reference's matrices and how many products one reading takes: about 2 ms, and 0.75 MiB on a CPU,
# 12 MiB on a GPU, both well inside the caches.
_REFERENCE = {"cpu": (256, 16), "cuda": (1024, 48)}


class Loop(Protocol):
    """Times `rounds` calls of ``run(inputs)`` after `warmup` untimed ones, each on what `setup` gives just before.

    Returns seconds of each round. Under pytest it is `benchmark.pedantic`, elsewhere `PlainLoop`.
    """

    def __call__(self, run: Callable[[Any], object], setup: Callable[[], Any], rounds: int, warmup: int) -> list[float]:
        """Seconds of each round."""
        ...


class PlainLoop:
    """A loop of its own. `timer` waits for the device before it reads the clock."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer

    def __call__(self, run: Callable[[Any], object], setup: Callable[[], Any], rounds: int, warmup: int) -> list[float]:
        """Seconds of each round."""
        every_s = [self._round(run, setup()) for _ in range(warmup + rounds)]
        return every_s[warmup:]

    def _round(self, run: Callable[[Any], object], inputs: Any) -> float:
        start_s = self._timer()
        run(inputs)
        return self._timer() - start_s


class ReferenceKernel:
    """A fixed matrix product whose time tells the machine's drift from a change of the code.

    Half as many products run untimed before: what came before, such as a wait that let the threads fall asleep, must
    not show, or a change of the code would calibrate itself away. Several cards work at once, and the slowest tells.
    """

    def __init__(self, device: str) -> None:
        import torch

        self._timer = synchronizing_timer(device)
        side, self._products = _REFERENCE[device.partition(":")[0]]
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(side, side, generator=generator)
        self._matrices = [matrix.to(card) for card in cards_of(device)]

    def __call__(self) -> float:
        """Seconds that the products took now."""
        self._run(self._products // 2)
        start_s = self._timer()
        self._run(self._products)
        return self._timer() - start_s

    def _run(self, products: int) -> None:
        for _ in range(products):
            for matrix in self._matrices:
                matrix @ matrix
