"""How often ``bisect`` names the right commit, and what it takes: ``python -m tools.gate_study.bisecting DIR``.

`DIR` is a pool of runs (`tools.gate_study.pool`). Each search is the gate's own, over commits of which one and all
later ones are slower by a tenth; processes are drawn from the pool's runs of unchanged code.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blip_fixtures.gate.arguments import STEP_RUNS
from blip_fixtures.gate.bisect.search import Search
from blip_fixtures.gate.bisect.state import Asked
from blip_fixtures.gate.bisect.trees import Commit, Place
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.looks import Looks
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.gate.until import until_decided
from tools.gate_study.runs import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.bisect.state import State
    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process
    from blip_fixtures.gate.until import Decided

COUNT = 64
RULES = parse_rules(["latency:5%"])
SLOWER = math.log(1.10)
_GOOD = Commit("good", "good")


class _NoTrees:
    """Commits that lie nowhere: a place's folder is the commit's number."""

    def commits(self, good: str, bad: str) -> tuple[Commit, list[Commit]]:
        raise NotImplementedError

    def place(self, commit: Commit) -> Place:
        return Place(Path(commit.sha), Path("python"))

    def leave(self, commit: Commit) -> None:
        pass

    def close(self) -> None:
        pass


def searched(recorded: Recorded, first_bad: int, slower: Sequence[float], rng: np.random.Generator) -> State:
    """One search among `COUNT` commits; `slower` is each case's logarithm from `first_bad` on."""
    commits = [Commit(str(place), "") for place in range(COUNT)]
    names = recorded.case_ids

    def compare(
        _base: Place, now: Place, _folder: Path, without: Sequence[str], most: int
    ) -> tuple[Decided, Sequence[Process]]:
        looks, processes = Looks(most), []
        is_bad = int(now.folder.name) >= first_bad

        def run(side: str, number: int, left: Sequence[str]) -> Process:
            cases = [case for case, name in enumerate(names) if name not in {*without, *left}]
            levels = recorded.drawn(rng) + (np.array(slower) if is_bad and side == "now" else 0)
            processes.append(recorded.process(f"{side}-{number}", levels, cases))
            return processes[-1]

        def judged(base: Sequence[Process], now: Sequence[Process]) -> tuple[Judgement, Sequence[Rule]]:
            return judge(base, now, RULES, looks=looks), RULES

        return until_decided(run, judged, most, _say_nothing), processes

    with tempfile.TemporaryDirectory() as folder:
        asked = Asked("good", commits[-1].sha, (), ())
        return Search(asked, _GOOD, commits, _NoTrees(), compare, Path(folder), STEP_RUNS, _say_nothing).run()


def main() -> None:
    """Print the study's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--searches", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--spread", type=float, help="between processes, of a logarithm (default: as recorded)")
    args = parser.parse_args()
    recorded = Recorded(args.folder, args.spread)
    used = args.spread or recorded.spread
    print(f"{recorded.runs} runs of {recorded.cases} cases, spread {recorded.spread:.3f}, used as {used:.3f}")
    one = [SLOWER, *[0.0] * (recorded.cases - 1)]
    for name, slower in (("every case 10 % slower", [SLOWER] * recorded.cases), ("one case 10 % slower", one)):
        rng, right, unsure, refused, costs = np.random.default_rng(0), 0, 0, 0, []
        for _ in range(args.searches):
            first_bad = int(rng.integers(COUNT))
            try:
                state = searched(recorded, first_bad, slower, rng)
            except Refusal:
                refused += 1
                continue
            right += state.found == [str(first_bad)]
            unsure += not state.found
            costs.append((len(state.steps), sum(step.pairs for step in state.steps)))
        steps, pairs = np.mean(costs, axis=0)
        print(
            f"{name}, latency:5%, {COUNT} commits: right {right} of {args.searches}, not sure {unsure}, first step "
            f"undecided {refused}; {steps:.1f} steps and {pairs:.0f} pairs of processes on average"
        )


def _say_nothing(_line: str) -> None:
    pass


if __name__ == "__main__":
    main()
