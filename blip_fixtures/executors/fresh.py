"""`FreshProcess`: a session in a new process. How far two processes differ says how sure a comparison of rows is."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from blip_fixtures.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.job import Job

_POLL_S = 0.2
_CHILD = "blip_fixtures.executors.fresh_main"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a new process is told first: facts for its records, and files that register datasets or optimizations."""

    facts: dict[str, Any] = {}
    anonymous: bool = False
    conftests: list[str] = []


class ProcessEnded(Exception):
    """The process ended, or was ended, before it answered; the message says how."""


class FreshProcess:
    """Measures jobs in a process that began with it, one after another.

    `on_wait` is called a few times a second while a job runs, and may raise. A job takes `timeout_s` at most.
    """

    def __init__(
        self, setup: Setup, *, on_wait: Callable[[], None] = lambda: None, timeout_s: float | None = None
    ) -> None:
        self._on_wait = on_wait
        self._timeout_s = timeout_s
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # until `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Ctrl-C is for the run, which then ends this process.
            start_new_session=True,
        )
        self._send(msgspec.json.encode(setup))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def measure(self, job: Job) -> Record:
        """The record of the job. Raises `ProcessEnded`."""
        self._send(job.to_json())
        return msgspec.json.decode(self._answer(), type=Record)

    def close(self) -> None:
        """End the process; its model is gone with it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                _close(stream)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise ProcessEnded(self._how()) from None

    def _answer(self) -> bytes:
        assert self._process.stdout is not None
        descriptor, parts, begun_s = self._process.stdout.fileno(), [], time.monotonic()
        while True:
            self._on_wait()
            if self._timeout_s is not None and time.monotonic() - begun_s > self._timeout_s:
                self._process.kill()
                raise ProcessEnded(f"it had not ended after {self._timeout_s:g} s")
            if not select.select([descriptor], [], [], _POLL_S)[0]:
                continue
            part = os.read(descriptor, 2**20)
            if not part:
                raise ProcessEnded(self._how())
            parts.append(part)
            if part.endswith(b"\n"):
                return b"".join(parts)

    def _how(self) -> str:
        """How it ended, with the last line that it said."""
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{ended}: {lines[-1][:200]}" if lines else ended


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        # A line that the process never read is of no use any more.
        return


def conftests_of(plugins: Iterable[object]) -> list[str]:
    """The files of those that are a ``conftest.py``: what they register, a new process registers too."""
    paths = [Path(file) for plugin in plugins if (file := getattr(plugin, "__file__", None)) is not None]
    return [str(path) for path in paths if path.name == "conftest.py"]
