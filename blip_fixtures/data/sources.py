"""Where samples come from: the packaged parquet files or a folder of the same layout."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, overload

from blip_fixtures.data.adapters import ADAPTERS

if TYPE_CHECKING:
    import datasets

    from blip_fixtures.data.samples import Sample

PACKAGED = "sample"
_ORDER_SEED = 0


class DataError(ValueError):
    """A dataset that cannot be used; the message says which file, why, and what to do."""


def data_folder(source: str) -> Path:
    """The folder that `--blip-data` names. Raises `DataError` where there is none."""
    if source == PACKAGED:
        return Path(str(files("blip_fixtures.data").joinpath("samples")))
    folder = Path(source)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"data folder {source!r} is a file; give sample, or a folder with parquet files in it")
    if not folder.exists():
        raise DataError(f"data folder {source!r} does not exist; give sample, or a folder with parquet files in it")
    return folder


def parquet_files(folder: Path, dataset: str) -> list[Path]:
    """The dataset's parquet files in name order. Raises `DataError` where there are none."""
    found = sorted((folder / dataset).glob("*.parquet"))
    if not found:
        raise DataError(
            f"no parquet files in {folder / dataset}; put the {dataset} split there, in the hub's columns, "
            "or choose other benchmarks with -k"
        )
    return found


@dataclass(frozen=True)
class SampleSet(Sequence["Sample"]):
    """The samples of one dataset, decoded row by row on access, so that memory does not grow with their number."""

    dataset: str
    source: str
    revision: str
    rows: datasets.Dataset
    order: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._sample(number) for number in self.order[index]]
        return self._sample(self.order[index])

    def _sample(self, number: int) -> Sample:
        return ADAPTERS[self.dataset].to_sample(self.rows[number], number)


def load_samples(dataset: str, source: str, limit: int | None = None) -> SampleSet:
    """The first `limit` samples of `dataset` in an order that is the same on every machine; all of them for `None`.

    Raises `DataError` for files that are missing, unreadable, empty or without a needed column, and for the first of
    the taken rows that is no sample or whose image cannot be read.
    """
    import datasets

    paths = parquet_files(data_folder(source), dataset)
    counts = [_row_count(path, dataset) for path in paths]
    if sum(counts) == 0:
        raise DataError(f"{paths[0].parent} holds no rows; put the {dataset} split there")
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_parquet([str(path) for path in paths])
    rows = rows.cast_column("image", datasets.Image(decode=False))
    order = list(range(len(rows)))
    if limit is not None and limit < len(order):
        order = random.Random(_ORDER_SEED).sample(order, limit)
    samples = SampleSet(dataset, source, _digest(paths), rows, tuple(order))
    _check_rows(samples, paths, counts)
    return samples


def _check_rows(samples: SampleSet, paths: list[Path], counts: list[int]) -> None:
    """Every taken row, before anything is measured. `counts` are the rows of each file."""
    starts = [0, *itertools.accumulate(counts)]
    for position, number in enumerate(samples.order):
        try:
            image = samples[position].image
            image.close()
        except (ValueError, OSError, SyntaxError) as error:  # Pillow raises SyntaxError for some broken files
            file = bisect.bisect_right(starts, number) - 1
            cause = f"image cannot be decoded ({error})" if not isinstance(error, ValueError) else error
            raise DataError(
                f"{paths[file]}, row {number - starts[file]} (counted from 0): {cause}; mend the row or leave it out"
            ) from None


def _row_count(path: Path, dataset: str) -> int:
    """How many rows the file holds. Raises `DataError` where it is unreadable or lacks a column of `dataset`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {str(error).rstrip('.')}; write the file again") from None
    found = set(footer.schema.to_arrow_schema().names)
    missing = sorted(ADAPTERS[dataset].columns - found)
    if missing:
        raise DataError(f"{path} has the columns {', '.join(sorted(found))}; {dataset} also needs {', '.join(missing)}")
    return int(footer.num_rows)


def _digest(paths: list[Path]) -> str:
    """12 hex digits over the files' bytes."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
