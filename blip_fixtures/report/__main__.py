"""``python -m blip_fixtures.report RECORDS... --out DIR``: renders or merges records without running a model."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.bounds import argument, money, path, readable
from blip_fixtures.record import RecordError, read_run
from blip_fixtures.report.course import Course
from blip_fixtures.report.document import ReportError, write_document
from blip_fixtures.whole_files import why
from blip_fixtures.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.record import Record

EXIT_NO_PLOTS, EXIT_BAD_INPUT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one sentence on stderr when the input or the folder is no use.

    1 where the document is written, and a plot is missing from it.
    """
    foreign.speak_any_encoding()
    options = _parser().parse_args(arguments)
    try:
        runs = [read_run(file) for file in options.records]
        courses = [Course.of(run.document, run.records) for run in runs]
        records = [record for run in runs for record in run.records]
        written = write_document(records, options.out, lang=options.lang, courses=courses, price=options.price_per_hour)
        page = _write_page(records, courses, options) if options.html or options.history else None
    except (RecordError, ReportError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot write the document to {options.out}: {why(error)}; give another folder as --out")
    print(foreign.terminal(f"wrote {written.readme}"))
    if page is not None:
        print(foreign.terminal(f"wrote {page}"))
    if written.without_plots is not None:
        _tell(f"plots are missing from it, they could not be drawn: {written.without_plots}")
        return EXIT_NO_PLOTS
    return 0


def _write_page(records: Sequence[Record], courses: Sequence[Course], options: argparse.Namespace) -> Path:
    """Raises `OSError`, and `RecordError` for a folder of stored runs that is none."""
    from blip_fixtures.report.page.history import read_history
    from blip_fixtures.report.page.page import write_page

    history = None
    if options.history is not None:
        if not options.history.is_dir():
            raise RecordError(f"--history {options.history} is no folder; give that of --benchmark-storage")
        history = read_history(options.history)
    return write_page(records, options.out, lang=options.lang, courses=courses, history=history)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m blip_fixtures.report",
        description="Renders the records of one or several runs of one checkpoint as a document of tables and plots.",
    )
    parser.add_argument(
        "records",
        nargs="+",
        type=argument(path),
        metavar="RECORDS",
        help="a records.json or journal.jsonl; of the same case on the same device in several files, the last wins",
    )
    parser.add_argument("--out", required=True, type=argument(path), metavar="DIR", help="gets README.md and plots/")
    parser.add_argument(
        "--lang",
        type=argument(readable),
        choices=LANGUAGES,
        default="en",
        help="language of the prose (default: %(default)s)",
    )
    parser.add_argument(
        "--price-per-hour",
        type=argument(money),
        metavar="MONEY",
        help="what an hour of the machine costs: the document then says what a thousand samples cost",
    )
    parser.add_argument("--html", action="store_true", help="write index.html too: one page with charts and filters")
    parser.add_argument(
        "--history",
        type=argument(path),
        metavar="DIR",
        help="runs that pytest-benchmark stored (--benchmark-storage), for the page's history; means --html",
    )
    return parser


def _fail(message: str) -> int:
    _tell(message)
    return EXIT_BAD_INPUT


def _tell(message: str) -> None:
    print(foreign.terminal(f"error: {message}"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
