"""Where samples come from: the packaged parquet files, a folder of the same layout, or the hub."""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, overload

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import IMAGE, RowContext, Split
from blip_fixtures.data.mapped import MappedRows
from blip_fixtures.hub import HubError, fetch
from blip_fixtures.words import DataErrors

if TYPE_CHECKING:
    from blip_fixtures.data.samples import Sample

PACKAGED = "sample"
FROM_HUB = "hub"
_ORDER_SEED = 0


class DataError(ValueError):
    """A dataset that cannot be used; the message says which file, why, and what to do."""


@dataclass(frozen=True)
class Files:
    """The parquet files of one dataset. `source` is what the record names; `revision` a commit or a digest."""

    dataset: str
    source: str
    paths: tuple[Path, ...]
    revision: str


def find_files(dataset: str, source: str, override: str | None = None) -> Files:
    """The files of `dataset` that `--blip-data` names, or `--blip-dataset` for this one. Raises `DataError`.

    `override` is a folder, a parquet file, or a hub id, each with an optional ``@REVISION``.
    """
    if override is not None:
        return _overridden(dataset, override)
    if source == FROM_HUB:
        return _first_of_hub(dataset, _splits(dataset))
    return _of_folder(dataset, _folder(dataset, source), source)


def _folder(dataset: str, source: str) -> Path:
    """The dataset's folder in `source`. Raises `DataError` where the package has none of it."""
    if source != PACKAGED:
        return data_folder(source) / dataset
    folder = find_dataset(dataset).samples or data_folder(PACKAGED) / dataset
    if not folder.is_dir():
        raise DataError(
            f"{dataset} has no packaged samples; give a folder with --blip-data, or one with --blip-dataset "
            f"{dataset}=..."
        )
    return folder


def _splits(dataset: str) -> tuple[Split, ...]:
    """Where the hub has the dataset. Raises `DataError` where it has not."""
    splits = find_dataset(dataset).hub
    if not splits:
        raise DataError(
            f"{dataset} is in no repository of the hub; give a folder or a parquet file that is there with "
            f"--blip-dataset {dataset}=..."
        )
    return splits


def data_folder(source: str) -> Path:
    """The folder that `--blip-data` names. Raises `DataError` where there is none."""
    if source == PACKAGED:
        return Path(str(files("blip_fixtures.data").joinpath("samples")))
    folder = Path(source)
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"data folder {source!r} {state}; give sample, hub, or a folder with parquet files in it")
    return folder


def _of_folder(dataset: str, folder: Path, source: str) -> Files:
    paths = tuple(sorted(folder.glob("*.parquet")))
    if not paths:
        raise DataError(
            f"no parquet files in {folder}; put the {dataset} split there, in the hub's columns, "
            "or choose other benchmarks with -k"
        )
    return Files(dataset, source, paths, _digest(paths))


def _overridden(dataset: str, override: str) -> Files:
    name, _, revision = override.rpartition("@") if "@" in override else (override, "", "")
    path = Path(override)
    if path.is_dir():
        return _of_folder(dataset, path, override)
    if path.is_file():
        return Files(dataset, override, (path,), _digest([path]))
    return _of_hub(dataset, replace(_splits(dataset)[0], repository=name), revision or None)


def _first_of_hub(dataset: str, splits: Sequence[Split]) -> Files:
    """The first repository that answers; the last one's error where none does."""
    causes = []
    for split in splits:
        try:
            return _of_hub(dataset, split, None)
        except DataError as error:
            causes.append(str(error))
    raise DataError("; ".join(causes))


def _of_hub(dataset: str, split: Split, revision: str | None) -> Files:
    try:
        folder = fetch(split.repository, revision, (split.pattern,), kind="dataset")
    except HubError as error:
        raise DataError(f"cannot fetch {dataset} from {split.repository!r}: {error}") from None
    paths = tuple(sorted(folder.glob(split.pattern)))
    if not paths:
        raise DataError(
            f"{split.repository!r} has no {split.pattern}; give another repository or a folder with "
            f"--blip-dataset {dataset}=..."
        )
    # The cache keeps each commit in a folder of its name, which pins what was read.
    return Files(dataset, split.repository, paths, folder.name)


@dataclass(frozen=True)
class SampleSet(Sequence["Sample"]):
    """The samples of one dataset, decoded row by row on access, so that memory does not grow with their number.

    `skipped` are the rows that `--blip-data-errors=skip` left out.
    """

    dataset: str
    source: str
    revision: str
    rows: MappedRows
    folder: Path
    order: tuple[int, ...]
    convert: bool = False
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.row(number) for number in self.order[index]]
        return self.row(self.order[index])

    def row(self, number: int) -> Sample:
        """The sample of row `number` of the files, whether taken or not."""
        context = RowContext(number, self.folder, self.convert)
        return find_dataset(self.dataset).sample(self.rows[number], context)


def load_samples(
    dataset: str,
    source: str,
    limit: int | None = None,
    *,
    override: str | None = None,
    errors: DataErrors = DataErrors.FAIL,
) -> SampleSet:
    """The first `limit` samples of `dataset` in an order that is the same on every machine; all of them for `None`.

    Raises `DataError` for files that are missing, unreadable, empty or without a needed column, and for the first row
    that is no sample or whose image cannot be read; under ``skip`` such rows are left out and counted instead, and
    under ``convert`` pictures of other modes than RGB are converted.
    """
    found = find_files(dataset, source, override)
    counts = [_row_count(path, dataset) for path in found.paths]
    if sum(counts) == 0:
        raise DataError(f"{found.paths[0].parent} holds no rows; put the {dataset} split there")
    rows = MappedRows(found.paths, find_dataset(dataset).columns[IMAGE])
    convert = errors == DataErrors.CONVERT
    every = SampleSet(dataset, found.source, found.revision, rows, found.paths[0].parent, (), convert=convert)
    order, skipped = _sound_rows(every, limit, errors, _Places(found.paths, counts))
    return replace(every, order=tuple(order), skipped=skipped)


@dataclass(frozen=True)
class _Places:
    """Which row of which file a row's number stands for."""

    paths: Sequence[Path]
    counts: Sequence[int]

    def name(self, number: int) -> str:
        starts = [0, *itertools.accumulate(self.counts)]
        file = bisect.bisect_right(starts, number) - 1
        return f"{self.paths[file]}, row {number - starts[file]} (counted from 0)"


def _sound_rows(every: SampleSet, limit: int | None, errors: DataErrors, places: _Places) -> tuple[list[int], int]:
    """The first `limit` rows in order that are samples, and how many before them are not."""
    taken: list[int] = []
    skipped = 0
    for number in _order(len(every.rows), limit):
        if limit is not None and len(taken) == limit:
            break
        try:
            every.row(number).image.close()
        except ValueError as error:
            if errors != DataErrors.SKIP:
                raise DataError(
                    f"{places.name(number)}: {error}; mend the row, or pass --blip-data-errors=skip to leave it out"
                ) from None
            skipped += 1
        else:
            taken.append(number)
    if not taken:
        raise DataError(f"{every.folder} holds no sound row: all {skipped} were skipped; mend the split")
    return taken, skipped


def _order(count: int, limit: int | None) -> Sequence[int]:
    """All rows as they stand, or in an order that depends on their number alone: a smaller limit takes fewer."""
    if limit is None or limit >= count:
        return range(count)
    return sorted(range(count), key=lambda number: hashlib.sha256(f"{_ORDER_SEED}:{number}".encode()).digest())


def _row_count(path: Path, dataset: str) -> int:
    """How many rows the file holds. Raises `DataError` where it is unreadable or lacks a column of `dataset`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {str(error).rstrip('.')}; write the file again") from None
    found = set(footer.schema.to_arrow_schema().names)
    missing = find_dataset(dataset).missing(found)
    if missing:
        expected = ", ".join(" or ".join(names) for names in find_dataset(dataset).columns.values())
        raise DataError(
            f"{path} has the columns {', '.join(sorted(found))}; {dataset} needs {expected}; missing: "
            f"{', '.join(missing)}"
        )
    return int(footer.num_rows)


def _digest(paths: Sequence[Path]) -> str:
    """12 hex digits over the files' bytes."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
