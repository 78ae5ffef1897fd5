"""Ctrl-C, SIGTERM and SIGHUP at random moments: the documented exit code and files, and no traceback."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import TYPE_CHECKING, Any

from tools.faults.runs import FEW, Run, new_home, start, tracebacks

if TYPE_CHECKING:
    from pathlib import Path

EXIT_CODES = {signal.SIGINT: 2, signal.SIGTERM: 143, signal.SIGHUP: 129}
# A second signal so long after the first.
_SECOND_S = 0.2


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` moments for each signal, every fourth with a second one after it."""
    chance = random.Random(seed)  # moments, no secrets
    arguments = (*FEW, "--blip-lock=off")
    begun_s = time.monotonic()
    whole = start(new_home(place, 0), *arguments)
    assert whole.wait() == 0, whole.said
    takes_s = time.monotonic() - begun_s
    wrong: list[str] = []
    came_first = 0
    for number in range(count * len(EXIT_CODES)):
        sent = list(EXIT_CODES)[number % len(EXIT_CODES)]
        is_twice = number // len(EXIT_CODES) % 4 == 3
        run = start(new_home(place, number + 1), *arguments)
        _wait_for_handlers(run)
        moment_s = chance.uniform(0, takes_s)
        time.sleep(moment_s)
        came_first += run.poll() is not None
        run.kill(sent)
        if is_twice:
            time.sleep(_SECOND_S)
            run.kill(sent)
        wrong += [f"{sent.name} after {moment_s:.2f} s: {text}" for text in _faults(run, sent, is_twice=is_twice)]
        print(f"[{number + 1}/{count * len(EXIT_CODES)}] {sent.name} after {moment_s:.2f} s", flush=True)
    return {
        "signals": count * len(EXIT_CODES),
        "run_takes_s": round(takes_s, 1),
        "ended_before_the_signal": came_first,
        "wrong": wrong,
    }


def _wait_for_handlers(run: Run) -> None:
    """Until the run has begun to check what it needs; before that a signal does what it does to any Python."""
    mask = 1 << (signal.SIGTERM - 1)
    while run.poll() is None:
        with open(f"/proc/{run.pid}/status", encoding="ascii") as status:  # noqa: PTH123  # proc
            caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
        if caught & mask:
            return
        time.sleep(0.01)


def _is_whole(run: Run) -> bool:
    path = run.folder / "records.json"
    return path.exists() and "interrupted" not in json.loads(path.read_text(encoding="utf-8"))["blip"]


def _faults(run: Run, sent: signal.Signals, *, is_twice: bool) -> list[str]:
    code = run.wait()
    # A signal in the last moment finds nothing left to end.
    had_ended = code == 0 and _is_whole(run)
    found = [] if had_ended or code == EXIT_CODES[sent] else [f"exit code {code}"]
    found += [f"{count} tracebacks: {run.said[-800:]}"] if (count := tracebacks(run.said)) else []
    lines = run.journal()
    if any(not line.endswith(b"\n") for line in lines):
        found.append("the journal's last line is torn")
    was_stopped_at_once = is_twice and "again: stopped at once" in run.said
    if lines and not was_stopped_at_once:
        found += [f"{name} is missing" for name in ("records.json", "README.md") if not (run.folder / name).exists()]
    if lines and not was_stopped_at_once and not found and len(run.records()) != len(lines):
        found.append(f"records.json has {len(run.records())} cases and the journal {len(lines)}")
    left = [path.name for path in run.folder.glob("*") if path.name.endswith((".unfinished", ".tmp"))]
    return found + ([f"left behind: {left}"] if left else [])
