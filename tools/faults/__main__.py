"""``python -m tools.faults NAME --count N --seed S --out FILE.json``: one part of the campaign, and what it found.

`short` is a little of each part, within some minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

# What each part counts in a short campaign; the memory of many runs is for a long one.
SHORT = {"kill": 1, "signals": 1, "writes": 2, "locks": 2, "hang": 2}
PARTS = ("kill", "signals", "writes", "locks", "hang", "memory")


def main() -> int:
    """Exit code 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "short"))
    parser.add_argument("--count", type=int, default=20, help="how often; of `memory` for how many seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets what was found")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    from tools.faults import facts, runs

    runs.warm_up()
    begun_s = time.monotonic()
    wanted = SHORT if options.part == "short" else {options.part: options.count}
    parts = {part: _campaign(part, count, options.seed) for part, count in wanted.items()}
    found = parts.get(options.part, {"parts": parts})
    wrong = [text for part in parts.values() for text in part["wrong"]]
    found |= {"part": options.part, "seed": options.seed, "took_s": round(time.monotonic() - begun_s)}
    print(facts.write(found, "tools.faults", options.out))
    return 1 if wrong else 0


def _campaign(part: str, count: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        found: dict[str, Any] = import_module(f"tools.faults.{part}").campaign(Path(place), count, seed)
    return found


if __name__ == "__main__":
    sys.exit(main())
