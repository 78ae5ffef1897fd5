"""``python -m tools.faults NAME --count N --seed S --out FILE.json``: one part of the campaign, and what it found."""

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

PARTS = ("kill", "signals", "writes", "locks", "hang", "memory")
_PACKAGES = ("torch", "transformers", "pytest", "pytest-benchmark", "filelock")


def main() -> int:
    """Exit code 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=20, help="how often; of `memory` for how many seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets what was found")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    from tools.faults import runs

    runs.warm_up()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        found = import_module(f"tools.faults.{options.part}").campaign(Path(place), options.count, options.seed)
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
    return 1 if found["wrong"] else 0


def _machine() -> str:
    from blip_fixtures.devices import cpu_model

    return f"{cpu_model()}, {platform.platform()}"


if __name__ == "__main__":
    sys.exit(main())
