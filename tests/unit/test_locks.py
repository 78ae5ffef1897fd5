"""One run at a time in a folder and on a device."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blip_fixtures.locks import LockedError, Locks, shared_folder
from blip_fixtures.words import LockMode

HOLD = """
import sys
from collections.abc import Iterator
from pathlib import Path
from blip_fixtures.locks import Locks
from blip_fixtures.words import LockMode
held = Locks(LockMode.WAIT, print, shared=lambda: Path(sys.argv[1]))
held.take_device("cpu")
print("held", flush=True)
input()
"""


def locks(mode: LockMode, shared: Path, said: list[str]) -> Locks:
    return Locks(mode, said.append, shared=lambda: shared)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the processor."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    said: list[str] = []
    with locks(LockMode.WAIT, tmp_path, said) as first, locks(LockMode.FAIL, tmp_path, said) as second:
        first.take_folder(tmp_path)
        first.take_device("cpu")
        with pytest.raises(
            LockedError, match=rf"another run( \(process {os.getpid()}\))? .*{tmp_path}.*--blip-lock=wait"
        ):
            second.take_folder(tmp_path)
        with pytest.raises(LockedError, match="this machine's processor; measure later"):
            second.take_device("cpu")
        second.take_device("GPU-0123")
        assert not said


def test_a_second_run_waits_and_says_so_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    said: list[str] = []
    releasing = threading.Timer(0.3, holder.kill)
    releasing.start()
    begun_s = time.monotonic()
    with locks(LockMode.WAIT, tmp_path, said) as second:
        second.take_device("cpu")
        assert time.monotonic() - begun_s > 0.2
    (line,) = said
    assert f"another run (process {holder.pid}) holds this machine's processor: waiting until it ends" in line
    releasing.join()


def test_off_asks_nobody(tmp_path: Path) -> None:
    with locks(LockMode.FAIL, tmp_path, []) as first, locks(LockMode.OFF, tmp_path, []) as second:
        assert first.take_folder(tmp_path)
        assert not second.take_folder(tmp_path)
        second.take_device("cpu")
    with locks(LockMode.OFF, tmp_path, []) as one, locks(LockMode.FAIL, tmp_path, []) as other:
        assert one.take_folder(tmp_path), "nobody else is there"
        with pytest.raises(LockedError, match="another run"):
            other.take_folder(tmp_path)


def test_that_of_a_process_that_was_killed_stops_nobody(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with locks(LockMode.FAIL, tmp_path, []) as later:
        with pytest.raises(LockedError, match=rf"another run \(process {holder.pid}\)"):
            later.take_device("cpu")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        later.take_device("cpu")


def test_what_cannot_be_locked_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with locks(LockMode.WAIT, tmp_path / "file", []) as one:
        with pytest.raises(LockedError, match=r"cannot tell .* the report folder .*--blip-lock=off"):
            one.take_folder(tmp_path / "file")
        with pytest.raises(LockedError, match="cannot tell whether another run uses this machine's processor"):
            one.take_device("cpu")


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "cpu.lock").symlink_to(victim)
    with locks(LockMode.WAIT, tmp_path, []) as one, pytest.raises(LockedError, match="cannot tell"):
        one.take_device("cpu")
    assert victim.read_text() == "mine"


def test_a_planted_folder_of_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, elsewhere = tmp_path / "lock", tmp_path / "elsewhere"
    place.mkdir()
    place.chmod(0o1777)
    elsewhere.mkdir()
    (place / "pytest-blip").symlink_to(elsewhere)
    monkeypatch.setattr("blip_fixtures.locks._SHARED", (place,))
    with Locks(LockMode.WAIT, print) as one, pytest.raises(LockedError, match="it is a symbolic link"):
        one.take_device("cpu")
    assert not list(elsewhere.iterdir())


def test_every_user_of_the_machine_has_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "lock"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setattr("blip_fixtures.locks._SHARED", (tmp_path / "none", place))
    before = os.umask(0o077)
    try:
        folder = shared_folder()
        with Locks(LockMode.WAIT, print) as one:
            one.take_device("GPU-a/../b")
    finally:
        os.umask(before)
    assert folder.parent == place
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    (lock,) = folder.iterdir()
    assert lock.name == "GPU-a____b.lock"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o666
    assert shared_folder() == folder
