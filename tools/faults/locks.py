"""Two runs at once: they measure one after the other, or the second one is refused."""

from __future__ import annotations

import json
import random
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tools.faults.runs import FEW, Run, new_home, start, tracebacks

if TYPE_CHECKING:
    from pathlib import Path

_ONE_SWEEP = (*FEW[:-1], "test_batch_size and not compile")


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` pairs: in one folder and in two, the second one waiting or ending."""
    chance = random.Random(seed)  # moments, no secrets
    wrong: list[str] = []
    serialised = refused = 0
    for number in range(count):
        same_folder, waits = number % 2 == 0, number % 4 < 2
        first = start(new_home(place, 2 * number), *_ONE_SWEEP)
        _wait_for_lock(first)
        time.sleep(chance.uniform(0, 0.5))
        home = first.home if same_folder else new_home(place, 2 * number + 1)
        second = _beside(first, home, "wait" if waits else "fail")
        codes = first.wait(), second.wait()
        text = _fault(first, second, codes, waits=waits)
        wrong += [f"pair {number}: {text}"] if text else []
        serialised += waits
        refused += not waits
        print(f"[{number + 1}/{count}] {'one folder' if same_folder else 'two folders'}: {codes}", flush=True)
    return {"pairs": count, "serialised": serialised, "refused": refused, "wrong": wrong}


def _beside(first: Run, home: Path, mode: str) -> Run:
    """The second run; in the folder of the first its output goes to a file of its own."""
    kept = first.output.rename(first.home / "first.txt") if home == first.home else first.output
    first.output = kept
    return start(home, *_ONE_SWEEP, f"--blip-lock={mode}")


def _wait_for_lock(run: Run) -> None:
    while run.poll() is None and not (run.folder / ".lock").exists():
        time.sleep(0.01)


def _fault(first: Run, second: Run, codes: tuple[int, int], *, waits: bool) -> str:
    if codes != ((0, 0) if waits else (0, 4)):
        return f"exit codes {codes}: {second.said[-500:]}"
    if tracebacks(first.said) or tracebacks(second.said):
        return "a traceback"
    if not waits:
        return "" if "another run" in second.said else f"refused without saying why: {second.said[-500:]}"
    if "waiting until it ends" not in second.said:
        return "the second run does not say that it waited"
    return "" if _last(_earlier_lines(first, second)) <= _first(second.journal()) else "both measured at the same time"


def _earlier_lines(first: Run, second: Run) -> list[bytes]:
    """Of the first run; in one folder its journal was kept under its date."""
    if first.home != second.home:
        return first.journal()
    kept = list(first.folder.glob("journal.*.jsonl"))
    return kept[0].read_bytes().splitlines() if kept else []


def _moments(lines: list[bytes]) -> list[datetime]:
    return [datetime.fromisoformat(json.loads(line)["environment"]["started_at"]) for line in lines]


def _last(lines: list[bytes]) -> datetime:
    return max(_moments(lines))


def _first(lines: list[bytes]) -> datetime:
    return min(_moments(lines))
