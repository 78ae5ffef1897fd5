"""One run at a time in a folder and on a device: two on one processor would measure each other.

The locks are the kernel's (`filelock`, flock(2)): that of a process that is gone is gone with it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import filelock

from blip_fixtures.whole_files import why
from blip_fixtures.words import LockMode

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER_LOCK = ".lock"
# Beside each other on every Linux; a folder that all users may write to, whatever TMPDIR says to one of them.
# A folder of one's own would be of no use, and no link is followed in it (see `shared_folder`).
_SHARED = (Path("/run/lock"), Path("/tmp"))  # nosec B108
_NAME = "pytest-blip"
_LOCKS = Path("/proc/locks")
_POLL_S = 0.5


class LockedError(RuntimeError):
    """Another run holds what this one needs, or nobody can tell; the message says what, and what to do."""


@dataclass
class Locks:
    """The locks that a process holds. `say` is told once when it waits for one."""

    mode: LockMode
    say: Callable[[str], None]
    # Where those of devices lie; the same folder for all users of the machine unless a test says otherwise.
    shared: Callable[[], Path] = field(default_factory=lambda: shared_folder)
    _held: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take_folder(self, folder: Path) -> bool:
        """That of a report folder, which must be there: whether it is held then. Raises `LockedError`.

        Where nobody asks for locks it is taken if it is free, so that another run can tell.
        """
        if self.mode is LockMode.OFF:
            with suppress(filelock.Timeout, OSError):
                self._held.enter_context(filelock.FileLock(folder / FOLDER_LOCK, mode=0o666).acquire(timeout=0))
                return True
            return False
        self._take(lambda: folder / FOLDER_LOCK, f"the report folder {folder}", "choose another --blip-report-dir")
        return True

    def take_device(self, identity: str) -> None:
        """That of a device: ``cpu``, or the UUID of a card. Take several in their order. Raises `LockedError`."""
        name = re.sub(r"[^\w-]", "_", identity)
        what = "this machine's processor" if identity == "cpu" else f"the device {identity}"
        self._take(lambda: self.shared() / f"{name}.lock", what, "measure later")

    def release(self) -> None:
        """All of them."""
        self._held.close()

    def _take(self, place: Callable[[], Path], what: str, instead: str) -> None:
        if self.mode is LockMode.OFF:
            return
        try:
            path = place()
            lock = filelock.FileLock(path, mode=0o666, thread_local=False)
            with suppress(filelock.Timeout):
                self._held.enter_context(lock.acquire(timeout=0))
                return
            holder = _holder(path)
            if self.mode is LockMode.FAIL:
                raise LockedError(f"another run{holder} measures in or on {what}; {instead}, or --blip-lock=wait")
            self.say(
                f"another run{holder} holds {what}: waiting until it ends (--blip-lock=fail ends instead, "
                "--blip-lock=off measures beside it, and both then take longer)"
            )
            self._held.enter_context(lock.acquire(poll_interval=_POLL_S))
        except OSError as error:
            raise LockedError(
                f"cannot tell whether another run uses {what}: {why(error)}; see to {error.filename or what}, or give "
                "--blip-lock=off"
            ) from None


def shared_folder() -> Path:
    """A folder in which every user of the machine may make and open files. Made by the first who needs it.

    Without the sticky bit: with it the kernel does not let one user open the file of another (fs.protected_regular).
    """
    places = [place for place in _SHARED if _is_for_everybody(place)] or [Path(tempfile.gettempdir())]
    folder = places[0] / _NAME
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o777)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link, and its locks would lie elsewhere", str(folder))
    return folder


def _is_for_everybody(folder: Path) -> bool:
    """Also where it is a part of a file system that is mounted for reading alone, as in a container."""
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH) and os.access(folder, os.W_OK)
    except OSError:
        return False


def _holder(path: Path) -> str:
    """`` (process 123)`` of who holds the lock, where Linux says so."""
    try:
        inode = os.stat(path).st_ino  # noqa: PTH116  # beside the text of /proc/locks
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    # "1: FLOCK  ADVISORY  WRITE 123 08:01:456 0 EOF" (proc_locks(5)); a process of another container is 0.
    for line in lines:
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].endswith(f":{inode}") and parts[4] not in ("0", "-1"):
            return f" (process {parts[4]})"
    return ""
