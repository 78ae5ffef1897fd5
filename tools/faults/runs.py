"""Shortened runs of the suite, started by a process that has imported the large libraries already.

A fork of it starts in a tenth of a second instead of some seconds, and from `pytest` on everything is as in a run that
a person starts. Nothing of this package itself is imported before the fork.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
CHECKPOINT = "instructblip-tiny"
# All sweeps, as short as they can be: two rounds of four new tokens, of the latency alone.
SHORT = (
    "benchmarks",
    "--blip-device=cpu",
    "--blip-baseline=optimization=bf16",
    "--blip-baseline=batch_size=1",
    "--blip-limit=16",
    "--blip-rounds=1",
    "--blip-warmup-rounds=0",
    "--blip-new-tokens=fixed:2",
    "--blip-measure=latency",
    "--blip-energy=off",
    "--benchmark-columns=median",
    "-q",
    "-p",
    "no:cacheprovider",
)
# Compiling takes a minute, and the three data sets are one to the run's bookkeeping.
FEW = (*SHORT, "-k", "not compile")


@dataclass
class Run:
    """A run in a process of its own, in the folder `home`."""

    pid: int
    home: Path
    output: Path
    returncode: int | None = None

    @property
    def folder(self) -> Path:
        """Its report folder."""
        return self.home / "reports" / "local" / CHECKPOINT

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, if it is still there."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, or `None` while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, most_s: float = 600.0) -> int:
        """Its exit code. Raises `TimeoutError`."""
        end_s = time.monotonic() + most_s
        while self.poll() is None:
            if time.monotonic() > end_s:
                self.kill()
                raise TimeoutError(f"a run did not end within {most_s:.0f} s; see {self.output}")
            time.sleep(0.02)
        assert self.returncode is not None
        return self.returncode

    @property
    def said(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def records(self) -> list[dict[str, Any]]:
        """Those of records.json, as plain data."""
        document = json.loads((self.folder / "records.json").read_text(encoding="utf-8"))
        ran = [bench["extra_info"]["blip"] for bench in document["benchmarks"]]
        return [*ran, *document["blip"]["not_run"], *document["blip"]["again"]]

    def journal(self) -> list[bytes]:
        """The lines of the journal that have an end."""
        path = self.folder / "journal.jsonl"
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def warm_up() -> None:
    """Import what takes seconds. Computes nothing, since a fork does not have its parent's threads."""
    import datasets  # noqa: F401
    import matplotlib.pyplot as plt  # noqa: F401
    import torch  # noqa: F401
    import transformers.generation
    import transformers.models.instructblip.modeling_instructblip
    import transformers.models.t5.modeling_t5  # noqa: F401


def new_home(place: Path, number: int) -> Path:
    """An empty folder with the suite's benchmarks in it."""
    home = place / f"{number:04d}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    shutil.copy(ROOT / "conftest.py", home)
    shutil.copytree(ROOT / "benchmarks", home / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return home


def start(home: Path, *arguments: str, before: Callable[[], object] = lambda: None) -> Run:
    """Fork, call `before` there, and run pytest with `arguments` in `home`."""
    output = home / "output.txt"
    sys.stdout.flush()

    def work() -> int:
        with output.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(home)
        sys.argv = ["pytest", *arguments]
        # As the command has it: the folder of this script is not on the path of a run.
        sys.path.insert(0, str(ROOT))
        import pytest

        before()
        return int(pytest.main(list(arguments)))

    pid = os.fork()
    if not pid:
        end_with(work)
    return Run(pid, home, output)


def end_with(work: Callable[[], int]) -> NoReturn:
    """End this fork with what `work` returns or exits with; it never goes on in its parent's code."""
    code = 70
    try:
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # whatever it was, the parent must not see it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tracebacks(text: str) -> int:
    """How often a text shows one."""
    return text.count("Traceback (most recent call last)") + text.count("INTERNALERROR>")
