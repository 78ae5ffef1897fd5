"""Runs one after another in one process: the resident memory must not grow."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil

from tools.faults.runs import FEW, ROOT, new_home

if TYPE_CHECKING:
    from pathlib import Path

_ONE_SWEEP = (*FEW[:-1], "test_batch_size and not compile", "--blip-lock=off")
# Before it libraries fill their caches.
_WARM_UP = 0.2
_GOAL = 0.02


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """For `count` seconds; the growth is that of the second half's median over the first's, after the warm-up."""
    del seed
    import pytest

    sys.path.insert(0, str(ROOT))
    os.chdir(new_home(place, 0))
    resident: list[int] = []
    end_s = time.monotonic() + count
    while time.monotonic() < end_s:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code = pytest.main(list(_ONE_SWEEP))
        assert code == 0, said.getvalue()
        resident.append(_resident_bytes())
        print(f"[{len(resident)}] {resident[-1] / 2**20:.1f} MiB", flush=True)
    steady = resident[round(_WARM_UP * len(resident)) :]
    half = len(steady) // 2
    growth = statistics.median(steady[half:]) / statistics.median(steady[:half]) - 1
    return {
        "runs": len(resident),
        "seconds": count,
        "resident_mib": [round(size / 2**20, 1) for size in resident],
        "growth": round(growth, 4),
        "open_files": psutil.Process().num_fds(),
        "wrong": [f"resident memory grew by {100 * growth:.1f} %"] if growth > _GOAL else [],
    }


def _resident_bytes() -> int:
    gc.collect()
    # What is freed and kept by the C library is no growth.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)
