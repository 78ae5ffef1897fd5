"""Room on the disk for what a run writes: estimated before, and kept until it is needed."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.whole_files import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of one record as JSON: what does not depend on the samples (a published one has 10 to 20 kB), and what a sample adds:
# its answer, and a number for each metric. Twice as much as was seen, since answers may be long.
_RECORD_BYTES = 40_000
_SAMPLE_BYTES = 200
# README.md and four plots have half a megabyte.
_DOCUMENT_BYTES = 2_000_000


def bytes_of_records(samples: Iterable[int]) -> int:
    """What the records of cases with so many samples take in one file, about."""
    return sum(_RECORD_BYTES + _SAMPLE_BYTES * count for count in samples)


def bytes_of_last_write(samples: Iterable[int]) -> int:
    """What a run writes at its end: records.json, the document and its plots."""
    return bytes_of_records(samples) + _DOCUMENT_BYTES


def free_bytes(folder: Path) -> int:
    """What the file system of `folder` has left; of a quota it knows nothing."""
    return shutil.disk_usage(folder).free


class Reserve:
    """A file that holds room in a folder until it is released, whoever fills the disk meanwhile."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder = folder
        self._size_bytes = size_bytes
        self._path: Path | None = None

    def take(self) -> None:
        """Raises `OSError` where there is not so much room, or a quota does not allow it; then nothing is kept."""
        descriptor, name = tempfile.mkstemp(prefix=".reserve.", suffix=UNFINISHED, dir=self._folder)
        self._path = Path(name)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, self._size_bytes)
            else:
                os.write(descriptor, bytes(self._size_bytes))
        except OSError:
            self.release()
            raise
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Give the room back. The file may be gone, with its folder."""
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()
            self._path = None
