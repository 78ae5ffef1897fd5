"""What NVML reports of a GPU, through its meter, the energy pass and a file of records, to the gate's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Process, read_process
from tests.nvml.conftest import Play
from tests.unit.sides import noisy_side, write_run

GPU = "device GPU-1 power_w 100"
# Each call takes a second of the clock that library and meter share, and each reading of it a millisecond.
ENERGY = """
import msgspec
from blip_fixtures.engine.energy import Call, Timing, energy_pass
from blip_fixtures.words import Domain

def tick():
    at(now + 0.001)
    return now

gpu = NvmlMeter("GPU-1", clock=tick)
calls = [Call(lambda: at(now + 1.0), samples=4, tokens=8)]
timing = Timing(clock=lambda: now, sleep=lambda seconds: at(now + seconds), random_share=lambda: 0.5)
found = energy_pass({Domain.GPU: gpu}, calls, {}, lambda: None, timing=timing)
say(msgspec.to_builtins(found.energy))
"""


@pytest.fixture
def side(play: Play, tmp_path: Path) -> Any:
    """Runs of one code on a GPU that NVML describes by lines, as read from their files."""

    def runs(first: int, *lines: str, slower: float = 1.0) -> list[Process]:
        energy = play(ENERGY, *lines)
        found = noisy_side(first, device="cuda:0", energy=energy, slower=slower)
        return [
            read_process(write_run(tmp_path / f"{first + number}.json", list(process.records.values())))
            for number, process in enumerate(found)
        ]

    return runs


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (0x08, "the hardware slowed the GPU's clocks down"),
        (0x20, "the driver slowed the GPU's clocks down because it was hot"),
        (0x40, "the hardware slowed the GPU's clocks down because it was hot"),
        (0x80, "the power supply made the GPU slow its clocks down"),
    ],
)
def test_a_throttled_gpu_is_not_judged(side: Any, mask: int, why: str) -> None:
    # A power cap beside it is how a busy GPU runs, and no reason.
    rules = parse_rules(["latency:10%", "latency_p90:10%", "time_to_first_token:10%", "flops:0%"])
    judgement = judge(side(0, GPU), side(10, f"{GPU} reasons {mask | 0x4:#x}", slower=1.4), rules)
    timed = [finding for finding in judgement.findings if finding.metric != "flops"]
    assert len(timed) == 6, "three metrics of two cases"
    for finding in timed:
        assert finding.verdict == Verdict.INCONCLUSIVE
        assert finding.reason is not None
        assert finding.reason.code == "side_throttled_in_some"
        assert str(finding.reason) == f"the run is throttled: {why} in 3 of 3 processes"
    assert not judgement.regressed


def test_a_throttled_baseline_is_not_judged_either(side: Any) -> None:
    judgement = judge(side(0, f"{GPU} reasons 0x40"), side(10, GPU, slower=1.4), parse_rules(["latency:10%"]))
    assert {str(finding.reason) for finding in judgement.findings} == {
        "the baseline is throttled: the hardware slowed the GPU's clocks down because it was hot in 3 of 3 processes"
    }


def test_its_energy_is_not_judged_either(side: Any) -> None:
    judgement = judge(side(0, GPU), side(10, f"{GPU} reasons 0x8"), parse_rules(["energy:10%", "flops:0%"]))
    found = {finding.verdict for finding in judgement.findings if finding.metric == "energy"}
    assert found == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize("mask", [0x0, 0x1, 0x2, 0x4, 0x10, 0x100])
def test_what_a_healthy_gpu_reports_is_judged(side: Any, mask: int) -> None:
    judgement = judge(side(0, GPU), side(10, f"{GPU} reasons {mask:#x}", slower=1.4), parse_rules(["latency:10%"]))
    assert {finding.verdict for finding in judgement.findings} == {Verdict.REGRESSION}


def test_a_gpu_that_others_used_is_not_judged(side: Any) -> None:
    # Process 1 is another one, and `self` is the one that measures.
    now = side(10, GPU, "process self", "process 1", slower=1.4)
    judgement = judge(side(0, GPU, "process self"), now, parse_rules(["latency:10%"]))
    assert {str(finding.reason) for finding in judgement.findings} == {
        "the run is contended: 1 other compute process was on the GPU in 3 of 3 processes"
    }
    assert {finding.verdict for finding in judgement.findings} == {Verdict.INCONCLUSIVE}
