"""What the suite asks of a CUDA device, on a stand-in for `torch.cuda` that notes the calls."""

from __future__ import annotations

import time

import pytest
import torch

from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.devices import device_name, synchronizing_timer
from blip_fixtures.engine.peak_memory import PeakMemory

SEGMENTS = [
    {"device": device, "segment_pool_id": pool, "total_size": size}
    for device, pool, size in ((0, (0, 0), 1), (0, (0, 1), 20), (0, (0, 2), 300), (1, (0, 3), 4000), (1, (0, 0), 50000))
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    allocated = iter([1000, 1000])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(f"synchronize {device}"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(f"reset {device}"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(allocated))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5000)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 9000)
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda mempool_id=None: SEGMENTS)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty_cache"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    return calls


def test_the_timer_waits_for_the_device_before_it_reads_the_clock(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> float:
        calls.append("read")
        return 1.0

    monkeypatch.setattr(time, "perf_counter", read)
    assert synchronizing_timer("cuda:1")() == 1.0
    assert calls == ["synchronize cuda:1", "read"]


def test_the_cpu_has_nothing_to_wait_for(calls: list[str]) -> None:
    assert synchronizing_timer("cpu")() > 0
    assert calls == []


def test_peak_memory_is_that_of_the_devices_allocator(calls: list[str]) -> None:
    with PeakMemory("cuda:0") as peak:
        pass
    assert (peak.growth_bytes, peak.reserved_bytes, peak.kind) == (4000, 9000, "cuda_allocator")
    # What earlier calls left unused is given back first, or it would count as reserved for this one.
    assert calls == ["empty_cache", "reset cuda:0"]


@pytest.mark.parametrize(("device", "kept"), [("cuda:0", 320), ("cuda:1", 4000)])
@pytest.mark.usefixtures("calls")
def test_the_pools_of_cuda_graphs_are_kept_between_calls(device: str, kept: int) -> None:
    with PeakMemory(device) as peak:
        pass
    assert peak.graph_bytes == kept


def test_evicting_hands_the_devices_memory_back(calls: list[str], checkpoint: Checkpoint) -> None:
    models = OneLiveModel(
        lambda checkpoint, device, optimization: LoadedModel(checkpoint, device, optimization, object(), 0.0)
    )
    models.get(checkpoint, "cuda:0", "fp16")
    models.get(checkpoint, "cpu", "fp16")
    assert calls == ["empty_cache"]
    models.evict()
    assert calls == ["empty_cache"]


def test_the_devices_name(calls: list[str]) -> None:
    assert device_name("cuda:0") == "NVIDIA H200"
