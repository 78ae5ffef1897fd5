"""The search: each step compares the good commit with another until it is decided, and asks next where doubt is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.gate.bisect.answers import regressed_cases, said_by
from blip_fixtures.gate.bisect.posterior import most_steps
from blip_fixtures.gate.bisect.state import Asked, Step, begun
from blip_fixtures.gate.bisect.trees import DoesNotBuild
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.sequential import MOST_LOOKS
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.gate.until import node_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blip_fixtures.gate.bisect.state import Row, State
    from blip_fixtures.gate.bisect.trees import Commit, Place, Trees
    from blip_fixtures.gate.sides import Process
    from blip_fixtures.gate.until import Decided

    # Compares two places into a folder, without some pytest ids, by at most so many pairs; and gives processes too.
    Compare = Callable[[Place, Place, Path, Sequence[str], int], tuple[Decided, Sequence[Process]]]


@dataclass(frozen=True)
class Search:
    """What is asked, of what commits, and how two of them are compared, by at most `most` pairs of processes a step."""

    asked: Asked
    good: Commit
    commits: Sequence[Commit]
    trees: Trees
    compare: Compare
    folder: Path
    most: int
    say: Callable[[str], None]

    def run(self) -> State:
        """The state at the end; it is written after each step. Raises `Refusal`, and `OSError` of the folder."""
        state = begun(self.folder, self.asked, list(self.commits))
        if state.steps:
            self.say(f"going on after {len(state.steps)} steps")
        if state.without is None:
            self._check_bad(state)
        while (place := state.posterior().next_place()) is not None and len(state.steps) < most_steps(
            len(self.commits)
        ):
            try:
                self._ask(state, place)
            except DoesNotBuild as error:
                row = state.commits[place]
                self.say(f"{row.sha[:10]} is skipped: {error}")
                state.commits[place] = msgspec.structs.replace(row, skipped=str(error))
            state.write(self.folder)
        state.write(self.folder)
        return state

    def _check_bad(self, state: State) -> None:
        """The last commit must be worse; the later steps measure only what is."""
        place = len(self.commits) - 1
        try:
            # Nobody asks this one again.
            found, processes = self._compared(state, place, min(2 * self.most, MOST_LOOKS))
        except DoesNotBuild as error:
            raise Refusal(f"--bad {self.commits[place].sha[:10]} cannot be measured: {error}") from None
        if not found.judgement.regressed:
            left = found.judgement.count(Verdict.INCONCLUSIVE)
            why = f"{left} comparisons are not decided" if left else "every rule passes"
            raise Refusal(
                f"--bad {self.commits[place].sha[:10]} is not worse than --good {self.good.sha[:10]}: {why}; there is "
                "nothing to find, or it takes a smaller limit"
            )
        worse = regressed_cases(found.judgement.findings)
        if worse is None:
            state.without = []
        else:
            others = {finding.case_id for finding in found.judgement.findings} - worse
            state.without = sorted(node_ids(processes, others))
        self._learn(state, place, found)
        state.write(self.folder)

    def _ask(self, state: State, place: int) -> None:
        found, _ = self._compared(state, place, self.most)
        if found.judgement.lost:
            raise DoesNotBuild(f"it lost {found.judgement.lost[0].case_id}: {found.judgement.lost[0].reason}")
        self._learn(state, place, found)

    def _compared(self, state: State, place: int, most: int) -> tuple[Decided, Sequence[Process]]:
        commit = self.commits[place]
        into = self.folder / f"step-{len(state.steps) + 1:02d}-{commit.sha[:10]}"
        # What an interrupted step has left says nothing of its own.
        shutil.rmtree(into, ignore_errors=True)
        self.say(f"step {len(state.steps) + 1}: {commit.sha[:10]} {commit.subject}")
        base, now = self.trees.place(self.good), self.trees.place(commit)
        try:
            return self.compare(base, now, into, state.without or (), most)
        finally:
            self.trees.leave(commit)

    def _learn(self, state: State, place: int, found: Decided) -> None:
        said, told = said_by(found.judgement), None
        if said.finding is not None:
            told = f"{said.finding.case_id} {said.finding.name}"
        change = None if said.finding is None else said.finding.change
        state.steps.append(
            Step(self.commits[place].sha, said.is_bad, said.error, found.pairs, told or "", _finite(change))
        )
        posterior = state.posterior()
        group, share = posterior.likeliest()
        named = " or ".join(self.commits[each].sha[:10] for each in group)
        sure = "exactly" if said.error == 0 else f"wrong with a chance of at most {said.error:.1%}"
        self.say(f"  {'worse' if said.is_bad else 'not worse'}, {sure}; likeliest {named} ({share:.1%})")


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < 1e300 else None


def as_markdown(state: State, escape: Callable[[str], str]) -> str:
    """The commit, how likely it is, and what each step said."""
    rows = {row.sha: row for row in state.commits}
    shown = partial(_row, state, escape=escape)
    lines = [verdict(state, escape), "", "| commit | probability | steps |  |", "|---|---|---|---|"]
    asked = {step.sha for step in state.steps} | set(state.found)
    lines += [
        shown(row) for row in rows.values() if row.sha in asked or row.probability >= 0.01 or row.skipped is not None
    ]
    return "\n".join(lines) + "\n"


def _row(state: State, row: Row, escape: Callable[[str], str]) -> str:
    steps = [
        f"{'worse' if step.is_bad else 'not worse'}" + ("" if step.change is None else f" ({100 * step.change:+.1f} %)")
        for step in state.steps
        if step.sha == row.sha
    ]
    said = f"skipped: {escape(row.skipped)}" if row.skipped is not None else ", ".join(steps)
    return f"| {row.sha[:10]} | {100 * row.probability:.1f} % | {said} | {escape(row.subject)} |"


def verdict(state: State, escape: Callable[[str], str]) -> str:
    """One sentence: which commit, and how likely."""
    pairs = sum(step.pairs for step in state.steps)
    cost = f"{len(state.steps)} steps, {pairs} pairs of processes"
    if not state.found:
        likeliest = max(state.commits, key=lambda row: row.probability)
        return (
            f"Not found for sure: {likeliest.sha[:10]} is likeliest, with {likeliest.probability:.1%} ({cost}); a "
            "higher --max-runs tells more."
        )
    rows = [row for row in state.commits if row.sha in state.found]
    named = " or ".join(f"{row.sha[:10]} ({escape(row.subject)})" for row in rows)
    between = ", which cannot be told apart since some do not build" if len(rows) > 1 else ""
    return f"The first bad commit is {named}{between}: {state.probability:.1%} ({cost})."
