"""``python -m blip_fixtures.gate``: `compare` files of records, or run two commands in turn and judge those (`ab`)."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from blip_fixtures import foreign
from blip_fixtures.bounds import MOST_PROCESSES, argument, path, readable, shortened, whole_number
from blip_fixtures.gate import show
from blip_fixtures.gate.ab import run_in_turn
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.metrics import metric_names
from blip_fixtures.gate.rules import ALLOWABLE, Missing, RuleError, parse_rules
from blip_fixtures.gate.sides import Refusal, read_process, read_processes
from blip_fixtures.privacy import without_credentials
from blip_fixtures.spelling import did_you_mean
from blip_fixtures.whole_files import why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.sides import Process

# The last one is that of an error of the gate's own, as sysexits.h has it: to CI it is no regression.
EXIT_PASS, EXIT_REGRESSION, EXIT_REFUSAL, EXIT_CRASH = 0, 1, 4, 70
_EXIT_CODES = (
    "Exit codes: 0 nothing regressed, 1 a regression or a lost case, 4 the sides cannot be compared or an argument is "
    "wrong, 70 the gate itself failed."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where nothing regressed, 1 where something did, 4 with one sentence where it cannot be judged.

    70 with one line where the gate itself failed.
    """
    foreign.speak_any_encoding()
    options = _parser().parse_args(arguments)
    try:
        return _judged(options)
    except RuleError as error:
        return _refuse(f"--fail: {error}")
    except Refusal as error:
        return _refuse(str(error), error.output)
    except Exception as error:  # noqa: BLE001  # whatever it is must not look like a regression
        return _refuse(show.crash(error), code=EXIT_CRASH)


def _judged(options: argparse.Namespace) -> int:
    """The exit code of a judgement, which is shown and written. Raises `RuleError` or `Refusal`."""
    rules = parse_rules(options.fail)
    # Before the commands of `ab`, which may take hours.
    history = [read_process(path) for path in options.history]
    base, now = options.sides(options)
    judgement = judge(base, now, rules, history=history, allowed=options.allow, missing=options.missing)
    print(show.as_text(judgement))
    if options.out is not None:
        try:
            written = show.write(judgement, options.out)
        except OSError as error:
            raise _unwritable(options.out, error) from None
        print(f"\n{foreign.terminal(f'wrote {written}')} and gate.json beside it")
    show.tell_github(judgement, print)
    return EXIT_REGRESSION if judgement.regressed else EXIT_PASS


def _compare(options: argparse.Namespace) -> tuple[list[Process], list[Process]]:
    return _processes(options.base), _processes(options.now)


def _processes(files: Sequence[Path]) -> list[Process]:
    return [process for file in files for process in read_processes(file)]


def _ab(options: argparse.Namespace) -> tuple[list[Process], list[Process]]:
    try:
        return run_in_turn(options.base, options.now, options.runs, options.out, partial(print, flush=True))
    except OSError as error:
        raise _unwritable(options.out, error) from None


def _unwritable(folder: Path, error: OSError) -> Refusal:
    return Refusal(f"cannot write to {folder}: {why(error)}; give another --out")


class _Parser(argparse.ArgumentParser):
    """One that ends with the exit code of a refusal: to CI a wrong argument is no regression."""

    def error(self, message: str) -> NoReturn:
        """The usage, and one sentence."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_REFUSAL, f"{foreign.terminal(f'{self.prog}: error: {message}')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m blip_fixtures.gate", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="records against records",
        description="Judges records against a baseline's. Runs nothing.",
        epilog=_EXIT_CODES,
    )
    for side, what in (("base", "the baseline"), ("now", "what is judged")):
        compare.add_argument(
            f"--{side}",
            nargs="+",
            required=True,
            type=argument(path),
            metavar="FILE",
            help=f"{what}: records.json, journal.jsonl or a file of --benchmark-storage, one for each process",
        )
    compare.set_defaults(sides=_compare)
    ab = commands.add_parser(
        "ab",
        help="two commands in turn",
        description="Runs two commands in turn (A B B A ...), each in a process of its own, and judges their records.",
        epilog=_EXIT_CODES,
    )
    for side, example in (("base", "cd ../base && pytest benchmarks"), ("now", "pytest benchmarks")):
        ab.add_argument(
            f"--{side}", required=True, metavar="COMMAND", help=f"a line of shell that runs pytest: '{example}'"
        )
    ab.add_argument(
        "--runs",
        type=argument(_runs),
        default=3,
        metavar="N",
        help="processes a side (default: 3)",
    )
    ab.set_defaults(sides=_ab)
    for command in (compare, ab):
        _add_rules(command)
    compare.add_argument("--out", type=argument(path), metavar="DIR", help="gets gate.md and gate.json")
    ab.add_argument(
        "--out",
        type=argument(path),
        metavar="DIR",
        default=Path("reports/local/gate") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S"),
        help="gets gate.md, gate.json and every run's files (default: a new folder under reports/local/gate)",
    )
    return parser


def _add_rules(command: argparse.ArgumentParser) -> None:
    """What both commands judge by."""
    command.add_argument(
        "--fail",
        action="append",
        required=True,
        type=argument(readable),
        metavar="METRIC:LIMIT",
        help=f"how much worse a metric may become, repeatable: latency:10%%, memory:200MB, quality:1 (points), "
        f"latency:5%%@compile for some cases alone. Metrics: {', '.join(metric_names())}",
    )
    command.add_argument(
        "--allow",
        type=_conditions,
        default=(),
        metavar="NAMES",
        help=f"what may differ between the sides, or be interrupted, separated by commas: {', '.join(ALLOWABLE)}",
    )
    command.add_argument(
        "--missing",
        type=_missing,
        default=Missing.FAIL,
        metavar=f"{{{','.join(Missing)}}}",
        help="what becomes of a case that is gone (default: fail)",
    )
    command.add_argument(
        "--history",
        nargs="+",
        type=argument(path),
        default=[],
        metavar="FILE",
        help="earlier runs of this machine: the spread between processes, where a side is one process",
    )


def _runs(text: str) -> int:
    return whole_number(text, 1, MOST_PROCESSES)


def _conditions(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in ALLOWABLE]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown {shortened(unknown[0])!r}; choose of {', '.join(ALLOWABLE)}{did_you_mean(unknown[0], ALLOWABLE)}"
        )
    return names


def _missing(text: str) -> Missing:
    if text not in list(Missing):
        raise argparse.ArgumentTypeError(
            f"unknown {shortened(text)!r}; choose of {', '.join(Missing)}{did_you_mean(text, Missing)}"
        )
    return Missing(text)


def _refuse(message: str, output: Sequence[str] = (), code: int = EXIT_REFUSAL) -> int:
    """One line, and the last lines of a command's output below it."""
    for line in (f"error: {without_credentials(message)}", *output):
        print(foreign.terminal(line), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
