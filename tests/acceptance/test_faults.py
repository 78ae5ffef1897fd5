"""A little of the campaign of faults: runs that are killed, stopped, starved of disk, doubled, hung and crashed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_finished_is_lost() -> None:
    seed = random.SystemRandom().randrange(10**6)
    done = subprocess.run(
        [sys.executable, "-m", "tools.faults", "short", f"--seed={seed}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # Of a run that passes nothing is shown; of another one the seed is what it takes to see it again.
    print(done.stdout, done.stderr)
    assert done.returncode == 0, f"python -m tools.faults short --seed={seed}"
