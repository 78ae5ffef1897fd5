"""How long a GPU is busy: fake events of torch's profiler, and a runner whose steps a test counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch is typed in part

from blip_fixtures.engine import busy
from blip_fixtures.engine.busy import busy_seconds, decoding_busy_share, kernel_seconds
from blip_fixtures.families.runner import Part
from tests.unit.fakes import FakeRunner, FakeTime


def event(start_us: float, end_us: float, device: Any = DeviceType.CUDA, annotation: bool = False) -> Any:
    times = SimpleNamespace(start=start_us, end=end_us)
    return SimpleNamespace(time_range=times, device_type=device, is_user_annotation=annotation)


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([], 0.0),
        ([event(0, 10), event(20, 25)], 15e-6),
        # Two streams at once are one device, and order is not that of their starts.
        ([event(20, 30), event(0, 10), event(5, 15), event(6, 7)], 25e-6),
        ([event(0, 10), event(0, 1000, DeviceType.CPU)], 10e-6),
        ([event(0, 10), event(0, 1000, annotation=True)], 10e-6),
    ],
)
def test_busy_is_where_at_least_one_kernel_runs(events: list[Any], seconds: float) -> None:
    assert busy_seconds(events) == pytest.approx(seconds)


class FakeProfiler:
    """Tells that the device was busy for `share` of the time between its start and its stop."""

    def __init__(self, time: FakeTime, share: float) -> None:
        self._time, self._share = time, share
        self._begun_s = self._ended_s = 0.0
        self.started = 0

    def start(self) -> None:
        self.started += 1
        self._begun_s = self._time.now_s

    def stop(self) -> None:
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
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    return waited


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_the_share_is_that_of_the_steps_after_the_first(
    monkeypatch: pytest.MonkeyPatch, waited: list[str], share: float
) -> None:
    now = FakeTime()
    profiler = FakeProfiler(now, share)
    monkeypatch.setattr(busy, "_profiler", lambda: profiler)
    runner = FakeRunner(now, tokens=5)
    inputs: dict[str, Any] = {"input_ids": torch.zeros(1, 3, dtype=torch.long), "pixel_values": torch.zeros(1, 3, 2, 2)}
    clocked: list[float] = []

    def timer() -> float:
        clocked.append(now.now_s)
        return now.now_s

    found = decoding_busy_share(runner, lambda: runner.generate(**inputs, max_new_tokens=5), "cuda:1", timer)
    assert found == (share or None)
    # Two calls, the clock and the profiler in one of them each; both begin when the device is idle after a first step.
    assert runner.calls == 2
    assert profiler.started == 1
    assert clocked[1] - clocked[0] == 4.0
    assert waited == ["cuda:1", "cuda:1"]


def test_the_seconds_of_kernels_leave_out_what_the_host_takes(
    monkeypatch: pytest.MonkeyPatch, waited: list[str]
) -> None:
    now = FakeTime()
    monkeypatch.setattr(busy, "_profiler", lambda: FakeProfiler(now, 0.5))
    assert kernel_seconds(lambda: now.spend(3.0), "cuda:0") == pytest.approx(1.5)
    assert waited == ["cuda:0", "cuda:0"]


def test_the_profiler_is_asked_for_the_device_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.profiler, "profile", lambda **options: asked.append(options))
    busy._profiler()
    assert asked == [{"activities": [torch.profiler.ProfilerActivity.CUDA]}]


def test_only_the_first_step_counts_as_the_begin() -> None:
    seen: list[str] = []

    class Runner:
        def parts_ended(self, note: Any) -> Any:
            for part in (Part.VISION, Part.QFORMER, Part.STEP, Part.STEP):
                note(part)
                seen.append(part)

    busy._after_first_step(Runner(), lambda: seen.append("begin"))  # type: ignore[arg-type]
    assert seen == ["vision", "qformer", "begin", "step", "step"]
