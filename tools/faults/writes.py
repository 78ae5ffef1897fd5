"""Each write of a run's files failing in turn: a full disk, a broken one, one that became read-only.

In a fork of its own the n-th call that changes a file below the report folder fails, and with a disk that is full or
read-only every later one too. Whatever fails, each finished case must be in a file that the run names.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.faults.runs import FEW, Run, new_home, start, tracebacks

if TYPE_CHECKING:
    from collections.abc import Callable

# Of a disk that is full or read-only every later write fails too; a broken sector fails once.
LASTING = {errno.ENOSPC: True, errno.EIO: False, errno.EROFS: True}
_CALLS = ("write", "fsync", "ftruncate", "replace", "open", "posix_fallocate", "mkdir")
_ONE_SWEEP = (*FEW[:-1], "test_batch_size and not compile", "--blip-lock=off")


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """Every call of a run, or `count` of them spread evenly where there are more, for each kind of failure."""
    del seed
    whole = start(new_home(place, 0), *_ONE_SWEEP, before=lambda: _fail(place / "0000", None, 0))
    assert whole.wait() == 0, whole.said
    calls = int((whole.home / "calls.txt").read_text(encoding="ascii"))
    cases = len(whole.journal())
    most = min(count, calls)
    numbers = sorted({round(1 + place * (calls - 1) / max(most - 1, 1)) for place in range(most)})
    wrong: list[str] = []
    refused = 0
    for kind in LASTING:
        for number in numbers:
            run = start(new_home(place, number), *_ONE_SWEEP, before=_failing(place / f"{number:04d}", number, kind))
            code = run.wait()
            refused += code == 4
            name = errno.errorcode[kind]
            wrong += [f"{name} at call {number}: {text}" for text in _faults(run, code, cases)]
            print(f"[{number}/{calls}] {name}: exit code {code}", flush=True)
    return {
        "calls": calls,
        "tried": len(numbers) * len(LASTING),
        "cases": cases,
        "refused_before_measuring": refused,
        "wrong": wrong,
    }


def _failing(home: Path, number: int, kind: int) -> Callable[[], None]:
    return lambda: _fail(home, number, kind)


def _fail(home: Path, number: int | None, kind: int) -> None:
    """From now on the calls on files below the report folder are counted, and that of the number fails."""
    folder = str(home / "reports")
    state = {"count": 0}
    descriptors: set[int] = set()

    def is_below(target: Any) -> bool:
        if isinstance(target, int):
            return target in descriptors
        return os.path.abspath(os.fsdecode(target)).startswith(folder)  # noqa: PTH100  # of descriptors and texts

    def wrapped(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def run(*arguments: Any, **named: Any) -> Any:
            changes = name != "open" or bool(arguments[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if is_below(arguments[0]) and changes:
                state["count"] += 1
                (home / "calls.txt").write_bytes(str(state["count"]).encode())
                if number is not None and (
                    state["count"] == number or (LASTING[kind] and state["count"] > number and name != "ftruncate")
                ):
                    if name == "write":
                        # A full disk takes a part.
                        call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    raise OSError(kind, os.strerror(kind), str(arguments[0]))
            result = call(*arguments, **named)
            if name == "open" and is_below(arguments[0]):
                descriptors.add(result)
            return result

        return run

    for name in _CALLS:
        setattr(os, name, wrapped(name))
    tempfile._os.open = os.open  # type: ignore[attr-defined]  # `mkstemp` has the module, and so the wrapped call


def _faults(run: Run, code: int, cases: int) -> list[str]:
    found = [f"{count} tracebacks: {run.said[-1500:]}"] if (count := tracebacks(run.said)) else []
    if code == 4:
        return found + ([] if "ERROR: " in run.said else ["refused without a sentence"])
    if code not in (0, 1):
        found.append(f"exit code {code}: {run.said[-500:]}")
    kept = _case_ids(run.folder)
    for name in re.findall(r"(/\S*pytest-blip-\w+)", run.said):
        # The run names a file in it, or the folder.
        kept |= _case_ids(Path(name))
    if len(kept) < cases:
        found.append(f"{cases - len(kept)} of {cases} finished cases are lost: {run.said[-1500:]}")
    if code == 0 and not (run.folder / "README.md").exists():
        found.append("exit code 0 without a document")
    left = [path.name for path in run.folder.glob("**/*") if path.name.endswith((".unfinished", ".tmp"))]
    return found + ([f"left behind: {left}"] if left else [])


def _case_ids(folder: Path) -> set[tuple[str, bool]]:
    """Of all files of records in a folder."""
    from blip_fixtures.record import RecordError, read_records

    found: set[tuple[str, bool]] = set()
    for path in (folder / "journal.jsonl", folder / "records.json"):
        if path.exists():
            try:
                found |= {(record.case_id, record.again) for record in read_records(path)}
            except RecordError:
                continue
    return found
