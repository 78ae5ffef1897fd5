"""Rows of parquet files as `datasets` maps them into memory, with the pages that were read given back."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.parquet import features, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blip_fixtures.data.parquet import Footer

# Some hundreds of photographs: the resident set stays within this above what it would be without any.
_RELEASE_EVERY_BYTES = 32 * 2**20
_MADV_DONTNEED = 4


class MappedRows:
    """The rows of `paths`, read through `datasets`: encoded pictures stay in its mapped cache file until asked for.

    `footer` is that of the first file, whose columns and types the others must have. Raises `ParquetError`.

    Mapped pages count as resident once they were read, so a walk over a large data set would make the process look
    as large as the data set. They are given back on the way; the kernel keeps them in its page cache.
    """

    def __init__(self, paths: Sequence[Path], footer: Footer) -> None:
        import datasets

        datasets.disable_progress_bars()
        taken = features(footer)
        try:
            with _silent(datasets.logging):
                self._rows = datasets.Dataset.from_parquet(
                    [str(path) for path in paths], features=taken, columns=list(taken)
                )
        except Exception as error:
            # What is behind it is a file that two libraries read, and whatever either of them raises.
            raise unreadable(paths[0] if len(paths) == 1 else paths[0].parent, error.__cause__ or error) from error
        self._picture = footer.picture
        self._cache_files = {str(Path(entry["filename"]).resolve()) for entry in self._rows.cache_files}
        self._read_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = self._rows[number]
        except UnicodeDecodeError:
            raise ValueError("a text of it is not UTF-8") from None
        self._read_bytes += len((row.get(self._picture) or {}).get("bytes") or b"")
        if self._read_bytes > _RELEASE_EVERY_BYTES:
            self._read_bytes = 0
            release_pages(self._cache_files)
        return row


@contextlib.contextmanager
def _silent(logging: Any) -> Iterator[None]:
    """An error is raised here and told once; the library would print it as well."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def release_pages(files: Iterable[str], maps: Path = Path("/proc/self/maps")) -> None:
    """Give back the resident pages of read-only mappings of `files`; elsewhere than on Linux nothing happens.

    A file's pages are read again where they are needed again (madvise(2), MADV_DONTNEED); a writable mapping would
    lose what was written to it, so it is left alone.
    """
    if sys.platform != "linux":
        return
    wanted = set(files)
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    for line in maps.read_text().splitlines():
        span, mode, _, _, _, *name = line.split(maxsplit=5)
        if name and name[0] in wanted and "w" not in mode:
            start, end = (int(address, 16) for address in span.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
