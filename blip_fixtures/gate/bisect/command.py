"""``bisect`` with git, pytest and the gate's own judgement."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.gate.ab import BASE, NOW, run_one
from blip_fixtures.gate.arguments import STEP_RUNS
from blip_fixtures.gate.bisect.search import Search, as_markdown, verdict
from blip_fixtures.gate.bisect.state import FILE, Asked
from blip_fixtures.gate.bisect.trees import DoesNotBuild, GitTrees
from blip_fixtures.gate.looks import Looks, check_most
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.gate.until import until_decided
from blip_fixtures.whole_files import replace_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.bisect.trees import Place
    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rule_files import RuleSet
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process
    from blip_fixtures.gate.until import Decided

    Judged = Callable[..., tuple[Judgement, Sequence[Rule]]]


def bisect(options: argparse.Namespace, rules: RuleSet, judged: Judged, say: Callable[[str], None]) -> bool:
    """Whether the commit was found; the table is printed, `bisect.json` and `bisect.md` lie in the folder.

    Raises `Refusal`, and `OSError` of the folder. Nothing but that folder is left.
    """
    most = options.max_runs or STEP_RUNS
    check_most(most, rules.rules)
    trees = GitTrees(Path.cwd())
    good, commits = trees.commits(options.good, options.bad)
    folder = options.out or Path("reports/local/bisect") / f"{good.sha[:10]}-{commits[-1].sha[:10]}"
    texts = tuple(sorted(rule.text for rule in (*rules.rules, *(rule for _, own in rules.of_machines for rule in own))))
    asked = Asked(good.sha, commits[-1].sha, texts, tuple(options.arguments))
    compare = partial(_compare, options.arguments, judged, say)
    try:
        state = Search(asked, good, commits, trees, compare, folder, most, partial(_say, say)).run()
    finally:
        trees.close()
    replace_file(folder / "bisect.md", as_markdown(state, foreign.cell).encode())
    say(as_markdown(state, foreign.terminal))
    say(foreign.terminal(f"wrote {folder / FILE} and bisect.md beside it"))
    say(verdict(state, foreign.terminal))
    return bool(state.found)


def _say(say: Callable[[str], None], line: str) -> None:
    say(foreign.terminal(line))


def _compare(
    arguments: Sequence[str],
    judged: Judged,
    say: Callable[[str], None],
    base: Place,
    now: Place,
    folder: Path,
    without: Sequence[str],
    most: int,
) -> tuple[Decided, Sequence[Process]]:
    """An `ab` of two places. Raises `DoesNotBuild` where the second one leaves no records, `Refusal` for the first."""
    places, looks = {BASE: base, NOW: now}, Looks(most)
    processes: list[Process] = []

    def run(side: str, number: int, left: Sequence[str]) -> Process:
        place = places[side]
        command = shlex.join([str(place.python), "-m", "pytest", *arguments])
        try:
            found = run_one(
                f"cd {shlex.quote(str(place.folder))} && {command}",
                side,
                number,
                folder,
                [*without, *left],
                {"PYTHONPATH": str(place.folder)},
            )
        except Refusal as error:
            if side == BASE:
                raise
            last = error.output[-1] if error.output else str(error)
            raise DoesNotBuild(f"it leaves no records: {last}") from None
        if side == BASE:
            processes.append(found)
        return found

    return until_decided(run, partial(judged, looks=looks), most, say), processes
