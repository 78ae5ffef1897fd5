"""A small process that outlives the run: it shows what the run says when it dies, and keeps it for the next one.

Run as a script, with a file, and the lines to print after what was said. It reads from its standard input what
`faulthandler` writes there, in C and whatever holds the interpreter's lock: the stack of a case that hangs, or of a
crash. When the run is gone and has said something, the lines are printed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def start(kept: Path, terminal: int, then: str) -> subprocess.Popen[bytes]:
    """The process; `stdin` is for what is said. `terminal` is the file descriptor that it is shown on.

    In a session of its own, since Ctrl-C is for the run.
    """
    return subprocess.Popen(
        # Without site-packages: it needs nothing, and starts in a few milliseconds.
        [sys.executable, "-S", "-E", __file__, str(kept), then],
        stdin=subprocess.PIPE,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(kept: str, then: str) -> None:
    """Until the other end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    has_said = False
    while said := os.read(0, 65536):
        has_said = True
        with open(kept, "ab") as file:  # noqa: PTH123  # pathlib takes as long to import as all the rest
            file.write(said)
        os.write(1, said)
    if has_said:
        os.write(1, f"\n{then}\n".encode(errors="backslashreplace"))


if __name__ == "__main__":
    main(*sys.argv[1:])
