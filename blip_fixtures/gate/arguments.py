"""The arguments of ``python -m blip_fixtures.gate``."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from blip_fixtures import foreign
from blip_fixtures.bounds import MOST_PROCESSES, argument, path, readable, shortened, some_text, whole_number
from blip_fixtures.gate.metrics import metric_names
from blip_fixtures.gate.rules import ALLOWABLE, PRESETS, Missing
from blip_fixtures.gate.sequential import MOST_LOOKS
from blip_fixtures.spelling import did_you_mean

# The last one is that of an error of the gate's own, as sysexits.h has it: to CI it is no regression.
EXIT_PASS, EXIT_REGRESSION, EXIT_REFUSAL, EXIT_CRASH = 0, 1, 4, 70
# Processes a side, and the most where the gate finds out how many it needs.
RUNS, MAX_RUNS = 3, 30
# Of one step of a search: it need not be sure, since a doubtful one is asked again.
STEP_RUNS = 15
_EXIT_CODES = (
    "Exit codes: 0 nothing regressed, 1 a regression or a lost case, 4 the sides cannot be compared or an argument is "
    "wrong, 70 the gate itself failed."
)


class _Parser(argparse.ArgumentParser):
    """One that ends with the exit code of a refusal: to CI a wrong argument is no regression."""

    def error(self, message: str) -> NoReturn:
        """The usage, and one sentence."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_REFUSAL, f"{foreign.terminal(f'{self.prog}: error: {message}')}\n")


def parser() -> argparse.ArgumentParser:
    """Of all commands; what is wrong ends with exit code 4 and one sentence."""
    found = _Parser(prog="python -m blip_fixtures.gate", description=__doc__, epilog=_EXIT_CODES)
    commands = found.add_subparsers(required=True, metavar="COMMAND")
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
    compare.set_defaults(command="compare")
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
        metavar="N",
        help=f"processes a side (default: {RUNS})",
    )
    ab.add_argument(
        "--until-decided",
        action="store_true",
        help="look after each pair of processes, and stop when every comparison is decided; decided cases leave",
    )
    ab.add_argument(
        "--max-runs",
        type=argument(_looks),
        metavar="N",
        help=f"with --until-decided: most processes a side (default: {MAX_RUNS}, at most {MOST_LOOKS})",
    )
    ab.set_defaults(command="ab")
    bisect = _add_bisect(commands)
    for command in (compare, ab, bisect):
        _add_rules(command)
    compare.add_argument("--out", type=argument(path), metavar="DIR", help="gets gate.md and gate.json")
    ab.add_argument(
        "--out",
        type=argument(path),
        metavar="DIR",
        default=Path("reports/local/gate") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S"),
        help="gets gate.md, gate.json and every run's files (default: a new folder under reports/local/gate)",
    )
    return found


def _add_bisect(commands: Any) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = commands.add_parser(
        "bisect",
        help="the commit that made it worse",
        description="Finds the first commit that a rule fails: each step compares the good commit with another one "
        "until it is decided, in worktrees of its own. What is interrupted goes on with the same command.",
        epilog="Exit codes: 0 the commit was found, 1 it could not be told for sure, 4 there is nothing to find or an "
        "argument is wrong, 70 the gate itself failed.",
    )
    for side, what in (("good", "a commit that the rule passes"), ("bad", "a later one that it fails")):
        found.add_argument(f"--{side}", required=True, type=argument(some_text), metavar="REV", help=what)
    found.add_argument(
        "--max-runs",
        type=argument(_looks),
        metavar="N",
        help=f"most processes a side in one step (default: {STEP_RUNS}, at most {MOST_LOOKS})",
    )
    found.add_argument(
        "--out",
        type=argument(path),
        metavar="DIR",
        help="gets bisect.json, bisect.md and every run's files (default: a folder of both commits under "
        "reports/local/bisect)",
    )
    found.add_argument(
        "arguments", nargs="*", type=argument(readable), metavar="-- PYTEST ARGUMENTS", help="what pytest runs"
    )
    found.set_defaults(command="bisect")
    return found


def _add_rules(command: argparse.ArgumentParser) -> None:
    """What each command judges by."""
    command.add_argument(
        "--fail",
        action="append",
        default=[],
        type=argument(readable),
        metavar="METRIC:LIMIT",
        help=f"how much worse a metric may become, repeatable: latency:10%%, memory:200MB, quality:1 (points), "
        f"latency:5%%@compile for some cases alone. Metrics: {', '.join(metric_names())}. A preset's name stands for "
        f"its rules: {_presets()}",
    )
    command.add_argument(
        "--rules",
        type=argument(path),
        metavar="FILE.toml",
        help="a file of such rules; one of --fail takes the place of the file's for the same cases",
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


def _presets() -> str:
    return "; ".join(f"{name} ({', '.join(rules)})" for name, rules in PRESETS.items()).replace("%", "%%")


def _runs(text: str) -> int:
    return whole_number(text, 1, MOST_PROCESSES)


def _looks(text: str) -> int:
    return whole_number(text, 1, MOST_LOOKS)


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
