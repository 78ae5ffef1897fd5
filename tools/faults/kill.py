"""``kill -9`` at random moments of a shortened run, which is then gone on with until it is done."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tools.faults.runs import FEW, Run, new_home, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MOST_RESUMPTIONS = 5


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` killed runs; what was wrong with each that was not gone on with as it should be."""
    chance = random.Random(seed)  # moments, no secrets
    arguments = (*FEW, "--blip-lock=off")
    whole = start(new_home(place, 0), *arguments)
    begun_s = time.monotonic()
    assert whole.wait() == 0, whole.said
    takes_s = time.monotonic() - begun_s
    expected = _cases(whole.records())
    wrong: list[str] = []
    resumptions: Counter[int] = Counter()
    finished_before = 0
    for number in range(1, count + 1):
        moment_s = chance.uniform(0, takes_s)
        run = start(new_home(place, number), *arguments)
        time.sleep(moment_s)
        run.kill()
        run.wait()
        before = run.journal()
        finished_before += len(before)
        times, run = _go_on(run, arguments)
        resumptions[times] += 1
        wrong += [f"killed after {moment_s:.2f} s: {text}" for text in _faults(run, before, expected)]
        print(f"[{number}/{count}] killed after {moment_s:.2f} s, {len(before)} cases finished", flush=True)
    return {
        "killed": count,
        "run_takes_s": round(takes_s, 1),
        "cases": len(expected),
        "finished_before_the_kill": finished_before,
        "resumptions": dict(sorted(resumptions.items())),
        "wrong": wrong,
    }


def _go_on(run: Run, arguments: Sequence[str]) -> tuple[int, Run]:
    for times in range(1, _MOST_RESUMPTIONS + 1):
        run = start(run.home, *arguments, "--blip-resume")
        if run.wait() == 0:
            return times, run
    return _MOST_RESUMPTIONS, run


def _faults(run: Run, before: Sequence[bytes], expected: Counter[tuple[str, bool]]) -> list[str]:
    """Every case once, no empty row, and no finished case measured again."""
    if run.returncode != 0:
        return [f"exit code {run.returncode}: {run.said[-500:]}"]
    found = []
    records = run.records()
    if _cases(records) != expected:
        found.append(
            f"other cases than those of a whole run: {_cases(records) - expected} {expected - _cases(records)}"
        )
    found += [f"{record['case_id']} is {record['status']}" for record in records if record["status"] != "ok"]
    after = run.journal()
    whole = [line for line in before if line.endswith(b"\n")]
    if after[: len(whole)] != whole:
        found.append("a finished line of the journal is gone")
    keys = Counter((line["case_id"], line["again"]) for line in map(json.loads, after))
    found += [f"{key} stands {times} times in the journal" for key, times in keys.items() if times > 1]
    by_hash = {(record["config_hash"], record["again"]): record for record in records}
    for line in map(json.loads, whole):
        kept = by_hash.get((line["config_hash"], line["again"]))
        if kept is None or kept["latency"] != line["latency"]:
            found.append(f"{line['case_id']} was measured again")
    left = [path.name for path in run.folder.iterdir() if path.name.endswith((".unfinished", ".tmp"))]
    return found + ([f"left behind: {left}"] if left else [])


def _cases(records: Sequence[dict[str, Any]]) -> Counter[tuple[str, bool]]:
    return Counter((record["case_id"], record["again"]) for record in records)
