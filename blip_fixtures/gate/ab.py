"""Two commands in turn, A B B A ...: what the machine does meanwhile falls on both sides alike."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.bounds import MOST_OF_TEXT, shortened
from blip_fixtures.gate.sides import Process, Refusal, read_process
from blip_fixtures.privacy import without_credentials, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BASE, NOW = "base", "now"
# What pytest exits with when tests failed; their records say so.
_TESTS_FAILED = 1
_TAIL = 15


def order(runs: int) -> list[tuple[str, int]]:
    """(side, number) of every run: A B, B A, A B, ..."""
    turns: list[tuple[str, int]] = []
    for number in range(runs):
        pair = [(BASE, number), (NOW, number)]
        turns += pair if number % 2 == 0 else pair[::-1]
    return turns


def run_in_turn(
    base: str, now: str, runs: int, folder: Path, say: Callable[[str], None]
) -> tuple[list[Process], list[Process]]:
    """Both sides' processes; each run's files stay in `folder`. Raises `Refusal` where a command leaves no records.

    A command is one of a shell, so that it may change its folder or environment first. It is told where its records
    go by ``--blip-report-dir`` in PYTEST_ADDOPTS.
    """
    commands = {BASE: base, NOW: now}
    sides: dict[str, list[Process]] = {BASE: [], NOW: []}
    turns = order(runs)
    for place, (side, number) in enumerate(turns, start=1):
        start_s = time.monotonic()
        sides[side].append(run_one(commands[side], side, number, folder))
        say(f"[{place}/{len(turns)}] {side} {number + 1} of {runs}: {time.monotonic() - start_s:.0f} s")
    return sides[BASE], sides[NOW]


def run_one(
    command: str, side: str, number: int, folder: Path, without: Sequence[str] = (), environment: Mapping[str, str] = {}
) -> Process:
    """One process of a side, which leaves its files in `folder`. Raises `Refusal`, or `OSError` of the folder.

    `without` are pytest ids of cases that it need not measure; `environment` is added to this process's own.
    """
    into = (folder / f"{side}-{number + 1}").resolve()
    if into.exists() and any(into.rglob("records.json")):
        raise Refusal(f"{into} holds records of an earlier comparison; give another folder as --out, or remove it")
    into.mkdir(parents=True, exist_ok=True)
    # Deselected and not `-k`, of which pytest takes the last one alone: the command may have one of its own.
    added = shlex.join([f"--blip-report-dir={into}", *(f"--deselect={node_id}" for node_id in without)])
    added = f"{os.environ.get('PYTEST_ADDOPTS', '')} {added}".strip()
    # `python` and `pytest` are those of this environment, activated or not, unless the command says otherwise.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    log = into / "output.txt"
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            shell=True,  # nosec B602  # the command is the user's own line of shell
            env={**os.environ, **environment, "PYTEST_ADDOPTS": added, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    found = sorted(into.rglob("records.json"))
    if done.returncode not in (0, _TESTS_FAILED) or len(found) != 1:
        # What the command wrote is its own; what is said of it may stand in a log that others read.
        tail = without_secrets("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]))
        left = "no records" if not found else f"{len(found)} files of records"
        shown = shortened(without_credentials(command), MOST_OF_TEXT).encode(errors="backslashreplace").decode()
        raise Refusal(
            f"the {side} command `{shown}` exited with {done.returncode} and left {left} in {into}; it must run "
            "pytest with this plugin once, take PYTEST_ADDOPTS from its environment (tox: pass_env), and not set "
            f"--blip-report-dir itself. {'Its output ends with:' if tail else 'It had no output.'}",
            tail.splitlines(),
        )
    return read_process(found[0])
