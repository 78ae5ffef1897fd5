"""Which of several kernels is the fastest, and how fast: the best that was seen of each within given seconds.

Others on the machine make a run slower and never faster, so the shortest one is what the hardware can. The kernels take
turns, so that a burst of other work hits all of them and spares each some turns. On the CPU each also runs in one
thread: where others keep the cores busy, several threads wait for the one that was stopped, longer than the work takes.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from blip_fixtures.devices import working_on
from blip_fixtures.engine.busy import kernel_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Each contender gets so many turns if the time allows it, and one in any case.
_TURNS = 8
# What is slower than the best by more than this is left out after so many turns: noise alone is not that large.
_HOPELESS = 4
_TURNS_OF_ALL = 2
# A reading of a stream: with many kernels in it the events cost nothing, and the host is ahead of the device.
_MOST_LAUNCHES = 256
_READING_S = 0.02


@dataclass(frozen=True)
class Contender:
    """A kernel with its operands. `amount` is the FLOPs or the bytes of one run.

    It competes with those of its `group` whose operands have at least its `bits`. `alone` is a run in one thread.
    """

    name: str
    group: int | str
    amount: float
    run: Callable[[], object]
    bits: int = 0
    alone: bool = False


def with_one_thread(contenders: Iterable[Contender]) -> list[Contender]:
    """The same kernels and, where torch has several threads, each in one thread besides."""
    import torch

    given = list(contenders)
    return given if torch.get_num_threads() == 1 else [*given, *(replace(each, alone=True) for each in given)]


@contextlib.contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Torch has one thread inside, where that is `wanted`."""
    if not wanted:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Watch(Protocol):
    """Times runs on one device."""

    def now(self) -> float:
        """A clock in seconds."""

    def shortest(self, run: Callable[[], object], within_s: float) -> float:
        """The seconds of the shortest run of those that begin within so many seconds, one at least."""


class WallWatch:
    """For the CPU: each run is timed by itself. `timer` is a clock in seconds."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self.now = timer

    def shortest(self, run: Callable[[], object], within_s: float) -> float:
        """Of single runs."""
        begin_s = self.now()
        shortest_s = _elapsed_s(run, self.now)
        while self.now() - begin_s < within_s:
            shortest_s = min(shortest_s, _elapsed_s(run, self.now))
        return shortest_s


class EventWatch:
    """For CUDA: many launches between two events of the stream, so that neither the host nor the launch counts."""

    def __init__(self, device: str, timer: Callable[[], float]) -> None:
        self._device = device
        self.now = timer

    def shortest(self, run: Callable[[], object], within_s: float) -> float:
        """The mean over one reading's launches; of one launch by itself, where there is time for no more."""
        with working_on(self._device):
            alone_s = self._reading(run, 1)
            if not within_s:
                return alone_s
            fit = max(within_s, _READING_S) / alone_s if alone_s else _MOST_LAUNCHES
            launches = int(min(fit, _MOST_LAUNCHES))
            # The clock of events has steps of half a microsecond: of a short kernel one launch says too little.
            return self._reading(run, launches) if launches > 1 else alone_s

    @staticmethod
    def _reading(run: Callable[[], object], launches: int) -> float:
        import torch

        events: list[Any] = [
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch is typed in part
            for _ in range(2)
        ]
        events[0].record()
        for _ in range(launches):
            run()
        events[1].record()
        events[1].synchronize()
        return float(events[0].elapsed_time(events[1])) / 1000 / launches


class KernelWatch:
    """For CUDA: the time that the device spends in kernels, as the profiler sees it, without the gaps between them.

    Where the profiler sees none, for it may not look, it is `between`, gaps included; the record says that it saw none.
    """

    def __init__(self, device: str, between: EventWatch) -> None:
        self._device = device
        self._between = between
        self.now = between.now

    def shortest(self, run: Callable[[], object], within_s: float) -> float:
        """Of one run: to profile costs more than it."""
        with working_on(self._device):
            busy_s = kernel_seconds(run, self._device)
        return busy_s or self._between.shortest(run, within_s)


def best_rates(contenders: Sequence[Contender], watch: Watch, seconds: float) -> list[float]:
    """The best rate of each contender, its amount per second, in their order; takes about `seconds`.

    Each has run once before: what a kernel does at its first run alone is none of its rate.
    """
    shortest_s = [float("inf")] * len(contenders)
    alive = list(range(len(contenders)))
    end_s = watch.now() + seconds
    turns = 0
    while not turns or (turns < _TURNS and watch.now() < end_s):
        slot_s = seconds / max(len(alive), 1) / _TURNS
        for alone in (False, True):
            with one_thread(alone):
                for place in alive:
                    if contenders[place].alone == alone:
                        shortest_s[place] = min(shortest_s[place], watch.shortest(contenders[place].run, slot_s))
        turns += 1
        if turns >= _TURNS_OF_ALL:
            alive = [place for place in alive if not _is_hopeless(place, contenders, shortest_s)]
    return [_rate(contender, took_s) for contender, took_s in zip(contenders, shortest_s, strict=True)]


def _is_hopeless(place: int, contenders: Sequence[Contender], shortest_s: Sequence[float]) -> bool:
    own = contenders[place]
    best = max(
        _rate(other, took_s)
        for other, took_s in zip(contenders, shortest_s, strict=True)
        if other.group == own.group and other.bits >= own.bits
    )
    return _rate(own, shortest_s[place]) * _HOPELESS < best


def _elapsed_s(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start_s = clock()
    run()
    return clock() - start_s


def _rate(contender: Contender, took_s: float) -> float:
    # A clock may be too coarse for a short run; then nothing was seen.
    return contender.amount / took_s if took_s else 0.0
