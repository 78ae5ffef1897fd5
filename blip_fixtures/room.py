"""Room on the disk for what a run writes: estimated before, and kept until it is needed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.whole_files import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of one record as JSON: what does not depend on the samples (a published one has 10 to 20 kB), and what a sample adds:
# its answer, and a number for each metric. Twice as much as was seen, since answers may be long.
_RECORD_BYTES = 40_000
_SAMPLE_BYTES = 200
# README.md and four plots have half a megabyte, index.html at most 1.2.
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
    """Room in a folder that is held until it is released, whoever fills the disk meanwhile.

    It is a file without a name: with the process that holds it the room is given back, however that ends.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder = folder
        self._size_bytes = size_bytes
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises `OSError` where there is not so much room, or a quota does not allow it; then nothing is kept."""
        self._descriptor, name = tempfile.mkstemp(prefix=".reserve.", suffix=UNFINISHED, dir=self._folder)
        try:
            Path(name).unlink()
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._descriptor, 0, self._size_bytes)
            else:
                os.write(self._descriptor, bytes(self._size_bytes))
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give the room back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
