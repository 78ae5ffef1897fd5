"""A watch over the running case: what is said when it hangs or kills the process, and how that ends."""

from __future__ import annotations

import faulthandler
import os
import statistics
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from blip_fixtures.pytest_plugin import last_words
from blip_fixtures.pytest_plugin.progress import clock

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

# A case that takes so many times what the others took may hang; below a minute nobody has waited long.
_SUSPICIOUS_FACTOR = 10
_LEAST_SUSPICIOUS_S = 60.0


class Watchdog:
    """Between `start` and `stop` a stack is printed when the process crashes, and kept in the file `kept`.

    A case that takes longer than `timeout_s` ends the process, with exit code 1, the stack of every thread and the line
    `then`: by a thread in C, so that native code which holds the interpreter's lock ends as well.
    """

    def __init__(self, kept: Path, *, timeout_s: float | None, then: str) -> None:
        self._kept = kept
        self._timeout_s = timeout_s
        self._then = then
        # Before pytest captures what is written to file descriptor 2.
        self._terminal = _terminal()
        self._listener: subprocess.Popen[bytes] | None = None
        self._was_enabled = False
        self._took_s: list[float] = []
        self._begun_s = 0.0
        self._suspicion: threading.Timer | None = None

    def start(self) -> None:
        """Begin to listen. What an earlier process said is forgotten. Raises `OSError` without a process to listen."""
        self._kept.unlink(missing_ok=True)
        self._listener = last_words.start(self._kept, self._terminal, self._then)
        self._was_enabled = faulthandler.is_enabled()
        faulthandler.enable(self._ear())

    def case_begins(self, case_id: str) -> None:
        """The clock of one case starts."""
        if self._listener is None:
            return
        self._begun_s = time.monotonic()
        if self._timeout_s is not None:
            faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._ear())
        elif self._took_s:
            usual_s = statistics.median(self._took_s)
            wait_s = max(_SUSPICIOUS_FACTOR * usual_s, _LEAST_SUSPICIOUS_S)
            self._suspicion = threading.Timer(wait_s, self._suggest, (case_id, wait_s, usual_s))
            self._suspicion.daemon = True
            self._suspicion.start()

    def case_ends(self) -> None:
        """It came to an end, in whatever way."""
        if self._listener is None:
            return
        self._took_s.append(time.monotonic() - self._begun_s)
        if self._timeout_s is not None:
            faulthandler.cancel_dump_traceback_later()
        if self._suspicion is not None:
            self._suspicion.cancel()
            self._suspicion = None

    def say(self, line: str) -> None:
        """A line of its own on the terminal, whatever captures the output, and whether or not anybody reads it."""
        with suppress(OSError):
            os.write(self._terminal, f"\n{line}\n".encode(errors="backslashreplace"))

    def stop(self) -> None:
        """What was enabled before is enabled again."""
        listener, self._listener = self._listener, None
        if listener is not None:
            if self._suspicion is not None:
                self._suspicion.cancel()
            if self._was_enabled:
                faulthandler.enable(2)
            else:
                faulthandler.disable()
            assert listener.stdin is not None
            listener.stdin.close()
            listener.wait()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def _ear(self) -> int:
        assert self._listener is not None
        assert self._listener.stdin is not None
        return self._listener.stdin.fileno()

    def _suggest(self, case_id: str, wait_s: float, usual_s: float) -> None:
        self.say(
            f"{case_id} has run for {clock(wait_s)}, where a case usually takes {clock(usual_s)}; if it hangs, "
            f"--blip-case-timeout={10 * max(round(wait_s / 10), 1)} ends such a case, and --blip-resume then goes on"
        )


def _terminal() -> int:
    """A file descriptor for what everybody should see; a run may have been started without one."""
    try:
        return os.dup(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
