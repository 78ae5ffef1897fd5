"""Room on the disk, and files replaced in one step."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.room import Reserve, bytes_of_last_write, bytes_of_records
from blip_fixtures.whole_files import (
    BadFileError,
    decode_json,
    read_bytes,
    read_text,
    remove_unfinished,
    replace_file,
    unfinished,
)


def test_an_estimate_covers_the_published_run() -> None:
    folder = Path(__file__).parents[2] / "reports" / "published" / "instructblip-tiny"
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert written < bytes_of_last_write([64] * 41) < 12 * written
    assert bytes_of_records([5000]) > 1_000_000


def test_a_reserve_has_no_name_and_gives_its_room_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 2**20)
    reserve.take()
    assert not list(tmp_path.iterdir())
    assert reserve._descriptor is not None
    assert os.fstat(reserve._descriptor).st_blocks * 512 >= 2**20
    reserve.release()
    reserve.release()


def test_where_there_is_no_room_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    before = _open_files()
    with pytest.raises(OSError, match="No space"):
        Reserve(tmp_path, 2**20).take()
    assert not list(tmp_path.iterdir())
    assert _open_files() == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.json"
    replace_file(path, b"old")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{call}", _fail)
            with pytest.raises(OSError, match="broken"):
                replace_file(path, b"new")
        assert path.read_bytes() == b"old"
        assert [each.name for each in tmp_path.iterdir()] == ["records.json"]
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_planted_link_is_replaced_and_what_it_names_left_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "README.md"
    path.symlink_to(victim)
    replace_file(path, b"ours")
    assert victim.read_text() == "mine"
    assert not path.is_symlink()


def test_what_a_killed_process_left_is_found_and_removed(tmp_path: Path) -> None:
    (tmp_path / ".records.json.abc.unfinished").write_text("half")
    (tmp_path / "mine.unfinished").write_text("not the suite's")
    assert [path.name for path in unfinished(tmp_path)] == [".records.json.abc.unfinished"]
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.unfinished"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[NaN]", "it is no JSON"),
        (b"[Infinity]", "it is no JSON"),
        (b"[1e999]", "out of range"),
        (b'["\\ud800"]', "it is no JSON"),
        (b'["\xff"]', "it is no JSON|not UTF-8"),
        (b"[" * 50_000, "nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", "out of range"),
        (b"", "it is no JSON"),
    ],
)
def test_what_is_no_strict_json_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(BadFileError, match=complaint):
        decode_json(content)


def test_reading_is_bounded_and_takes_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(path) == "{}"
    with pytest.raises(BadFileError, match="more than 0 MiB"):
        read_bytes(path, most_bytes=4)
    path.write_bytes(b"\xff")
    with pytest.raises(BadFileError, match="not UTF-8 text"):
        read_text(path)
    with pytest.raises(BadFileError, match="more than"):
        read_bytes(Path("/dev/zero"), most_bytes=2**20)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _fail(*_: Any) -> None:
    raise OSError(errno.EIO, "broken")
