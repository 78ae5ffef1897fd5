"""Peak memory of the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine import Job, SampleSource, Session, peak_memory
from blip_fixtures.engine.peak_memory import PeakMemory
from blip_fixtures.engine.stock import Stock
from blip_fixtures.families.compiling import CompiledRunner
from blip_fixtures.record import Memory, Record
from blip_fixtures.words import EnergyMode, PassName
from tests.unit.fakes import FakeModels, FakeTime

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's high-water mark")
@pytest.mark.parametrize("mebibytes", [64, 256])
def test_a_passing_allocation_is_seen(mebibytes: int) -> None:
    with PeakMemory("cpu") as peak:
        torch.ones(mebibytes * MIB, dtype=torch.uint8)
    assert peak.growth_bytes == pytest.approx(mebibytes * MIB, rel=0.1, abs=4 * MIB)
    assert peak.reason is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's high-water mark")
def test_an_earlier_peak_is_forgotten() -> None:
    torch.ones(512 * MIB, dtype=torch.uint8)
    with PeakMemory("cpu") as peak:
        pass
    assert peak.growth_bytes is not None
    assert peak.growth_bytes < 8 * MIB


def test_no_mark_means_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "_CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    with PeakMemory("cpu") as peak:
        pass
    assert peak.growth_bytes is None
    assert peak.reason is not None
    assert peak.reason.code == "peak_not_reset"


def job_on(device: str, optimization: str = "fp32", **settings: Any) -> Job:
    case = Case(
        model="instructblip-tiny",
        dataset="textvqa",
        device=device,
        optimization=optimization,
        batch_size=2,
        image_size=224,
        sequence_length=50,
    )
    passes = (PassName.LATENCY, PassName.MEMORY)
    limits: dict[str, Any] = {"samples": SampleSource(limit=4), "rounds": 1, "warmup_rounds": 0, "passes": passes}
    return Job.of(case, energy=EnergyMode.OFF, **{**limits, **settings})


def test_the_peak_counts_what_a_runner_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    class Peak:
        kind, growth_bytes, graph_bytes, reserved_bytes, reason = "cuda_allocator", 1000, 200, 5000, None

        def __init__(self, _device: str) -> None: ...
        def __enter__(self) -> Peak:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("blip_fixtures.engine.passes.memory.PeakMemory", Peak)
    monkeypatch.setattr("tests.unit.fakes.FakeRunner.held_bytes", 30)
    time = FakeTime()
    record = Session(load=FakeModels(time).load, timer=time.timer).measure(job_on("cpu"))
    assert record.memory == Memory(
        weights_bytes=32,
        peak_bytes=32 + 30 + 200 + 1000,
        kind="cuda_allocator",
        held_bytes=230,
        reserved_bytes=5000,
    )
    assert "memory.reserved_bytes" not in record.missing


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's high-water mark")
def test_static_caches_of_a_compiled_row_are_in_its_peak(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts run as they are, since compiling them takes a minute: the buffers are the same."""
    monkeypatch.setattr(CompiledRunner, "_compiled", lambda _runner, part, **_: part)
    proof = {"compile_s": 0.0, "token_agreement_with_uncompiled": 1.0}
    monkeypatch.setattr("blip_fixtures.optimizations.Optimization.proof", lambda *_: proof)
    new_tokens, stock = NewTokens(6), Stock()

    def measured(name: str) -> Record:
        with Session(stock=stock) as session:
            return session.measure(job_on("cpu", name, new_tokens=new_tokens))

    plain, compiled = measured("fp32").memory, measured("fp32+compile").memory
    assert plain is not None
    assert compiled is not None
    assert plain.held_bytes == 0
    text, query_tokens = checkpoint.config["text_config"], checkpoint.config["num_query_tokens"]
    room = -(-(50 + query_tokens + 1) // 8) * 8
    rows, layers, width = 2, text["num_decoder_layers"], text["num_heads"] * text["d_kv"]
    # Keys and values of the answer and of the prompt with a count each, a mask of integers, and the encoder's states.
    keys_and_values = 2 * rows * layers * width * (new_tokens.limit + room) * 4
    counts = sum(2 * layers * size for size in (8,))
    assert compiled.held_bytes == pytest.approx(keys_and_values + rows * room * (8 + 4 * text["d_model"]), abs=counts)
    assert compiled.peak_bytes is not None
    assert compiled.weights_bytes is not None
    assert compiled.peak_bytes >= compiled.weights_bytes + (compiled.held_bytes or 0)


def test_only_cuda_reserves() -> None:
    time = FakeTime()
    record = Session(load=FakeModels(time).load, timer=time.timer).measure(job_on("cpu"))
    assert record.memory is not None
    assert record.memory.reserved_bytes is None
    assert record.missing["memory.reserved_bytes"].code == "reserves_nothing"
