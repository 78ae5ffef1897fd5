"""How often ``ab --until-decided`` is right, and what it takes: ``python -m tools.gate_study.until DIR``.

`DIR` is a pool of runs (`tools.gate_study.pool`). Comparisons are drawn from its runs of unchanged code, process by
process, and judged by the gate's own loop; a change is a factor on a case's rounds.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.looks import Looks
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sequential import student_tail
from blip_fixtures.gate.statistics import holm
from blip_fixtures.gate.until import until_decided
from tools.gate_study.runs import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.sides import Process

LIMIT = 0.10
RULES = parse_rules(["latency:10%"])


@dataclass(frozen=True)
class Outcome:
    """Of one comparison: the cases that failed, those that passed, pairs, and runs of single cases."""

    failed: frozenset[int]
    passed: frozenset[int]
    is_regression: bool
    pairs: int
    case_runs: int


def compared(recorded: Recorded, truth: Any, most: int, rng: np.random.Generator) -> Outcome:
    """One comparison of unchanged code with code whose cases are by `truth` (logarithms) slower."""
    names, looks, case_runs = recorded.case_ids, Looks(most), 0

    def run(side: str, number: int, without: Sequence[str]) -> Process:
        nonlocal case_runs
        cases = [case for case, name in enumerate(names) if name not in without]
        case_runs += len(cases)
        level = recorded.drawn(rng) + (truth if side == "now" else 0)
        return recorded.process(f"{side}-{number}", level, cases)

    def judged(base: Sequence[Process], now: Sequence[Process]) -> tuple[Judgement, Sequence[Rule]]:
        return judge(base, now, RULES, looks=looks), RULES

    found = until_decided(run, judged, most, _say_nothing)
    by_verdict = {
        verdict: frozenset(
            names.index(finding.case_id)
            for finding in found.judgement.findings
            if finding.cases == 1 and finding.verdict == verdict
        )
        for verdict in (Verdict.REGRESSION, Verdict.PASS)
    }
    failed, passed = by_verdict[Verdict.REGRESSION], by_verdict[Verdict.PASS]
    return Outcome(failed, passed, found.judgement.regressed, found.pairs, case_runs)


def fixed_plan_finds(recorded: Recorded, truth: Any, pairs: int, repeats: int, case: int) -> float:
    """How often so many pairs find a case: Student's t of both sides, Holm over all cases and them as one."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(repeats):
        base, now = (np.array([recorded.drawn(rng) for _ in range(pairs)]) for _ in range(2))
        now = now + truth
        base, now = (np.column_stack([side, side.mean(axis=1)]) for side in (base, now))
        error = np.sqrt((base.var(axis=0, ddof=1) + now.var(axis=0, ddof=1)) / pairs)
        values = (now.mean(axis=0) - base.mean(axis=0) - math.log1p(LIMIT)) / np.maximum(error, 1e-12)
        found += holm([student_tail(float(value), 2 * pairs - 2) for value in values])[case]
    return found / repeats


def fixed_plan(recorded: Recorded, truth: Any, power: float, most: int, case: int) -> int | None:
    """The fewest pairs of a fixed plan that finds the case as often, or `None`."""
    finds: Callable[[int], float] = lambda pairs: fixed_plan_finds(recorded, truth, pairs, 400, case)  # noqa: E731
    return next((pairs for pairs in range(3, most + 1) if finds(pairs) >= power), None)


def main() -> None:
    """Print the study's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comparisons", type=int, default=1000, help="of each kind (default: 1000)")
    parser.add_argument("--max-runs", type=int, default=30, help="most pairs (default: 30)")
    parser.add_argument("--spread", type=float, help="between processes, of a logarithm (default: as recorded)")
    args = parser.parse_args()
    recorded = Recorded(args.folder, args.spread)
    used = args.spread or recorded.spread
    print(f"{recorded.runs} runs of {recorded.cases} cases, spread {recorded.spread:.3f}, used as {used:.3f}")
    slow = np.zeros(recorded.cases)
    slow[0] = math.log(1.15)
    for name, truth in (("unchanged", np.zeros(recorded.cases)), ("one case 15 % slower", slow)):
        rng = np.random.default_rng(0)
        outcomes = [compared(recorded, truth, args.max_runs, rng) for _ in range(args.comparisons)]
        _tell(name, outcomes, recorded.cases)
        if truth.any():
            power = sum(0 in outcome.failed for outcome in outcomes) / len(outcomes)
            _tell_fixed(outcomes, power, fixed_plan(recorded, truth, power, 4 * args.max_runs, 0), recorded.cases)


def _tell(name: str, outcomes: Sequence[Outcome], cases: int) -> None:
    pairs = np.array([outcome.pairs for outcome in outcomes])
    alarms = sum(bool(outcome.failed - {0}) or (name == "unchanged" and outcome.is_regression) for outcome in outcomes)
    first = [sum(0 in side for side in sides) for sides in zip(*((o.failed, o.passed) for o in outcomes), strict=True)]
    print(
        f"{name}: {len(outcomes)} comparisons, {alarms} false alarms; the first case fails in {first[0]} and passes in "
        f"{first[1]}; pairs {pairs.mean():.2f} on average, 95 % at most {np.quantile(pairs, 0.95):.0f}; runs of single "
        f"cases {np.mean([outcome.case_runs for outcome in outcomes]) / (2 * cases):.2f} times a pair of all"
    )


def _tell_fixed(outcomes: Sequence[Outcome], power: float, pairs: int | None, cases: int) -> None:
    if pairs is None:
        print(f"no fixed plan of a reasonable size finds it in {power:.1%}")
        return
    used = np.mean([outcome.pairs for outcome in outcomes])
    shares = np.mean([outcome.case_runs for outcome in outcomes]) / (2 * cases)
    print(
        f"a fixed plan that finds it in {power:.1%}: {pairs} pairs; used: {used / pairs:.2f} of its processes, ", end=""
    )
    print(f"{shares / pairs:.2f} of its runs of cases")


def _say_nothing(_line: str) -> None:
    pass


if __name__ == "__main__":
    main()
