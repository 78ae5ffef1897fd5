"""How long a GPU is busy: fake events of torch's profiler, and a runner whose steps a test counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch is typed in part

from blip_fixtures import profiling
from blip_fixtures.engine import busy
from blip_fixtures.engine.busy import Busy, decoding_busy_share, kernel_seconds
from blip_fixtures.families.runner import Part
from tests.unit.fakes import FakeRunner, FakeTime


def event(
    start_us: float, end_us: float, device: Any = DeviceType.CUDA, annotation: bool = False, name: str = "k"
) -> Any:
    times = SimpleNamespace(start=start_us, end=end_us)
    return SimpleNamespace(time_range=times, device_type=device, is_user_annotation=annotation, name=name)


@pytest.mark.parametrize(
    ("events", "seconds", "kernels"),
    [
        ([], 0.0, 0),
        ([event(0, 10), event(20, 25)], 15e-6, 2),
        # Two streams at once are one device, and order is not that of their starts.
        ([event(20, 30), event(0, 10), event(5, 15), event(6, 7)], 25e-6, 4),
        ([event(0, 10), event(0, 1000, DeviceType.CPU)], 10e-6, 1),
        ([event(0, 10), event(0, 1000, annotation=True)], 10e-6, 1),
        # The kernel that begins each profile, as CUDA calls it.
        ([event(0, 10, name="at::cuda::(anonymous namespace)::spin_kernel(long)"), event(20, 30)], 10e-6, 1),
    ],
)
def test_busy_is_where_at_least_one_kernel_runs(events: list[Any], seconds: float, kernels: int) -> None:
    found = busy.busy(events)
    assert found.seconds == pytest.approx(seconds)
    assert found.kernels == kernels


class FakeProfiler:
    """Tells that the device was busy for `share` of the time between its start and its stop."""

    def __init__(self, time: FakeTime, share: float) -> None:
        self._time, self._share = time, share
        self._begun_s = self._ended_s = 0.0
        self.started = self.stopped = 0

    def start(self) -> None:
        self.started += 1
        self._begun_s = self._time.now_s

    def stop(self) -> None:
        self.stopped += 1
        self._ended_s = self._time.now_s

    def __enter__(self) -> FakeProfiler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def events(self) -> list[Any]:
        return [event(0, 1e6 * self._share * (self._ended_s - self._begun_s))] if self._share else []


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the device was asked, without what lets CUPTI go."""
    waited: list[str] = []

    @contextlib.contextmanager
    def attached(device: str) -> Iterator[None]:
        waited.append(f"attached {device}")
        try:
            yield
        finally:
            waited.append("detached")

    monkeypatch.setattr(busy, "attached", attached)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "_sleep", lambda _: waited.append("first kernel"))
    return waited


INPUTS: dict[str, Any] = {
    "input_ids": torch.zeros(1, 3, dtype=torch.long),
    "pixel_values": torch.zeros(1, 3, 2, 2),
}


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_the_share_is_that_of_the_steps_after_the_first(
    monkeypatch: pytest.MonkeyPatch, waited: list[str], share: float
) -> None:
    now = FakeTime()
    profiler = FakeProfiler(now, share)
    monkeypatch.setattr(busy, "profile_of", lambda _: profiler)
    runner = FakeRunner(now, tokens=5)
    clocked: list[float] = []

    def timer() -> float:
        clocked.append(now.now_s)
        return now.now_s

    found = decoding_busy_share(runner, lambda: runner.generate(**INPUTS, max_new_tokens=5), "cuda:1", timer)
    assert found == (share or None)
    # Two calls, the clock and the profiler in one of them each; both begin when the device is idle after a first step.
    assert runner.calls == 2
    assert profiler.started == 1
    assert clocked[1] - clocked[0] == 4.0
    assert waited == ["attached cuda:1", "cuda:1", "first kernel", "cuda:1", "cuda:1", "detached"]


def test_a_profile_that_a_failing_call_leaves_is_stopped(monkeypatch: pytest.MonkeyPatch, waited: list[str]) -> None:
    """torch refuses to begin a second one while a first is open."""
    now = FakeTime()
    profiler = FakeProfiler(now, 1.0)
    monkeypatch.setattr(busy, "profile_of", lambda _: profiler)
    runner = FakeRunner(now, tokens=5)

    def generate() -> None:
        runner.generate(**INPUTS, max_new_tokens=5)
        if profiler.started:
            raise MemoryError

    with pytest.raises(MemoryError):
        decoding_busy_share(runner, generate, "cuda:0", lambda: now.now_s)
    assert (profiler.started, profiler.stopped) == (1, 1)
    assert waited[-1] == "detached"


def test_the_seconds_of_kernels_leave_out_what_the_host_takes(
    monkeypatch: pytest.MonkeyPatch, waited: list[str]
) -> None:
    now = FakeTime()
    monkeypatch.setattr(busy, "profile_of", lambda _: FakeProfiler(now, 0.5))
    assert kernel_seconds(lambda: now.spend(3.0), "cuda:0") == Busy(1.5, 1)
    assert waited == ["cuda:0", "first kernel", "cuda:0", "cuda:0"]


@pytest.mark.parametrize("activity", ["CPU", "CUDA"])
def test_the_profiler_is_asked_for_one_side_alone(monkeypatch: pytest.MonkeyPatch, activity: str) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.profiler, "profile", lambda **options: asked.append(options))
    profiling.profile_of(activity)
    assert asked == [{"activities": [getattr(torch.profiler.ProfilerActivity, activity)]}]


def test_only_the_first_step_counts_as_the_begin() -> None:
    seen: list[str] = []

    class Runner:
        def parts_ended(self, note: Any) -> Any:
            for part in (Part.VISION, Part.QFORMER, Part.STEP, Part.STEP):
                note(part)
                seen.append(part)

    busy._after_first_step(Runner(), lambda: seen.append("begin"))  # type: ignore[arg-type]
    assert seen == ["vision", "qformer", "begin", "step", "step"]
