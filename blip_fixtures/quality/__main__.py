"""``python -m blip_fixtures.quality DATASET FILE.jsonl``: the metrics of a predictions file as JSON.

Each line is an object with `prediction` and the dataset's own reference columns, such as the `answers` of TextVQA.
``python -m blip_fixtures.quality certify MODEL RECORDS...`` is `certify.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from blip_fixtures import foreign
from blip_fixtures.bounds import argument, name_or_path, path, readable
from blip_fixtures.data.columns import free_text
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.prompts import PromptsError, find_prompts, preset_names
from blip_fixtures.quality import certify, score
from blip_fixtures.whole_files import MOST_LINE_BYTES, BadFileError, decode_json, read_bytes, why

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.data.datasets.base import Question

EXIT_BAD_INPUT = 2


class PredictionsError(ValueError):
    """A predictions file that cannot be scored; the message says which line, why, and what to do."""


def read_predictions(dataset: str, path: Path) -> tuple[list[str], list[Question]]:
    """The predictions of a file and what each is scored against. Raises `PredictionsError`."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise PredictionsError(f"cannot read {path}: {why(error)}; give a file with one JSON object a line") from None
    except BadFileError as error:
        raise PredictionsError(f"cannot read {path}: {error}; give a file with one JSON object a line") from None
    predictions, questions = [], []
    # Only a line feed ends a line: JSON may hold the other characters that Unicode calls ends of lines.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _object(line)
            predictions.append(free_text(row, "prediction"))
            questions.append(find_dataset(dataset).to_question(row))
        except ValueError as error:
            raise PredictionsError(f"{path}, line {number}: {error}; mend the line or remove it") from None
    if not predictions:
        raise PredictionsError(f"{path} holds no predictions; give one JSON object a line")
    return predictions, questions


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MOST_LINE_BYTES:
        raise BadFileError(f"it has more than {MOST_LINE_BYTES // 2**20} MiB, the most that is read")
    row = decode_json(line)
    if not isinstance(row, dict):
        raise BadFileError("it is no object")
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 with a JSON object on stdout, or 2 with one sentence on stderr when the input is no use.

    After the word `certify` it is `certify.main`.
    """
    foreign.speak_any_encoding()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [certify.WORD]:
        return certify.main(given[1:])
    options = _parser().parse_args(given)
    try:
        prompt = find_prompts(options.prompts).of(options.dataset)
        predictions, questions = read_predictions(options.dataset, options.file)
    except (PredictionsError, PromptsError) as error:
        print(foreign.terminal(f"error: {error}"), file=sys.stderr)
        return EXIT_BAD_INPUT
    metrics = score(options.dataset, predictions, questions, digits_from_zero=prompt.digits_from_zero)
    print(json.dumps({name: metric.value for name, metric in metrics.items()}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blip_fixtures.quality",
        description="Scores a predictions file with the suite's own metrics.",
        epilog=f"Another command: python -m blip_fixtures.quality {certify.WORD} MODEL RECORDS... holds published "
        "scores against records; it has a --help of its own.",
    )
    names, presets = dataset_names(), preset_names()
    parser.add_argument("dataset", type=argument(readable), choices=names, metavar="DATASET", help=", ".join(names))
    parser.add_argument("file", type=argument(path), metavar="FILE.jsonl", help="one JSON object a line")
    parser.add_argument(
        "--prompts",
        metavar="PRESET",
        type=argument(name_or_path),
        default=presets[0],
        help=f"the preset that the answers were asked with, {', '.join(presets)} or FILE.toml: where it numbers the "
        "options from 0, as seed does, a digit names one (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
