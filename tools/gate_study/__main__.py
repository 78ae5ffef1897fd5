"""Judges comparisons drawn from a pool of runs: ``python -m tools.gate_study DIR``, behind `tools.gate_study.pool`.

Prints the table of docs/gate.md.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Process, read_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.findings import Judgement

LIMIT = 10
RULES = parse_rules([f"latency:{LIMIT}%"])
# Which side each of the runs of `ab` belongs to, for three processes a side.
A_B_B_A = (0, 1, 1, 0, 0, 1)
_SEED = 0


class Pool:
    """The runs of each kind, in the order in which they were taken."""

    def __init__(self, folder: Path) -> None:
        self._paths: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("[0-9]*-*/*/records.json")):
            self._paths.setdefault(path.parts[-3].partition("-")[2], []).append(path)
        self._read = cache(read_process)

    def of(self, kind: str) -> list[Process]:
        """All runs of a kind."""
        return [self._read(path) for path in self._paths.get(kind, [])]


def same_code(pool: Sequence[Process], rng: random.Random) -> tuple[list[Process], list[Process]]:
    """Six runs of the pool in their order, dealt to both sides as `ab` takes them."""
    drawn = sorted(rng.sample(range(len(pool)), len(A_B_B_A)))
    if rng.random() < 0.5:
        drawn.reverse()
    sides: tuple[list[Process], list[Process]] = ([], [])
    for side, index in zip(A_B_B_A, drawn, strict=True):
        sides[side].append(pool[index])
    return sides


def changed_code(
    pool: Sequence[Process], changed: Sequence[Process], rng: random.Random
) -> tuple[list[Process], list[Process]]:
    """Three runs of each."""
    return rng.sample(pool, 3), rng.sample(changed, 3)


def median_fails(base: Process, now: Process) -> bool:
    """What ``--benchmark-compare-fail=median:10%`` says of one run against another: some median is 10 % above."""
    for key, record in now.records.items():
        was, became = base.records[key].latency, record.latency
        assert was is not None
        assert became is not None
        if (became.median_s or 0) > (1 + LIMIT / 100) * (was.median_s or 0):
            return True
    return False


def caught(judgements: Sequence[Judgement]) -> str:
    """How many comparisons failed, and how many of their cases."""
    failed = sum(judgement.regressed for judgement in judgements)
    cases = [finding.verdict for judgement in judgements for finding in judgement.findings]
    shares = Counter(cases)
    return f"{failed} of {len(judgements)} ({100 * shares[Verdict.REGRESSION] / len(cases):.0f} % of the cases)"


def main() -> None:
    """Print the study's figures for the pool in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--same", type=int, default=200, help="comparisons of unchanged code (default: 200)")
    parser.add_argument("--changed", type=int, default=100, help="comparisons of each change (default: 100)")
    args = parser.parse_args()
    pool, rng = Pool(args.folder), random.Random(_SEED)  # nothing secret
    unchanged = pool.of("unchanged")
    rows = []
    for name, side in (("unchanged", unchanged), ("unchanged, beside bursts of other work", pool.of("loaded"))):
        drawn = [same_code(side, rng) for _ in range(args.same)]
        rows.append([name, len(side), *_compared(drawn)])
    for name, kind in (("15 % slower", "slower15"), ("30 % slower", "slower30")):
        side = pool.of(kind)
        drawn = [changed_code(unchanged, side, rng) for _ in range(args.changed)]
        rows.append([name, len(side), *_compared(drawn)])
    print(
        tabulate(
            rows,
            (
                "code",
                "runs",
                f"gate, 3 processes a side, latency:{LIMIT}%",
                f"median:{LIMIT}%, one run against another",
            ),
            tablefmt="github",
        )
    )
    print()
    for name, kind, rule in (
        ("one more matrix product", "product", "flops:0%"),
        ("weights 5 % larger", "larger", "memory:2%@image0224"),
        ("damaged answers", "damage", "quality:1"),
    ):
        for now in pool.of(kind):
            failed = sum(judge([base], [now], parse_rules([rule])).regressed for base in unchanged)
            print(f"{name}, {rule}: {failed} of {len(unchanged)} comparisons of one process with one failed")


def _compared(drawn: Sequence[tuple[list[Process], list[Process]]]) -> tuple[str, str]:
    judgements = [judge(base, now, RULES) for base, now in drawn]
    plain = [median_fails(first, second) for base, now in drawn for first, second in zip(base, now, strict=True)]
    return caught(judgements), f"{sum(plain)} of {len(plain)}"


if __name__ == "__main__":
    main()
