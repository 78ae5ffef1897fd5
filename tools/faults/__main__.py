"""``python -m tools.faults NAME --count N --seed S --out FILE.json``: one part of the campaign, and what it found.

`short` is a little of each part, within some minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What each part counts in a short campaign; the memory of many runs is for a long one.
SHORT = {"kill": 2, "signals": 1, "writes": 3, "locks": 2, "hang": 2}
PARTS = ("kill", "signals", "writes", "locks", "hang", "memory")
_PACKAGES = ("torch", "transformers", "pytest", "pytest-benchmark", "filelock")


def main() -> int:
    """Exit code 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "short"))
    parser.add_argument("--count", type=int, default=20, help="how often; of `memory` for how many seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets what was found")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    from tools.faults import runs

    runs.warm_up()
    begun_s = time.monotonic()
    wanted = SHORT if options.part == "short" else {options.part: options.count}
    parts = {part: _campaign(part, count, options.seed) for part, count in wanted.items()}
    found = parts.get(options.part, {"parts": parts})
    wrong = [text for part in parts.values() for text in part["wrong"]]
    found |= {
        "part": options.part,
        "seed": options.seed,
        "took_s": round(time.monotonic() - begun_s),
        "command": shlex.join(["python", "-m", "tools.faults", *sys.argv[1:]]),
        "machine": _machine(),
        "versions": {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    return 1 if wrong else 0


def _campaign(part: str, count: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        found: dict[str, Any] = import_module(f"tools.faults.{part}").campaign(Path(place), count, seed)
    return found


def _machine() -> str:
    from blip_fixtures.devices import cpu_model

    return f"{cpu_model()}, {platform.platform()}"


if __name__ == "__main__":
    sys.exit(main())
