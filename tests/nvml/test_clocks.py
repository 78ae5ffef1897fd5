"""The clocks of a GPU in the timed rounds: what NVML says, when it is asked, and what the gate makes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.reasons import Reason
from blip_fixtures.words import PassName
from tests.nvml.conftest import Play
from tests.unit.sides import noisy_side

GPU = "device GPU-1 sm_mhz 1980 memory_mhz 2619 temperature_c 61"
ROUNDS = """
import msgspec
from blip_fixtures.engine import clocks
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import Found
from blip_fixtures.engine.passes.latency import summarize
from blip_fixtures.meters import clocks as of_gpus

order = []
of_gpus.torch_device_uuid = lambda _device: "GPU-1"
facts = of_gpus.GpuState.facts
of_gpus.GpuState.facts = lambda state: (order.append("read"), facts(state))[1]
timer = lambda: (order.append("tick"), 1.0)[1]
found = {}
for device in ("cuda:0", "cpu"):
    order.clear()
    loop = clocks.WatchedLoop(PlainLoop(timer), device)
    rounds_s = loop(lambda _inputs: order.append("run"), lambda: order.append("set up"), 3, 1)
    told = loop.told(Found(latency=summarize(rounds_s, rounds_s, 1)))
    found[device] = [list(order), list(told.latency.conditions), msgspec.to_builtins(told.notes)]
say(found)
"""


def in_rounds(play: Play, *lines: str) -> tuple[list[str], list[dict[str, Any]], list[Reason]]:
    order, conditions, notes = play(ROUNDS, *lines)["cuda:0"]
    return order, conditions, msgspec.convert(notes, list[Reason])


def test_nothing_is_read_inside_a_timed_region(play: Play) -> None:
    order, conditions, _ = in_rounds(play, GPU)
    assert order == ["read", "set up", "tick", "run", "tick"] * 4 + ["read"]
    facts = {"sm_clock_mhz": 1980, "memory_clock_mhz": 2619, "temperature_c": 61, "throttle_reasons": []}
    assert conditions == [facts] * 3, "one for each timed round, none of the warm-up"


def test_a_processor_has_no_such_clocks(play: Play) -> None:
    order, conditions, notes = play(ROUNDS, GPU)["cpu"]
    assert order == ["set up", "tick", "run", "tick"] * 4
    assert (conditions, notes) == ([], [])


def test_the_clocks_are_told_beside_the_latency(play: Play) -> None:
    (note,) = in_rounds(play, GPU)[2]
    assert note.scope == PassName.LATENCY
    assert str(note) == (
        "just after the timed rounds the GPU's SM clock was 1980 to 1980 MHz, its memory clock 2619 MHz or more, and "
        "its temperature 61 C or less"
    )


@pytest.mark.parametrize(
    ("mask", "code"),
    [(0x08, "gpu_hw_slowdown"), (0x20, "gpu_sw_thermal"), (0x40, "gpu_hw_thermal"), (0x80, "gpu_hw_power_brake")],
)
def test_a_gpu_that_was_throttled_in_the_rounds_is_not_judged(play: Play, mask: int, code: str) -> None:
    # A power cap is how a busy GPU runs, and no reason.
    notes = in_rounds(play, f"{GPU} reasons {mask | 0x4:#x}")[2]
    assert [note.code for note in notes] == [code, "clocks_in_rounds"]
    assert {note.scope for note in notes} == {PassName.LATENCY}
    for of_base, of_now, named in ((notes, [], "baseline"), ([], notes, "run")):
        base = noisy_side(0, device="cuda:0", notes=of_base)
        now = noisy_side(10, device="cuda:0", slower=1.4, notes=of_now)
        findings = judge(base, now, parse_rules(["latency:10%"])).findings
        assert {finding.verdict for finding in findings} == {Verdict.INCONCLUSIVE}
        said = {str(finding.reason) for finding in findings}
        assert said == {f"the {named} is throttled: {notes[0]} in 3 of 3 processes"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([GPU, "error nvmlInitWithFlags 9"], "nvml_driver_not_loaded"),
        ([GPU, "error nvmlInitWithFlags 4"], "nvml_load_forbidden"),
        (["device GPU-2"], "gpu_not_shown"),
    ],
)
def test_clocks_that_nvml_does_not_tell_are_named(play: Play, lines: list[str], code: str) -> None:
    _, conditions, notes = in_rounds(play, *lines)
    assert conditions == []
    assert [note.code for note in notes] == ["clocks_not_read", code]
    assert {note.scope for note in notes} == {PassName.LATENCY}


def test_a_gpu_that_tells_no_clock_has_no_invented_one(play: Play) -> None:
    _, conditions, notes = in_rounds(play, GPU, "error nvmlDeviceGetClockInfo 3")
    assert {facts["sm_clock_mhz"] for facts in conditions} == {"unknown"}
    assert notes == []
