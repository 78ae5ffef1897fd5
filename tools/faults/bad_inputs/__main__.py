"""``python -m tools.faults.bad_inputs``: run every bad input and print the page of them, or write it (``--write``)."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tools.faults import facts
from tools.faults.bad_inputs import running
from tools.faults.bad_inputs.given import ROOT
from tools.faults.bad_inputs.page import page
from tools.faults.bad_inputs.table import INPUTS

PAGE = ROOT / "docs" / "bad-inputs.md"


def main() -> int:
    """Exit code 1 where an input is not refused as it should be; standard error says which, and how."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults.bad_inputs", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument(
        "--outcomes", type=Path, metavar="FILE.jsonl", help="gets what came of each input, for the test"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only inputs with this text in their command or group"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets how many there were, and which were wrong")
    options = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as caches:
        running.prepare(Path(caches))
        asked = [given for given in INPUTS if options.only in f"{given.group}: {given.command}"]
        outcomes = [(given, running.run(given)) for given in asked]
    text = page(outcomes)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    elif options.outcomes is not None:
        lines = [json.dumps(asdict(outcome)) + "\n" for _, outcome in outcomes]
        options.outcomes.write_text("".join(lines), encoding="utf-8")
    else:
        print(text, end="")
    wrong = [
        f"{given.command[:200]!r}, {given.where}: {'; '.join(faults)}"
        for given, outcome in outcomes
        if (faults := running.faults_of(given, outcome))
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(outcomes)} inputs in {time.monotonic() - begun_s:.0f} s, {len(wrong)} wrong", file=sys.stderr)
    if options.out is not None:
        facts.write({"inputs": len(outcomes), "wrong": wrong}, "tools.faults.bad_inputs", options.out)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
