"""The journal: one line for each finished case, on disk before the next one starts."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.record import Record


class Journal:
    """Appends to one `journal.jsonl`. The first record moves that of the run before to `journal.previous.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = False

    def append(self, record: Record) -> None:
        """Write the record as one line and wait until the disk has it, so that a crash costs the running case alone."""
        if not self._started and self.path.exists():
            self.path.replace(self.path.with_name("journal.previous.jsonl"))
        self._started = True
        line = json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
