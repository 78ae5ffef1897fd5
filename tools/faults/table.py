"""``python -m tools.faults.table``: the table of docs/reliability.md, of what the parts of the campaign found.

Each part is a file in reports/published/reliability, written by ``python -m tools.faults PART --out``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOUND = ROOT / "reports" / "published" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- the campaign -->\n", "<!-- the end of the campaign -->\n"
# What was tried and what it should come to, with the fields of the part's file.
ROWS = {
    "kill": (
        "`kill -9` at random moments of a shortened run of all sweeps, each then gone on with until done",
        "every case once, no empty row, no finished case measured again",
        "{killed} runs of {cases} cases, {finished_before_the_kill} of them finished before the kill",
    ),
    "writes": (
        "each write of journal, records, document and plots failing in turn: no room, a broken disk, one that became "
        "read-only",
        "nothing finished lost",
        "{tried} runs, {calls} writes each of {cases} cases; {refused_before_measuring} refused before measuring",
    ),
    "signals": (
        "Ctrl-C, SIGTERM and SIGHUP at random moments, a quarter of them twice",
        "documented exit code and files, no traceback",
        "{signals} signals, {ended_before_the_signal} after the end of the run",
    ),
    "locks": (
        "two runs at once, in one folder and in two",
        "one after the other, or refused",
        "{pairs} pairs: {serialised} one after the other, {refused} refused",
    ),
    "hang": (
        "cases that hang or kill their process, in Python and in native code",
        "ended with the stack and the command that goes on; recorded so; mended by `--blip-retry`",
        "{hangs_and_deaths} cases of {kind_count} kinds",
    ),
    "memory": (
        "runs one after another in one process",
        "resident memory flat within 2 %",
        "{runs} runs in {minutes} minutes: {growth_percent:+.1f} %",
    ),
    "hostile_records": (
        "hostile values in places of a file of records, drawn by the seed, through `report` and `gate`",
        "no traceback, nothing written outside, no injected line",
        "{inputs} inputs",
    ),
    "hostile_lines": (
        "mutated predictions, prompts and rows of datasets",
        "no traceback",
        "{inputs} inputs",
    ),
    "bad_inputs": (
        "bad inputs of all commands ([the table](bad-inputs.md))",
        "one clear sentence each",
        "{inputs} inputs",
    ),
}


def table() -> str:
    """The rows of the parts that were run, and on what."""
    lines = ["| tried | goal | found | wrong | command |", "|---|---|---|---|---|"]
    machines: dict[str, None] = {}
    wrong: list[str] = []
    for part, (tried, goal, found) in ROWS.items():
        path = FOUND / f"{part}.json"
        if not path.exists():
            continue
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        facts |= {
            "kind_count": len(facts.get("kinds", ())),
            "minutes": round(facts.get("seconds", 0) / 60),
            "growth_percent": 100 * facts.get("growth", 0.0),
        }
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        machines[f"{facts['machine']}; {versions}"] = None
        cells = (tried, goal, found.format(**facts), str(len(facts["wrong"])), f"`{facts['command']}`")
        lines.append(f"| {' | '.join(cells)} |")
        wrong += [f"- `{part}`: {text}" for text in facts["wrong"]]
    found_wrong = ["What was wrong:", "", *wrong, ""] if wrong else []
    return "\n".join([*lines, "", *found_wrong, *(f"Measured on: {machine}." for machine in machines)]) + "\n"


def page() -> str:
    """The page with the table in its place."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
