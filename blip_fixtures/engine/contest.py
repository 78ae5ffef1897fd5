"""Which of several kernels is the fastest, and how fast: the best that was seen of each within given seconds.

Others on the machine make a run slower and never faster, so the shortest one is what the hardware can. The kernels take
turns, so that a burst of other work hits all of them and spares each some turns. On the CPU each also runs in one
thread: where others keep the cores busy, several threads wait for the one that was stopped, longer than the work takes.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from blip_fixtures.devices import working_on
from blip_fixtures.engine.busy import kernel_seconds
from blip_fixtures.profiling import attached

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


class Reading(NamedTuple):
    """What a watch saw of one kernel; of two readings the lesser counts.

    `has_gaps` means that the time between kernels is in it, which should not be; `unseen` is less the more kernels the
    profiler saw: a profile that lost some is too short.
    """

    has_gaps: bool
    unseen: int
    seconds: float


class Rate(NamedTuple):
    """FLOP/s or bytes/s; `has_gaps` as in `Reading`."""

    per_s: float
    has_gaps: bool = False


NOTHING_SEEN = Reading(has_gaps=True, unseen=0, seconds=float("inf"))


class Watch(Protocol):
    """Times runs on one device."""

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """Readings are taken inside."""

    def now(self) -> float:
        """A clock in seconds."""

    def shortest(self, run: Callable[[], object], within_s: float) -> Reading:
        """Of the shortest run of those that begin within so many seconds, one at least."""


class WallWatch:
    """For the CPU: each run is timed by itself. `timer` is a clock in seconds."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self.now = timer
        self.opened = contextlib.nullcontext[None]

    def shortest(self, run: Callable[[], object], within_s: float) -> Reading:
        """Of single runs."""
        begin_s = self.now()
        shortest_s = _elapsed_s(run, self.now)
        while self.now() - begin_s < within_s:
            shortest_s = min(shortest_s, _elapsed_s(run, self.now))
        return Reading(has_gaps=False, unseen=0, seconds=shortest_s)


class EventWatch:
    """For CUDA: many launches between two events of the stream, so that neither the host nor the launch counts."""

    def __init__(self, device: str, timer: Callable[[], float]) -> None:
        self._device = device
        self.now = timer
        self.opened = contextlib.nullcontext[None]

    def shortest(self, run: Callable[[], object], within_s: float) -> Reading:
        """The mean over one reading's launches; of one launch by itself, where there is time for no more."""
        with working_on(self._device):
            alone_s = self._mean_s(run, 1)
            if not within_s:
                return Reading(has_gaps=False, unseen=0, seconds=alone_s)
            fit = max(within_s, _READING_S) / alone_s if alone_s else _MOST_LAUNCHES
            launches = int(min(fit, _MOST_LAUNCHES))
            # The clock of events has steps of half a microsecond: of a short kernel one launch says too little.
            seconds = self._mean_s(run, launches) if launches > 1 else alone_s
        return Reading(has_gaps=False, unseen=0, seconds=seconds)

    @staticmethod
    def _mean_s(run: Callable[[], object], launches: int) -> float:
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

    Where the profiler sees none, for it may not look, it is `between`, gaps included, and the reading says so.
    """

    def __init__(self, device: str, between: EventWatch) -> None:
        self._device = device
        self._between = between
        self.now = between.now

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """CUPTI leaves the process at the end."""
        return attached(self._device)

    def shortest(self, run: Callable[[], object], within_s: float) -> Reading:
        """Of one run: to profile costs more than it."""
        with working_on(self._device):
            busy = kernel_seconds(run, self._device)
        if busy.seconds:
            return Reading(has_gaps=False, unseen=-busy.kernels, seconds=busy.seconds)
        return Reading(has_gaps=True, unseen=0, seconds=self._between.shortest(run, within_s).seconds)


def best_rates(contenders: Sequence[Contender], watch: Watch, seconds: float) -> list[Rate]:
    """The best rate of each contender, its amount per second, in their order; takes about `seconds`.

    Each has run once before: a kernel may prepare itself in its first run, which is slower for it.
    """
    if not contenders:
        return []
    with watch.opened():
        readings = _readings(contenders, watch, seconds)
    pairs = zip(contenders, readings, strict=True)
    return [Rate(_rate(contender, reading.seconds), reading.has_gaps) for contender, reading in pairs]


def _readings(contenders: Sequence[Contender], watch: Watch, seconds: float) -> list[Reading]:
    """The best of each, in turns."""
    best = [NOTHING_SEEN] * len(contenders)
    alive = list(range(len(contenders)))
    end_s = watch.now() + seconds
    turns = 0
    while not turns or (turns < _TURNS and watch.now() < end_s):
        slot_s = seconds / max(len(alive), 1) / _TURNS
        for alone in (False, True):
            with one_thread(alone):
                for place in alive:
                    if contenders[place].alone == alone:
                        best[place] = min(best[place], watch.shortest(contenders[place].run, slot_s))
        turns += 1
        if turns >= _TURNS_OF_ALL:
            alive = [place for place in alive if not _is_hopeless(place, contenders, best)]
    return best


def _is_hopeless(place: int, contenders: Sequence[Contender], readings: Sequence[Reading]) -> bool:
    own = contenders[place]
    best = max(
        _rate(other, reading.seconds)
        for other, reading in zip(contenders, readings, strict=True)
        if other.group == own.group and other.bits >= own.bits
    )
    return _rate(own, readings[place].seconds) * _HOPELESS < best


def _elapsed_s(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start_s = clock()
    run()
    return clock() - start_s


def _rate(contender: Contender, took_s: float) -> float:
    # A clock may be too coarse for a short run; then nothing was seen.
    return contender.amount / took_s if took_s else 0.0
