"""Ctrl-C, SIGTERM and SIGHUP: the first ends the run after the running round, a second one at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# What the process exits with: pytest's own code for Ctrl-C, and what a shell says of the others.
EXIT_CODES = {
    signal.SIGINT: 2,
    signal.SIGTERM: 128 + signal.SIGTERM,
    **({signal.SIGHUP: 128 + signal.SIGHUP} if hasattr(signal, "SIGHUP") else {}),
}
_AGAIN_S = 0.02
# Handlers that nobody chose. Another one is left alone, and so is a signal that is ignored, as under nohup.
_NOBODYS = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(KeyboardInterrupt):
    """A signal ended the run. Like Ctrl-C it is no error of the case that was running."""


class Signals:
    """What was asked for by a signal, while it is installed.

    Until `hold` it is raised at once as `Stopped`; from then on it waits, and `check` raises it between rounds. `say`
    writes one line, `before_exit` is called when a second signal ends the process.
    """

    def __init__(self, say: Callable[[str], None], before_exit: Callable[[], None]) -> None:
        self._say = say
        self._before_exit = before_exit
        self._is_held = False
        self._is_over = False
        self._replaced: dict[int, Any] = {}
        self.got: signal.Signals | None = None

    @property
    def exit_code(self) -> int | None:
        """That of a run that a signal ended."""
        return None if self.got is None else EXIT_CODES[self.got]

    def install(self) -> None:
        """In the main thread; no other one can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in EXIT_CODES:
            if signal.getsignal(number) in _NOBODYS:
                self._replaced[number] = signal.signal(number, self._handle)

    def hold(self) -> None:
        """From now on a signal waits: a case is measured, or files are written."""
        self._is_held = True

    def check(self) -> None:
        """Raise `Stopped` where a signal came."""
        if self.got is not None:
            raise Stopped(f"stopped by {self.got.name}")

    def restore(self) -> None:
        """What was there before, for a process that goes on."""
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        self._replaced.clear()

    def be_over(self) -> None:
        """Nothing is left to write, and the process is about to end: from now on a signal ends it at once."""
        self._is_over = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        found = signal.Signals(number)
        if not self._is_held and not self._is_over and _is_swallowed_in(frame):
            # What is raised there is printed with a traceback and forgotten: come again when it is over.
            threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number)).start()
            return
        if self._is_over:
            _exit(found)
        if self.got is not None:
            self._say(f"{found.name} again: stopped at once; finished cases are in the journal")
            self._before_exit()
            _exit(found)
        self.got = found
        if self._is_held:
            self._say(f"{found.name}: the run ends after the running round; once more stops it at once")
        else:
            self.check()


def _is_swallowed_in(frame: FrameType | None) -> bool:
    """Whether Python ignores what is raised in this frame: a finalizer, or what is called when an object is gone."""
    if frame is None:
        return False
    code = frame.f_code
    return code.co_name in ("__del__", "remove", "_remove", "cb", "callback") or code.co_filename.endswith(
        ("weakref.py", "_weakrefset.py")
    )


def _exit(number: signal.Signals) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(EXIT_CODES[number])
