"""A powercap tree whose counters advance at a known power, written by a process of its own.

Run as ``python advancing_tree.py FOLDER PERIOD_S ZONE=WATTS ...``; it prints a line when the tree is there and ends
with its standard input.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RANGE_UJ = 262_143_328_850
LIMIT_UW = 150_000_000


def write_forever(root: Path, period_s: float, watts: dict[str, float]) -> None:
    """One zone for each name, all of them begun shortly before they wrap."""
    zones = {}
    for number, name in enumerate(watts):
        zones[name] = root / f"intel-rapl:{number}"
        zones[name].mkdir(parents=True)
        (zones[name] / "name").write_text(f"{name}\n")
        (zones[name] / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        (zones[name] / "constraint_0_power_limit_uw").write_text(f"{LIMIT_UW}\n")
    start_s = time.perf_counter()
    announced = False
    while not select.select([sys.stdin], [], [], period_s)[0]:
        for name, zone in zones.items():
            unfinished = zone / "energy_uj.tmp"
            elapsed_s = time.perf_counter() - start_s
            unfinished.write_text(f"{(RANGE_UJ - 60_000_000 + round(1e6 * watts[name] * elapsed_s)) % RANGE_UJ}\n")
            unfinished.replace(zone / "energy_uj")
        if not announced:
            print("ready", flush=True)
            announced = True


@contextlib.contextmanager
def advancing_tree(root: Path, watts: dict[str, float], period_s: float = 0.004) -> Iterator[Path]:
    """The tree under `root` while the context lasts."""
    command = [
        sys.executable,
        __file__,
        str(root),
        str(period_s),
        *(f"{name}={level}" for name, level in watts.items()),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        try:
            yield root
        finally:
            writer.stdin.close()


if __name__ == "__main__":
    pairs = [argument.rsplit("=", 1) for argument in sys.argv[3:]]
    write_forever(Path(sys.argv[1]), float(sys.argv[2]), {name: float(level) for name, level in pairs})
