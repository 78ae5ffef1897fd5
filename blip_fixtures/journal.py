"""The journal: one line for each finished case, on disk before the next one starts."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.record.lines import Lines, read_lines, to_line
from blip_fixtures.whole_files import read_bytes, replace_file, why

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.record import Record

NAME = "journal.jsonl"
# Journals of earlier runs that are kept.
MOST_KEPT = 10


class Journal:
    """Appends to one `journal.jsonl`. The first record moves that of the run before to a name with its date.

    A line that cannot be written is cut back, so that the next one begins where it should; it goes to a file below the
    temporary folder, and `say` is told in one sentence. With the next record it is tried again. A journal that somebody
    removed is written again.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda _message: None) -> None:
        self.path = path
        self._say = say
        # Of this run, in their order; so many of them are in the file, which has so many bytes.
        self._lines: list[bytes] = []
        self._written = 0
        self._bytes = 0
        self._is_begun = False
        # Whether the file may end in a part of a line.
        self._is_torn = False
        self._elsewhere = 0

    @property
    def is_whole(self) -> bool:
        """Whether the file has all lines."""
        return self._written == len(self._lines)

    def go_on(self) -> Lines:
        """Keep the lines that are there, without a torn last one, and append to them.

        Raises `DamagedLineError`, `BadFileError` or `OSError`.
        """
        content = read_bytes(self.path)
        lines = read_lines(content)
        whole = content[: lines.whole_bytes]
        if whole and not whole.endswith(b"\n"):
            # The last line lacks nothing but its end.
            whole += b"\n"
        if whole != content:
            replace_file(self.path, whole)
        self._lines = whole.splitlines(keepends=True)
        self._written, self._bytes, self._is_begun = len(self._lines), len(whole), True
        return lines

    def append(self, record: Record) -> None:
        """Write the record as one line and wait until the disk has it, so that a crash costs the running case alone."""
        self._lines.append(to_line(record))
        self.catch_up()

    def catch_up(self) -> None:
        """Write the lines that the file lacks."""
        try:
            if not self._is_begun and self._lines:
                self._keep()
                self._is_begun = True
            if not self.is_whole:
                self._write()
        except OSError as error:
            self._write_elsewhere(error)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size < self._bytes:
                # Somebody removed it, or a part of it.
                replace_file(self.path, b"".join(self._lines))
                self._written, self._bytes = len(self._lines), sum(map(len, self._lines))
                return
            self._append_to(descriptor, self._bytes if self._is_torn else size)
        finally:
            os.close(descriptor)

    def _append_to(self, descriptor: int, start: int) -> None:
        added = b"".join(self._lines[self._written :])
        self._is_torn = True
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        try:
            _write_all(descriptor, added)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, start)
            self._bytes, self._is_torn = start, False
            raise
        self._written, self._bytes, self._is_torn = len(self._lines), start + len(added), False

    def _write_elsewhere(self, error: OSError) -> None:
        missing = self._lines[max(self._written, self._elsewhere) :]
        try:
            with self.elsewhere.open("ab") as file:
                file.write(b"".join(missing))
                file.flush()
                os.fsync(file.fileno())
        except OSError as second:
            self._say(
                f"cannot write the last {len(missing)} finished cases to {self.path} ({why(error)}), nor to the "
                f"temporary folder ({why(second)}); they are kept in memory and tried again, make room"
            )
            return
        self._elsewhere = len(self._lines)
        self._say(
            f"cannot write to {self.path} ({why(error)}); cases that finished since are in {self.elsewhere}, which "
            "python -m blip_fixtures.report reads too"
        )

    @cached_property
    def elsewhere(self) -> Path:
        """Where lines go that the folder does not take."""
        return Path(tempfile.mkdtemp(prefix="pytest-blip-")) / NAME

    def _keep(self) -> None:
        """Under the moment of its last line; the oldest beyond `MOST_KEPT` go."""
        self._whole_bytes = 0
        if not self.path.exists():
            return
        written = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        name = f"{self.path.stem}.{written:%Y-%m-%dT%H%M%S}"
        number = 0
        while (kept := self.path.with_name(f"{name}{f'-{number}' if number else ''}.jsonl")).exists():
            number += 1
        self.path.replace(kept)
        own = re.compile(rf"{re.escape(self.path.stem)}\.\d{{4}}-\d\d-\d\dT\d{{6}}(-\d+)?\.jsonl")
        earlier = [path for path in self.path.parent.iterdir() if own.fullmatch(path.name)]
        earlier.sort(key=lambda path: path.stat().st_mtime)
        for path in earlier[:-MOST_KEPT]:
            path.unlink()


def _write_all(descriptor: int, content: bytes) -> None:
    """`os.write` may take a part, as on a disk that is nearly full."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
