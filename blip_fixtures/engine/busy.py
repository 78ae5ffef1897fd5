"""How much of the time a GPU is busy, as torch's profiler sees its kernels.

A step of eager decoding launches many short kernels; where the host cannot launch them as fast as the device runs them,
the device waits, and neither arithmetic nor memory is what keeps decoding from being faster. Events of the stream do
not show it: the gaps lie between them as well.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from blip_fixtures.devices import synchronize, working_on
from blip_fixtures.families.runner import Part
from blip_fixtures.profiling import attached, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from blip_fixtures.families.runner import Runner

# Of the kernel that `torch.cuda._sleep` launches.
_FIRST_KERNEL = "spin_kernel"


class Busy(NamedTuple):
    """The seconds in which at least one of so many kernels and copies ran."""

    seconds: float
    kernels: int


def kernel_seconds(run: Callable[[], object], device: str) -> Busy:
    """How long `device` is busy while `run` runs; nothing where the profiler sees no kernel.

    Within `blip_fixtures.profiling.attached`.
    """
    profiler = profile_of("CUDA")
    synchronize(device)
    with _begun(profiler, device):
        run()
        synchronize(device)
    return busy(profiler.events() or ())


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
    profiler = profile_of("CUDA")
    with attached(device), contextlib.ExitStack() as profiled:

        def start() -> None:
            synchronize(device)
            profiled.enter_context(_begun(profiler, device))

        with _after_first_step(runner, start):
            generate()
            synchronize(device)
    busy_s = busy(profiler.events() or ()).seconds
    return min(busy_s / (end_s - times[0]), 1.0) if busy_s else None


def busy(events: Iterable[Any]) -> Busy:
    """What a profiler's `events` say of the device's kernels and copies, but for the one that begins a profile."""
    from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch is typed in part

    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in events
        # An annotation spans kernels and the gaps between them.
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation and _FIRST_KERNEL not in event.name
    )
    busy_us, reached_us = 0.0, float("-inf")
    for start_us, end_us in spans:
        busy_us += max(end_us - max(start_us, reached_us), 0.0)
        reached_us = max(reached_us, end_us)
    return Busy(busy_us / 1e6, len(spans))


@contextlib.contextmanager
def _begun(profiler: Any, device: str) -> Iterator[None]:
    """Inside, `profiler` runs and has seen a kernel: the first ones of a profile may be lost (pytorch issue 192021)."""
    import torch

    with profiler:
        with working_on(device):
            # Private, and the one kernel of torch that no model has.
            torch.cuda._sleep(1)  # type: ignore[no-untyped-call]  # torch is typed in part
        synchronize(device)
        yield


def _after_first_step(runner: Runner, act: Callable[[], None]) -> Any:
    """While it is entered, `act` is called once: when the decoder's first step has ended."""
    seen: list[Part] = []

    def note(part: Part) -> None:
        if part == Part.STEP and part not in seen:
            seen.append(part)
            act()

    return runner.parts_ended(note)
