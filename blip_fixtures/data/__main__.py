"""``python -m blip_fixtures.data make-folder ...``: a folder of pictures and a JSON of questions become parquet files.

The result is what ``--blip-data OUT`` reads. The JSON is a list of objects, one for each question:

- all: ``image``, a path below ``--images``
- textvqa: ``question``, and ``answers`` with ten texts, or ``answer`` with the one that all ten people would give
- coco: ``captions``, one or more
- scienceqa: ``question``, ``choices``, ``answer`` (an option's text, or its number from 0), and optionally ``hint``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import DATASETS
from blip_fixtures.data.adapters import ADAPTERS, RowContext
from blip_fixtures.data.columns import PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EXIT_BAD_INPUT = 2
# Rows of one file: a few hundred encoded pictures fit into memory whatever the folder holds.
ROWS_A_FILE = 500


class FolderError(ValueError):
    """Input that makes no dataset; the message says which row, why, and what to do."""


def make_folder(dataset: str, images: Path, questions: Path, out: Path, *, show_progress: bool = True) -> int:
    """Write ``OUT/<dataset>/part-*.parquet`` and return the number of rows. Raises `FolderError`.

    Nothing is left behind where a row is no good.
    """
    rows = _entries(questions)
    target = out / dataset
    if target.exists() and any(target.iterdir()):
        raise FolderError(f"{target} is not empty; give another --out, or remove it")
    unfinished = out / f".{dataset}.unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    try:
        for number, part in enumerate(_parts(dataset, images, rows, show_progress=show_progress)):
            _write(part, unfinished / f"part-{number:05d}.parquet")
    except BaseException:
        for path in unfinished.iterdir():
            path.unlink()
        unfinished.rmdir()
        raise
    if target.exists():
        target.rmdir()
    unfinished.rename(target)
    return len(rows)


def _entries(questions: Path) -> list[Any]:
    try:
        rows = json.loads(questions.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot read {questions}: {error}; give a JSON list of questions") from None
    if not isinstance(rows, list) or not rows:
        raise FolderError(f"{questions} holds no list of questions; give a JSON list of objects")
    return rows


def _parts(dataset: str, images: Path, rows: Sequence[Any], *, show_progress: bool) -> Iterator[list[dict[str, Any]]]:
    from tqdm import tqdm  # type: ignore[import-untyped]  # comes with datasets, without stubs

    part: list[dict[str, Any]] = []
    for number, entry in enumerate(tqdm(rows, unit="row", disable=not show_progress)):
        try:
            row = _row(dataset, entry, images, number)
            ADAPTERS[dataset].sample(row, RowContext(number, images, convert=True)).image.close()
        except ValueError as error:
            raise FolderError(f"entry {number} (counted from 0): {error}; mend it or leave it out") from None
        part.append(row)
        if len(part) == ROWS_A_FILE:
            yield part
            part = []
    if part:
        yield part


def _row(dataset: str, entry: Any, images: Path, number: int) -> dict[str, Any]:
    """The entry in the hub's columns, its picture embedded."""
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} is no object")  # noqa: TRY004  # one kind of error for all that a file may hold
    name = _needed(entry, "image")
    path = (images / str(name)).resolve()
    if not path.is_relative_to(images.resolve()):
        raise ValueError(f"image {name!r} lies outside {images}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"image {name!r} cannot be read ({error.strerror})") from None
    row: dict[str, Any] = {"question_id": number, "image": {"bytes": content, "path": None}}
    match dataset:
        case "textvqa":
            answers = entry.get("answers") or [_needed(entry, "answer")] * PEOPLE
            return {
                **row,
                "question": _needed(entry, "question"),
                "answers": answers,
                "ocr_tokens": entry.get("ocr_tokens") or [],
            }
        case "coco":
            captions = entry.get("captions") or entry.get("answer") or []
            return {**row, "question": "", "answer": [captions] if isinstance(captions, str) else captions}
        case _:
            choices = _needed(entry, "choices")
            return {
                **row,
                "question": _needed(entry, "question"),
                "choices": choices,
                "answer": _option(_needed(entry, "answer"), choices),
                "hint": entry.get("hint") or "",
            }


def _needed(entry: Mapping[str, Any], name: str) -> Any:
    if entry.get(name) in (None, "", []):
        raise ValueError(f"{name} is missing")
    return entry[name]


def _option(answer: Any, choices: Sequence[str]) -> int:
    if isinstance(answer, int):
        return answer
    if answer not in choices:
        raise ValueError(f"answer {answer!r} is none of its choices")
    return list(choices).index(answer)


def _write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.list_(pa.string())
    types = {
        "question_id": pa.int64(),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "answers": texts,
        "ocr_tokens": texts,
        "choices": texts,
        "question": pa.string(),
        "hint": pa.string(),
        "answer": texts if isinstance(rows[0].get("answer"), list) else pa.int8(),
    }
    schema = pa.schema([(name, types[name]) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input is no use."""
    options = _parser().parse_args(arguments)
    try:
        count = make_folder(options.dataset, options.images, options.questions, options.out)
    except (FolderError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print(f"wrote {count} rows to {options.out / options.dataset}; to measure on them:")
    print(f"pytest benchmarks -k {options.dataset} --blip-data {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m blip_fixtures.data", description="Data sets of your own.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser(
        "make-folder",
        help="turn pictures and a JSON of questions into the parquet files that --blip-data reads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    make.add_argument("--dataset", required=True, choices=DATASETS, help="whose columns and metrics the questions have")
    make.add_argument("--images", required=True, type=Path, metavar="DIR", help="the pictures")
    make.add_argument("--questions", required=True, type=Path, metavar="FILE.json", help="the questions and answers")
    make.add_argument("--out", required=True, type=Path, metavar="DIR", help="gets a folder of the dataset's name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
