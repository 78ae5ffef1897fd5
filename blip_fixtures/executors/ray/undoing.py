"""What Ray changes in a process that it starts, and would be seen in a measurement: undone where that can be."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

_THREADS = "OMP_NUM_THREADS"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_MONITOR = "RAY_memory_monitor_refresh_ms"


@dataclass(frozen=True)
class Undone:
    """`undone` and `left` as facts of a record: ``OMP_NUM_THREADS=2``, ``niceness=15``, ``memory_monitor``."""

    undone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def undo(*, has_gpu: bool) -> Undone:
    """In a worker, before torch is imported: it reads the variables once.

    Ray sets the number of threads to that of the CPUs of an actor, where nobody else set it; it gives its workers a
    niceness of 15, which only an administrator can take away; it hides no GPU from a worker that has none. Its memory
    monitor, which ends a worker when the machine is short of memory, is set for a whole node when that starts.
    """
    found = Undone()
    threads = os.environ.get(_THREADS)
    if threads is not None and _set_by_starter(_THREADS) is None:
        del os.environ[_THREADS]
        found.undone.append(f"{_THREADS}={threads}")
    _undo_niceness(found)
    if not has_gpu and os.environ.get(_VISIBLE) != "":
        os.environ[_VISIBLE] = ""
        found.undone.append("all_gpus_visible")
    if os.environ.get(_MONITOR) != "0":
        found.left.append("memory_monitor")
    return found


def _undo_niceness(found: Undone) -> None:
    if not hasattr(os, "getpriority"):
        return
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness <= 0:
        return
    # Threads that run already have a niceness of their own.
    with suppress(OSError, psutil.Error):
        for thread in psutil.Process().threads():
            os.setpriority(os.PRIO_PROCESS, thread.id, 0)
    gone = os.getpriority(os.PRIO_PROCESS, 0) == 0
    (found.undone if gone else found.left).append(f"niceness={niceness}")


def _set_by_starter(name: str) -> str | None:
    """What the process that starts workers has, which is what `ray start` was given."""
    try:
        return psutil.Process(os.getppid()).environ().get(name)
    except psutil.Error:
        return None
