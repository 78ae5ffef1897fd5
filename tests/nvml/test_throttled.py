"""A throttled GPU, from what NVML reports through its meter to the record's energy."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blip_fixtures.reasons import say_all
from blip_fixtures.reasons.groups import THROTTLED
from blip_fixtures.record import Energy
from blip_fixtures.words import EnergyStatus
from tests.nvml.conftest import Play

# A clock that goes on while it is read, since the pass waits for the counter's next move.
ENERGY_PASS = """
import msgspec
from blip_fixtures.engine.energy import Call, Timing, energy_pass

def clock():
    at(now + 0.001)
    return now

gpu = NvmlMeter("GPU-1", clock=clock)
gpu.open()
codes = [reason.code for reason in gpu.conditions().degraded]
gpu.close()
gpu.update_period_s = 0.02
calls = [Call(lambda: at(now + 0.5), samples=2, tokens=10)]
timing = Timing(clock, lambda seconds: at(now + seconds), lambda: 0.5)
found = energy_pass({gpu.domain: gpu}, calls, {gpu.domain: 20.0}, lambda: None, timing=timing)
say([codes, msgspec.to_builtins(found.energy)])
"""


def measured(play: Play, reasons: int) -> tuple[list[str], Energy]:
    """What the meter says of the GPU, and the entry of the record."""
    codes: list[str]
    energy: dict[str, Any]
    codes, energy = play(ENERGY_PASS, f"device GPU-1 power_w 100 reasons {reasons:#x}", "process self")
    return codes, msgspec.convert(energy["gpu"], Energy)


def test_hw_thermal_reaches_the_record_as_a_code(play: Play) -> None:
    codes, entry = measured(play, 0x40)
    assert codes == ["gpu_hw_thermal"]
    assert entry.status == EnergyStatus.DEGRADED
    assert [reason.code for reason in entry.reasons] == ["gpu_hw_thermal"]
    assert THROTTLED.intersection(reason.code for reason in entry.reasons)
    assert say_all(entry.reasons) == "the hardware slowed the GPU's clocks down because it was hot"
    assert say_all(entry.reasons, "ru") == "аппаратура снизила частоты GPU из-за перегрева"
    assert entry.joules_per_sample == pytest.approx(25.0, rel=0.02)
    assert all(facts["throttle_reasons"] == ["hw_thermal"] for facts in entry.conditions)


def test_a_power_cap_is_a_fact_and_no_doubt(play: Play) -> None:
    codes, entry = measured(play, 0x4)
    assert codes == []
    assert (entry.status, entry.reasons) == (EnergyStatus.OK, ())
    assert all(facts["throttle_reasons"] == ["sw_power_cap"] for facts in entry.conditions)
