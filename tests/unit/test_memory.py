"""Peak memory of the process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from blip_fixtures.engine import peak_memory
from blip_fixtures.engine.peak_memory import PeakMemory

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
