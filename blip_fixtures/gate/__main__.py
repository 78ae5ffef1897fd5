"""``python -m blip_fixtures.gate``: `compare` records, run two commands in turn (`ab`), find a commit (`bisect`)."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.gate import show
from blip_fixtures.gate.ab import BASE, NOW, run_in_turn, run_one
from blip_fixtures.gate.arguments import EXIT_CRASH, EXIT_PASS, EXIT_REFUSAL, EXIT_REGRESSION, MAX_RUNS, RUNS, parser
from blip_fixtures.gate.bisect.command import bisect
from blip_fixtures.gate.crash import said_of
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.looks import Looks, check_most
from blip_fixtures.gate.rule_files import RuleSet, read_rules
from blip_fixtures.gate.rules import RuleError, parse_rules
from blip_fixtures.gate.sides import Refusal, read_process, read_processes
from blip_fixtures.gate.until import until_decided
from blip_fixtures.privacy import without_credentials
from blip_fixtures.whole_files import why

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process

    Judged = Callable[..., tuple[Judgement, Sequence[Rule]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where nothing regressed, 1 where something did, 4 with one sentence where it cannot be judged.

    70 with one line where the gate itself failed.
    """
    foreign.speak_any_encoding()
    options = parser().parse_args(arguments)
    try:
        return _judged(options)
    except RuleError as error:
        return _refuse(str(error))
    except Refusal as error:
        return _refuse(str(error), error.output)
    except Exception as error:  # noqa: BLE001  # whatever it is must not look like a regression
        return _refuse(said_of(error), code=EXIT_CRASH)


def _judged(options: argparse.Namespace) -> int:
    """The exit code of a judgement, which is shown and written. Raises `RuleError` or `Refusal`."""
    rule_set = _rule_set(options)
    # Before the commands of `ab`, which may take hours.
    history = [read_process(path) for path in options.history]
    if options.command == "bisect":
        return _bisect(options, rule_set, history)
    judgement = _JUDGEMENTS[options.command](options, partial(_judge, options, rule_set, history))
    print(show.as_text(judgement))
    if options.out is not None:
        try:
            written = show.write(judgement, options.out)
        except OSError as error:
            raise _unwritable(options.out, error) from None
        print(f"\n{foreign.terminal(f'wrote {written}')} and gate.json beside it")
    show.tell_github(judgement, print)
    return EXIT_REGRESSION if judgement.regressed else EXIT_PASS


def _bisect(options: argparse.Namespace, rule_set: RuleSet, history: Sequence[Process]) -> int:
    judged = partial(_judge, options, rule_set, history)
    try:
        return EXIT_PASS if bisect(options, rule_set, judged, partial(print, flush=True)) else EXIT_REGRESSION
    except OSError as error:
        raise _unwritable(options.out or "reports/local/bisect", error) from None


def _judge(
    options: argparse.Namespace,
    rule_set: RuleSet,
    history: Sequence[Process],
    base: Sequence[Process],
    now: Sequence[Process],
    looks: Looks | None = None,
) -> tuple[Judgement, Sequence[Rule]]:
    """A judgement, and the rules that it is by."""
    rules = rule_set.on(now)
    if looks is not None:
        check_most(looks.most, rules)
    given = {"allowed": options.allow, "missing": options.missing}
    return judge(base, now, rules, history=history, looks=looks, **given), rules


def _rule_set(options: argparse.Namespace) -> RuleSet:
    """Of --fail and --rules. Raises `RuleError`, which names the option."""
    if not options.fail and options.rules is None:
        raise RuleError("there is no rule; give --fail METRIC:LIMIT, --fail ci or --rules FILE.toml")
    try:
        given = RuleSet(parse_rules(options.fail))
    except RuleError as error:
        raise RuleError(f"--fail: {error}") from None
    if options.rules is None:
        return given
    try:
        return read_rules(options.rules).under(given.rules)
    except RuleError as error:
        raise RuleError(f"--rules: {error}") from None


def _compare(options: argparse.Namespace, judged: Judged) -> Judgement:
    return judged(_processes(options.base), _processes(options.now))[0]


def _processes(files: Sequence[Path]) -> list[Process]:
    return [process for file in files for process in read_processes(file)]


def _ab(options: argparse.Namespace, judged: Judged) -> Judgement:
    say = partial(print, flush=True)
    try:
        if options.until_decided:
            return _until_decided(options, judged, say)
        if options.max_runs is not None:
            raise Refusal("--max-runs is for --until-decided; give both, or --runs")
        return judged(*run_in_turn(options.base, options.now, options.runs or RUNS, options.out, say))[0]
    except OSError as error:
        raise _unwritable(options.out, error) from None


def _until_decided(options: argparse.Namespace, judged: Judged, say: Callable[[str], None]) -> Judgement:
    if options.runs is not None:
        raise Refusal("--runs is a fixed number of processes, and --until-decided finds it out; give one of them")
    looks = Looks(options.max_runs or MAX_RUNS)
    check_most(looks.most, _rule_set(options).rules)
    commands = {BASE: options.base, NOW: options.now}

    def run(side: str, number: int, without: Sequence[str]) -> Process:
        return run_one(commands[side], side, number, options.out, without)

    return until_decided(run, partial(judged, looks=looks), looks.most, say).judgement


_JUDGEMENTS = {"compare": _compare, "ab": _ab}


def _unwritable(folder: Path | str, error: OSError) -> Refusal:
    return Refusal(f"cannot write to {folder}: {why(error)}; give another --out")


def _refuse(message: str, output: Sequence[str] = (), code: int = EXIT_REFUSAL) -> int:
    """One line, and the last lines of a command's output below it."""
    for line in (f"error: {without_credentials(message)}", *output):
        print(foreign.terminal(line), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
