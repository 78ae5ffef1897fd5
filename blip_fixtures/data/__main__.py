"""``python -m blip_fixtures.data make-folder ...``: a folder of pictures and a JSON of questions become parquet files.

The result is what ``--blip-data OUT`` reads. The JSON is a list of objects, one for each question:

- all: ``image``, a path below ``--images``
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
from typing import TYPE_CHECKING, Any

from blip_fixtures import foreign
from blip_fixtures.bounds import argument, path, readable
from blip_fixtures.data.columns import needed
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.datasets.base import IMAGE, ColumnType, RowContext
from blip_fixtures.inside import is_inside
from blip_fixtures.spelling import shown
from blip_fixtures.whole_files import UNFINISHED, BadFileError, decode_json, read_bytes, why

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.data.datasets.base import Dataset

EXIT_BAD_INPUT = 2
# Rows of one file: a few hundred encoded pictures fit into memory whatever the folder holds.
ROWS_A_FILE = 500


class FolderError(ValueError):
    """Input that makes no dataset; the message says which row, why, and what to do."""


def make_folder(name: str, images: Path, questions: Path, out: Path, *, show_progress: bool = True) -> int:
    """Write ``OUT/<name of the dataset>/part-*.parquet`` and return the number of rows. Raises `FolderError`.

    Nothing is left behind where a row is no good.
    """
    dataset, rows = find_dataset(name), _entries(questions)
    target = out / name
    if target.exists() and any(target.iterdir()):
        raise FolderError(f"{target} is not empty; give another --out, or remove it")
    # Nobody can guess the name, and a folder that is there already, or a link, is an error.
    unfinished = out / f".{name}.{secrets.token_hex(8)}{UNFINISHED}"
    out.mkdir(parents=True, exist_ok=True)
    unfinished.mkdir()
    try:
        for number, part in enumerate(_parts(dataset, images, rows, show_progress=show_progress)):
            _write(dataset, part, unfinished / f"part-{number:05d}.parquet")
        if target.exists():
            target.rmdir()
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    return len(rows)


def _entries(questions: Path) -> list[Any]:
    try:
        rows = decode_json(read_bytes(questions))
    except OSError as error:
        raise FolderError(f"cannot read {questions}: {why(error)}; give a JSON list of questions") from None
    except BadFileError as error:
        raise FolderError(f"cannot read {questions}: {error}; give a JSON list of questions") from None
    if not isinstance(rows, list) or not rows:
        raise FolderError(f"{questions} holds no list of questions; give a JSON list of objects")
    return rows


def _parts(
    dataset: Dataset, images: Path, rows: Sequence[Any], *, show_progress: bool
) -> Iterator[list[dict[str, Any]]]:
    from tqdm import tqdm  # type: ignore[import-untyped]  # comes with datasets, without stubs

    part: list[dict[str, Any]] = []
    # `None` shows it on a terminal alone: in a log it would be a line of its own beside the error's.
    for number, entry in enumerate(tqdm(rows, unit="row", disable=None if show_progress else True)):
        try:
            row = _row(dataset, entry, images, number)
            dataset.sample(row, RowContext(number, images, convert=True)).image.close()
        except ValueError as error:
            raise FolderError(f"entry {number} (counted from 0): {error}; mend it or leave it out") from None
        part.append(row)
        if len(part) == ROWS_A_FILE:
            yield part
            part = []
    if part:
        yield part


def _row(dataset: Dataset, entry: Any, images: Path, number: int) -> dict[str, Any]:
    """The entry in the hub's columns, its picture embedded."""
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is no object")  # noqa: TRY004  # one kind of error for all that a file may hold
    name = needed(entry, IMAGE)
    if not isinstance(name, str):
        raise ValueError(f"image is {shown(name)} where a path is needed")  # noqa: TRY004  # as above
    path = images / name
    if "\0" in name or not is_inside(path, images):
        raise ValueError(f"image {shown(name)} lies outside {images}")
    try:
        content = _picture(path)
    except OSError as error:
        raise ValueError(f"image {shown(name)} cannot be read ({error.strerror})") from None
    except BadFileError as error:
        raise ValueError(f"image {shown(name)} cannot be read: {error}") from None
    return {"question_id": number, IMAGE: {"bytes": content, "path": None}, **dataset.to_row(entry)}


def _picture(path: Path) -> bytes:
    """The bytes of a file. Raises `OSError`, and `BadFileError` for what is none, such as a pipe without an end."""
    if path.exists() and not path.is_file():
        raise BadFileError("it is no file")
    return read_bytes(path)


def _write(dataset: Dataset, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        ColumnType.TEXT: pa.string(),
        ColumnType.TEXTS: pa.list_(pa.string()),
        ColumnType.INDEX: pa.int8(),
    }
    columns = {
        "question_id": pa.int64(),
        IMAGE: pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        **{name: types[kind] for name, kind in dataset.row_types.items()},
    }
    try:
        table = pa.Table.from_pylist(list(rows), schema=pa.schema(columns))
    except pa.ArrowException as error:
        # A dataset from outside whose entries become another type than its `row_types` say.
        raise FolderError(f"the entries do not fit the columns of {dataset.name}: {shown(str(error))[1:-1]}") from None
    pq.write_table(table, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input is no use."""
    foreign.speak_any_encoding()
    options = _parser().parse_args(arguments)
    try:
        count = make_folder(options.dataset, options.images, options.questions, options.out)
    except FolderError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot write to {options.out}: {why(error)}; give another folder as --out")
    print(foreign.terminal(f"wrote {count} rows to {options.out / options.dataset}; to measure on them:"))
    print(foreign.terminal(f"pytest benchmarks -k {options.dataset} --blip-data {options.out}"))
    return 0


def _fail(message: str) -> int:
    print(foreign.terminal(f"error: {message}"), file=sys.stderr)
    return EXIT_BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m blip_fixtures.data", description="Data sets of your own.")
    entries = [f"- {name}: {find_dataset(name).entry}" for name in dataset_names()]
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser(
        "make-folder",
        help="turn pictures and a JSON of questions into the parquet files that --blip-data reads",
        description=(__doc__ or "") + "\n".join(entries),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    make.add_argument(
        "--dataset",
        type=argument(readable),
        required=True,
        choices=dataset_names(),
        help="whose columns and metrics the questions have",
    )
    make.add_argument("--images", required=True, type=argument(path), metavar="DIR", help="the pictures")
    make.add_argument(
        "--questions", required=True, type=argument(path), metavar="FILE.json", help="the questions and answers"
    )
    make.add_argument(
        "--out", required=True, type=argument(path), metavar="DIR", help="gets a folder of the dataset's name"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
