"""The page of all bad inputs, as Markdown."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.faults.bad_inputs.given import Input
    from tools.faults.bad_inputs.running import Outcome

_MOST_OF_A_WORD = 90
_INTRODUCTION = """\
# Bad inputs

{count} inputs that cannot work, of every command and every option: what is typed, the one sentence that is said on standard
error, and the exit code. Nothing is measured and nothing is written outside the folder. `python -m tools.faults.bad_inputs
--write` runs each of them in a folder of its own and writes this page; a test does the same and compares. `FOLDER` stands for
the folder in which the command is typed, `MACHINE` for pytest-benchmark's name of the machine. `pytest` finds the suite's
`conftest.py` there and one benchmark with one case. No input can reach a hub or a graphics card.
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
    command = re.sub(r"[^\s']{%d,}" % (_MOST_OF_A_WORD + 1), _shortened, given.command)
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in command)
    return f"{_code(shown)}{f', {given.where}' if given.where else ''}"


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][:_MOST_OF_A_WORD]}... ({len(word[0]):,} characters)"


def _message(outcome: Outcome) -> str:
    return " ".join(re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", sentence) for sentence in outcome.sentences)


def _code(text: str) -> str:
    """A span of code in a cell, fenced by more backticks than the text has in a row."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{text}{padding}{fence}".replace("|", "\\|")
