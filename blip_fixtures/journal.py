"""The journal: one line for each finished case, on disk before the next one starts."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blip_fixtures.record import as_plain

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.record import Record

# Journals of earlier runs that are kept.
MOST_KEPT = 10


class Journal:
    """Appends to one `journal.jsonl`. The first record moves that of the run before to a name with its date."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = False

    def append(self, record: Record) -> None:
        """Write the record as one line and wait until the disk has it, so that a crash costs the running case alone."""
        if not self._started and self.path.exists():
            self._keep()
        self._started = True
        line = json.dumps(as_plain(record), allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _keep(self) -> None:
        """Under the moment of its last line; the oldest beyond `MOST_KEPT` go."""
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
