"""What meters and the energy pass say: each code is used, in both languages, and known again in older records."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import blip_fixtures
from blip_fixtures.reasons import Reason
from blip_fixtures.reasons.groups import THROTTLED
from blip_fixtures.record.version1 import recognized, recognized_all

PACKAGE = Path(blip_fixtures.__file__).parent
ENTRIES: dict[str, dict[str, Any]] = tomllib.loads(
    files("blip_fixtures.reasons").joinpath("meters.toml").read_text(encoding="utf-8")
)
CYRILLIC = re.compile("[а-я]{3}")


def literals(folder: Path) -> set[str]:
    """Every text that stands in the code below `folder`."""
    return {
        node.value
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_is_made_by_meters_or_the_engine() -> None:
    assert set(ENTRIES) - literals(PACKAGE / "meters") - literals(PACKAGE / "engine") == set()


def test_throttling_has_sentences() -> None:
    assert set(ENTRIES) >= THROTTLED


@pytest.mark.parametrize("code", ENTRIES)
def test_each_is_said_in_russian(code: str) -> None:
    assert CYRILLIC.search(ENTRIES[code]["ru"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "there is no powercap tree at /sys/class/powercap: not Linux, a virtual machine, or the module "
            "intel_rapl_msr is not loaded; run on bare metal, or name the tree with --blip-rapl-root",
            Reason.of("powercap_no_tree", root="/sys/class/powercap"),
        ),
        (
            "cannot read intel-rapl:0/energy_uj: permission denied; run as root, grant read access (chmod a+r /x/e), "
            "or pass --blip-energy=off",
            Reason.of("powercap_forbidden", file="intel-rapl:0/energy_uj", path="/x/e"),
        ),
        (
            "perf's event power/energy-pkg/ broke off: it has no count; measure again",
            Reason.of("perf_no_count", event="power/energy-pkg/"),
        ),
        (
            "cannot load NVML: NVML Shared Library Not Found; install the NVIDIA driver, pass the device into the "
            "container (--gpus), or pass --blip-energy=off",
            Reason.of("nvml_library_missing", error="NVML Shared Library Not Found"),
        ),
        (
            "a window of 0.5 s is shorter than 10 update periods of 0.1 s; measure longer",
            Reason.of("window_too_short", window_s=0.5, periods="10", period_s=0.1),
        ),
        (
            "257143 J in 1.2 s are 2.143e+05 W, more than the 300 W that the hardware can draw; the counter was reset "
            "or is broken",
            Reason.of("more_than_can_be_drawn", joules=257143.0, window_s=1.2, watts=214300.0, most_watts=300.0),
        ),
        (
            "measured on the first 7 of 64 batches; quality uses all",
            Reason.of("energy_on_first_batches", used="7", batches="64"),
        ),
        ("the hardware slowed the GPU's clocks down because it was hot", Reason.of("gpu_hw_thermal")),
        ("This GPU has no energy counter, so its polled power was integrated.", Reason.of("polled_power")),
    ],
)
def test_sentences_of_older_records_are_known(text: str, reason: Reason) -> None:
    assert recognized(text) == reason


def test_several_sentences_of_an_older_record_are_told_apart() -> None:
    text = (
        "other processes took 25 % of the busy processor time, and the counter sees them too; the fan was loud; the "
        "windows differ by more than 10 %: 1.5 and 1.8 J per sample"
    )
    assert recognized_all(text) == [
        Reason.of("others_took_processor_time", percent=25.0),
        Reason.verbatim("the fan was loud"),
        Reason.of("windows_differ", percent=10.0, first=1.5, second=1.8),
    ]
