"""The tool that holds the counter against polled power, on the stand-in for NVML and real time."""

from __future__ import annotations

import pytest

from tests.nvml.conftest import Play

SNIPPET = """
import time
from tools.gpu_energy import side_by_side
say(side_by_side([NvmlMeter('GPU-1'), NvmlMeter('GPU-1', polled=True)], lambda: time.sleep(1.0)))
"""


def test_counter_and_polled_power_agree(play: Play) -> None:
    counter, polled = play(SNIPPET, "clock real", "device GPU-1 power_w 200 period_ms 20")
    assert (counter["source"], polled["source"]) == ("nvml", "nvml-power")
    assert abs(counter["joules"] - 200 * counter["window_s"]) <= counter["error_bound_j"]
    assert polled["ratio_to_first"] == pytest.approx(1.0, abs=0.1)
