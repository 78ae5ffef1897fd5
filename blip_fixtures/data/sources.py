"""Where samples come from: the packaged parquet files, a folder of the same layout, or the hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, overload

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import RowContext, Split
from blip_fixtures.data.mapped import MappedRows
from blip_fixtures.data.parquet import ParquetError, read_footer
from blip_fixtures.data.places import PlacedImage, Places, RowError
from blip_fixtures.hub import HubError, fetch
from blip_fixtures.inside import is_inside, leading_out
from blip_fixtures.spelling import did_you_mean, shown
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
    """The parquet files of one dataset. `source` is what the record names; `revision` a commit or a digest.

    `split` is the one of the hub that they are, as far as that is known or was said.
    """

    dataset: str
    source: str
    paths: tuple[Path, ...]
    revision: str
    split: Split | None = None


def find_files(dataset: str, source: str, override: str | None = None) -> Files:
    """The files of `dataset` that `--blip-data` names, or `--blip-dataset` for this one. Raises `DataError`.

    `override` is a folder, a parquet file, or a hub id with an optional ``@REVISION``, each with an optional ``:SPLIT``
    that says which split it is; or ``hub``, the dataset's own repositories, with or without ``:SPLIT``.
    """
    if override is not None:
        return _overridden(dataset, override)
    if source == FROM_HUB:
        return _first_of_hub(dataset, _on_hub(dataset))
    return _of_folder(dataset, _folder(dataset, source), source)


def _folder(dataset: str, source: str) -> Path:
    """The dataset's folder in `source`. Raises `DataError` where the package has none of it."""
    if source != PACKAGED:
        folder = data_folder(source)
        if not is_inside(folder / dataset, folder):
            raise DataError(f"{folder / dataset} is a link that leads out of {folder}; put the folder itself there")
        return folder / dataset
    folder = find_dataset(dataset).samples or data_folder(PACKAGED) / dataset
    if not folder.is_dir():
        raise DataError(
            f"{dataset} has no packaged samples; give a folder with --blip-data, or one with --blip-dataset "
            f"{dataset}=..."
        )
    return folder


def _on_hub(dataset: str, name: str | None = None) -> tuple[Split, ...]:
    """Where the hub has the split of that name, else the one that is measured. Raises `DataError` where it has not."""
    splits = find_dataset(dataset).on_hub(name)
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
    if not os.path.isdir(folder):  # noqa: PTH112  # `Path.is_dir` raises for a name that no file can have
        state = "is a file" if os.path.exists(folder) else "does not exist"  # noqa: PTH110  # as above
        raise DataError(f"data folder {shown(source)} {state}; give sample, hub, or a folder with parquet files in it")
    return folder


def _of_folder(dataset: str, folder: Path, source: str) -> Files:
    paths = tuple(sorted(folder.glob("*.parquet")))
    if not paths:
        raise DataError(
            f"no parquet files in {folder}; put the {dataset} split there, in the hub's columns, "
            "or choose other benchmarks with -k"
        )
    _check_inside(folder)
    return Files(dataset, source, paths, _digest(paths))


def _check_inside(folder: Path) -> None:
    """Raises `DataError` where a link would make a foreign folder read what is none of its own."""
    stray = leading_out(folder, ("*.parquet",))
    if stray is not None:
        raise DataError(f"{stray} is no file of {folder}, or a link that leads out of it; put the file itself there")


def _overridden(dataset: str, override: str) -> Files:
    source, name = _said_split(dataset, override)
    if source == FROM_HUB:
        return _first_of_hub(dataset, _on_hub(dataset, name))
    said = find_dataset(dataset).on_hub(name)[0] if name else None
    path = Path(source)
    if os.path.isdir(path):  # noqa: PTH112  # `Path.is_dir` raises for a name that no file can have
        return replace(_of_folder(dataset, path, source), split=said)
    if os.path.isfile(path):  # noqa: PTH113  # as above
        return Files(dataset, source, (path,), _digest([path]), said)
    repository, _, revision = source.rpartition("@") if "@" in source else (source, "", "")
    known = next((split for split in find_dataset(dataset).hub if split.repository == repository), None)
    split = replace(said or known or _on_hub(dataset)[0], repository=repository)
    # Whatever another repository calls so may be another split.
    return replace(_of_hub(dataset, split, revision or None), split=said or known)


def _said_split(dataset: str, override: str) -> tuple[str, str | None]:
    """The source, and the split that is said behind its last colon. Raises `DataError` for one that nobody knows."""
    source, colon, name = override.rpartition(":")
    if not colon or "/" in name or os.path.exists(override):  # noqa: PTH110  # as `Path.is_dir`
        return override, None
    known = find_dataset(dataset).splits
    if name not in known:
        said = f"there is no split {shown(name)} of {dataset} for --blip-dataset"
        raise DataError(f"{said}; choose one of {', '.join(known) or 'none'}{did_you_mean(name, known)}")
    return source, name


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
        raise DataError(f"cannot fetch {dataset} from {shown(split.repository)}: {error}") from None
    paths = tuple(sorted(folder.glob(split.pattern)))
    if not paths:
        raise DataError(
            f"{shown(split.repository)} has no {split.pattern}; give another repository or a folder with "
            f"--blip-dataset {dataset}=..."
        )
    _check_inside(folder)
    # The cache keeps each commit in a folder of its name, which pins what was read.
    return Files(dataset, split.repository, paths, folder.name, split)


@dataclass(frozen=True)
class SampleSet(Sequence["Sample"]):
    """The samples of one dataset, decoded row by row on access, so that memory does not grow with their number.

    `skipped` are the rows that `--blip-data-errors=skip` left out. `split` is the one of the hub that the rows are
    from, as far as that is known.
    """

    dataset: str
    source: str
    revision: str
    rows: MappedRows
    folder: Path
    order: tuple[int, ...]
    places: Places
    convert: bool = False
    skipped: int = 0
    split: Split | None = None

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
        """The sample of row `number` of the files, whether taken or not. Raises `RowError`, as its picture does later.

        Files may change while a run lasts, so that each sample carries its place along.
        """
        context = RowContext(number, self.folder, self.convert)
        try:
            sample = find_dataset(self.dataset).sample(self.rows[number], context)
        except ValueError as error:
            raise RowError(f"{self.places.name(number)}: {error}") from error
        return replace(sample, open_image=PlacedImage(sample.open_image, self.places, number))


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
    rows, counts = _rows(found)
    every = SampleSet(
        dataset=dataset,
        source=found.source,
        revision=found.revision,
        rows=rows,
        folder=found.paths[0].parent,
        order=(),
        places=Places(found.paths, counts),
        convert=errors == DataErrors.CONVERT,
        split=found.split,
    )
    order, skipped = _sound_rows(every, limit, errors)
    return replace(every, order=tuple(order), skipped=skipped)


def _rows(found: Files) -> tuple[MappedRows, tuple[int, ...]]:
    """The rows of all files, and how many each has. Raises `DataError`."""
    try:
        footers = [read_footer(path, found.dataset) for path in found.paths]
        counts = tuple(footer.rows for footer in footers)
        if sum(counts) == 0:
            raise DataError(f"{found.paths[0].parent} holds no rows; put the {found.dataset} split there")
        rows = MappedRows(found.paths, footers[0])
    except ParquetError as error:
        raise DataError(str(error)) from error
    if len(rows) != sum(counts):
        raise DataError(
            f"the files of {found.paths[0].parent} say that they hold {sum(counts)} rows, and {len(rows)} were found; "
            "write them again"
        )
    return rows, counts


def _sound_rows(every: SampleSet, limit: int | None, errors: DataErrors) -> tuple[list[int], int]:
    """The first `limit` rows in order that are samples, and how many before them are not."""
    taken: list[int] = []
    skipped = 0
    for number in _order(len(every.rows), limit):
        if limit is not None and len(taken) == limit:
            break
        try:
            every.row(number).image.close()
        except RowError as error:
            if errors != DataErrors.SKIP:
                raise DataError(f"{error}; mend the row, or pass --blip-data-errors=skip to leave it out") from error
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


def _digest(paths: Sequence[Path]) -> str:
    """12 hex digits over the files' bytes."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
