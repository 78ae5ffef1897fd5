"""Cases that hang or kill their process, in Python and in native code: what is said, and what becomes of the case."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from tools.faults.runs import FEW, Run, new_home, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT_S = 4
_ONE_SWEEP = (*FEW[:-1], "test_batch_size and not compile", "--blip-lock=off")
# Longer than anybody waits.
_FOR_EVER_S = 600


def _loop() -> None:
    while True:
        pass


# A hang and a death in turn, so that a short campaign has both.
KINDS: tuple[tuple[str, bool, Callable[[], object]], ...] = (
    ("hang in native code that holds the interpreter's lock", True, lambda: ctypes.PyDLL(None).sleep(_FOR_EVER_S)),
    ("segmentation fault", False, lambda: ctypes.string_at(0)),
    ("hang in a loop", True, _loop),
    ("abort", False, os.abort),
    ("hang in a wait", True, lambda: time.sleep(_FOR_EVER_S)),
    ("illegal instruction", False, lambda: os.kill(os.getpid(), signal.SIGILL)),
    ("hang in native code without the interpreter's lock", True, lambda: ctypes.CDLL(None).sleep(_FOR_EVER_S)),
    ("hang in a regular expression", True, lambda: re.match(r"(a+)+b", "a" * 64)),
)


def campaign(place: Path, count: int, seed: int) -> dict[str, Any]:
    """`count` cases, each kind of hanging and dying in turn."""
    del seed
    wrong: list[str] = []
    for number, (name, is_hang, fault) in enumerate(itertools.islice(itertools.cycle(KINDS), count), start=1):
        found = _try(new_home(place, number), fault, is_hang=is_hang)
        wrong += [f"{name}: {text}" for text in found]
        print(f"[{number}/{count}] {name}: {found or 'as it should be'}", flush=True)
    return {"hangs_and_deaths": count, "kinds": [name for name, _, _ in KINDS], "wrong": wrong}


def _try(home: Path, fault: Callable[[], object], *, is_hang: bool) -> list[str]:
    run = start(home, *_ONE_SWEEP, f"--blip-case-timeout={_TIMEOUT_S}", before=lambda: _in_second_case(fault))
    code = run.wait(60)
    said = _ended(run)
    found = [] if (code == 1 if is_hang else code < 0) else [f"exit code {code}"]
    found += [] if "most recent call first" in said else ["no stack"]
    found += [] if "--blip-resume" in said else ["no command that goes on"]
    resumed = start(home, *_ONE_SWEEP, "--blip-resume")
    code = resumed.wait()
    records = resumed.records() if code == 1 else []
    lost = [record for record in records if record["status"] == "failed"]
    wanted = "timed_out" if is_hang else "died_while_measuring"
    if [record["reason"]["code"] for record in lost] != [wanted]:
        found.append(
            f"exit code {code}, and recorded as {[record['reason'] for record in lost]}: {resumed.said[-500:]}"
        )
    retried = start(home, *_ONE_SWEEP, "--blip-resume", "--blip-retry")
    if retried.wait() != 0 or any(record["status"] != "ok" for record in retried.records()):
        found.append(f"--blip-retry did not mend it: {retried.said[-500:]}")
    return found


def _ended(run: Run) -> str:
    """What was said, when the process that outlives the run has said it."""
    end_s = time.monotonic() + 5
    while "--blip-resume" not in run.said and time.monotonic() < end_s:
        time.sleep(0.05)
    return run.said


def _in_second_case(fault: Callable[[], object]) -> None:
    from blip_fixtures.engine.session import Session

    measured = Session.attempt

    def attempt(session: Session, job: Any, **named: Any) -> Any:
        if job.case.batch_size == 4:
            fault()
        return measured(session, job, **named)

    Session.attempt = attempt  # type: ignore[assignment, method-assign]  # in a fork that ends with the run
