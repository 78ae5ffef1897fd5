"""How much of the time a GPU is busy, as torch's profiler sees its kernels.

A step of eager decoding launches many short kernels; where the host cannot launch them as fast as the device runs them,
the device waits, and neither arithmetic nor memory is what keeps decoding from being faster. Events of the stream do
not show it: the gaps lie between them as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.devices import synchronize
from blip_fixtures.families.runner import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.families.runner import Runner


def kernel_seconds(run: Callable[[], object], device: str) -> float:
    """The seconds in which `device` is busy while `run` runs; 0 where the profiler sees no kernel."""
    profiler = _profiler()
    synchronize(device)
    with profiler:
        run()
        synchronize(device)
    return busy_seconds(profiler.events() or ())


def decoding_busy_share(
    runner: Runner, generate: Callable[[], object], device: str, timer: Callable[[], float]
) -> float | None:
    """The share of the decoder's steps after the first in which `device` is busy; `None` where no kernel was seen.

    ``generate()`` is called twice: the profiler lengthens the host's part, so it does not run while the clock does.
    `timer` waits for the device before it reads the clock.
    """
    times: list[float] = []
    with _after_first_step(runner, lambda: times.append(timer())):
        generate()
        end_s = timer()
    profiler = _profiler()

    def start() -> None:
        synchronize(device)
        profiler.start()

    with _after_first_step(runner, start):
        generate()
        synchronize(device)
        profiler.stop()
    busy_s = busy_seconds(profiler.events() or ())
    return min(busy_s / (end_s - times[0]), 1.0) if busy_s else None


def busy_seconds(events: Iterable[Any]) -> float:
    """The seconds in which at least one of the device's kernels and copies among a profiler's `events` runs."""
    from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch is typed in part

    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in events
        # An annotation spans kernels and the gaps between them.
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    )
    busy_us, reached_us = 0.0, float("-inf")
    for start_us, end_us in spans:
        busy_us += max(end_us - max(start_us, reached_us), 0.0)
        reached_us = max(reached_us, end_us)
    return busy_us / 1e6


def _profiler() -> Any:
    from torch.profiler import ProfilerActivity, profile

    # Of the device alone: to note what the host does takes time on the host.
    return profile(activities=[ProfilerActivity.CUDA])


def _after_first_step(runner: Runner, act: Callable[[], None]) -> Any:
    """While it is entered, `act` is called once: when the decoder's first step has ended."""
    seen: list[Part] = []

    def note(part: Part) -> None:
        if part == Part.STEP and part not in seen:
            seen.append(part)
            act()

    return runner.parts_ended(note)
