"""Two cards with one model across them, on the real binding: energy by UUID and their sum, the clocks of each."""

from __future__ import annotations

from tests.nvml.conftest import Play
from tests.nvml.test_nvml import FIRST, SECOND

SEARCH = f"""
from pathlib import Path
from blip_fixtures.meters import finding, nvml
from blip_fixtures.words import Domain

nvml.why_unavailable = lambda _device: None
nvml.torch_device_uuid = lambda device: {{"cuda:0": {SECOND!r}, "cuda:1": {FIRST!r}}}[device]

def clock():
    at(now + 0.001)
    return now

found = finding.find_meters(["cuda:0+cuda:1"], Path("no-tree"), sources=[nvml.meters_of], clock=clock)
entry = found.by_device["cuda:0+cuda:1"][Domain.GPU]
"""
TEN_SECONDS = """
entry.open()
begin = entry.read()
at(now + 10.0)
end = entry.read()
watts = [(b - a) / 1e6 / (end.before_s - begin.before_s) for a, b in zip(begin.counters_uj, end.counters_uj)]
say([watts, entry.source, entry.scope, entry.power_limits_w, sorted(entry.conditions().facts)])
"""
CLOCKS = """
from blip_fixtures.engine.clocks import WatchedLoop
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import Found
from blip_fixtures.engine.passes.latency import summarize
from blip_fixtures.meters import clocks

clocks.torch_device_uuid = lambda device: {"cuda:0": "GPU-2", "cuda:1": "GPU-1"}[device]
loop = WatchedLoop(PlainLoop(lambda: 1.0), "cuda:0+cuda:1")
rounds_s = loop(lambda _inputs: None, lambda: None, 2, 0)
told = loop.told(Found(latency=summarize(rounds_s, rounds_s, 0)))
say([list(told.latency.conditions), [str(note) for note in told.notes]])
"""


def test_each_card_is_read_by_its_uuid_whatever_nvmls_order(play: Play) -> None:
    gpus = (f"device {FIRST} power_w 100", f"device {SECOND} power_w 300 max_limit_w 700")
    watts, source, scope, limits_w, facts = play(SEARCH + TEN_SECONDS, *gpus)
    assert [round(each) for each in watts] == [300, 100]
    assert (source, scope, limits_w) == ("nvml", "board", [700, 400])
    assert facts == ["cuda:0", "cuda:1"]


def test_a_card_without_a_counter_is_named(play: Play) -> None:
    gpus = (f"device {FIRST} power_w 100", f"device {SECOND} power_w 300")
    said = "say([entry.status, entry.reason.code, entry.reason.args['card']])"
    hidden = f"error nvmlDeviceGetHandleByIndex_v2 4 {FIRST}"
    assert play(SEARCH + said, *gpus, hidden) == ["permission", "card_without_meter", "cuda:1"]


def test_the_clocks_of_each_are_told(play: Play) -> None:
    gpus = (
        "device GPU-1 sm_mhz 1980 memory_mhz 2619 temperature_c 61",
        "device GPU-2 sm_mhz 1410 memory_mhz 1593 temperature_c 50",
    )
    conditions, notes = play(CLOCKS, *gpus)
    assert [{card: facts["sm_clock_mhz"] for card, facts in each.items()} for each in conditions] == [
        {"cuda:0": 1410, "cuda:1": 1980}
    ] * 2
    assert len(notes) == 2
    assert "cuda:0 had an SM clock of 1410 to 1410 MHz, a memory clock of 1593 MHz or more" in notes[0]
    assert "cuda:1 had an SM clock of 1980 to 1980 MHz" in notes[1]
