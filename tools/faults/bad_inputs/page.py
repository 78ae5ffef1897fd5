"""The page of all bad inputs, as Markdown."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from blip_fixtures import foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.faults.bad_inputs.given import Input
    from tools.faults.bad_inputs.running import Outcome

_MOST_OF_A_WORD = 90
_LONG_WORD = re.compile(rf"[^\s']{{{_MOST_OF_A_WORD + 1},}}")
_INTRODUCTION = """\
# Bad inputs

{count} inputs that cannot work, of every command and every option: what is typed, the one sentence that standard error
gets, and the exit code. Nothing is measured, and nothing is written outside the folder but caches of libraries.

`python -m tools.faults.bad_inputs --write` runs each of them in a process and a folder of its own and writes this page;
`tests/acceptance/test_bad_inputs.py` does the same and compares. A run finds the suite's `conftest.py` there and one
benchmark with one case; no input reaches a hub, a graphics card or the lock of another run. `FOLDER` stands for the
folder in which the command is typed, `MACHINE` for pytest-benchmark's name of the machine, `VERSION` for torch's. The
usage that argparse prints before its sentence is left out.
"""


def page(outcomes: Sequence[tuple[Input, Outcome]]) -> str:
    """The whole page; the inputs of a group stand together."""
    blocks = [_INTRODUCTION.format(count=len(outcomes))]
    for group, of_group in groupby(outcomes, key=lambda pair: pair[0].group):
        lines = [f"## {group}", "", "| input | message | exit code |", "|---|---|---|"]
        lines += [f"| {_input(given)} | {_message(outcome)} | {outcome.code} |" for given, outcome in of_group]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _input(given: Input) -> str:
    command = _LONG_WORD.sub(_shortened, given.command)
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in command)
    return f"{foreign.code_span(shown)}{f', {given.where}' if given.where else ''}".replace("|", "\\|")


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][:_MOST_OF_A_WORD]}... ({len(word[0]):,} characters)"


def _message(outcome: Outcome) -> str:
    return foreign.cell(" ".join(outcome.sentences))
