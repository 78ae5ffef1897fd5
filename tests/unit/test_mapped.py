"""Mapped rows: the resident set does not grow with the data set."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

from blip_fixtures.data import mapped
from blip_fixtures.data.mapped import MappedRows, release_pages
from blip_fixtures.data.parquet import read_footer
from tests.unit.test_sources import picture, write_textvqa

linux = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")


def resident_bytes(path: Path) -> int:
    """Of the mappings of `path` in this process."""
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", Path("/proc/self/smaps").read_text())
    return sum(int(count) for count in found) * 1024


@linux
def test_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(2**20)
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert pages[:] == content
        assert resident_bytes(path) == 2**20
        release_pages([str(path)])
        assert resident_bytes(path) == 0
        assert pages[:] == content


@linux
def test_a_writable_mapping_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2**16))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        pages[:3] = b"abc"
        release_pages([str(path)])
        assert pages[:3] == b"abc"


@linux
def test_rows_read_in_a_walk_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "_RELEASE_EVERY_BYTES", 2**18)
    path = write_textvqa(tmp_path, rows=40, image={"bytes": os.urandom(2**20), "path": None})
    rows = MappedRows([path], read_footer(path, "textvqa"))
    (cache,) = (Path(name) for name in rows._cache_files)
    first = rows[0]
    assert len(rows[2]["image"]["bytes"]) == 2**20
    assert resident_bytes(cache) < 2**20
    assert rows[0] == first
    assert first["image"] == picture()
