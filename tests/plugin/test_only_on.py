"""Values that belong to a sweep on one kind of device alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "test_optimization.py"
COMPILED = ["bf16+compile", "bf16+compile+int8", "bf16+compile+int4"]
ROOT = BENCHMARK.parents[1]


@pytest.mark.parametrize(("device", "there"), [("cpu", False), ("cuda:0", True)])
def test_compiled_packed_rows_join_the_sweep_on_cuda_alone(device: str, there: bool) -> None:
    command = [sys.executable, "-m", "pytest", str(BENCHMARK), "--collect-only", "-q", f"--blip-device={device}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ids = [line for line in found.splitlines() if "::" in line]
    assert len(ids) == 10 + 3 * there
    for name in COMPILED:
        assert any(f"-{name}-" in line or f"{name}-scienceqa" in line for line in ids) == there, found
    assert ("3 deselected" in found) != there
