"""Other people's work: bursts that keep one core busy, at random times. ``python -m tools.gate_study.load SEED``."""

from __future__ import annotations

import random
import sys
import time

# A burst is as long as some rounds, and bursts take about a fifth of the time.
BURST_S = (0.02, 0.4)
PAUSE_S = (0.1, 1.6)


def main(seed: int) -> None:
    """Until it is killed."""
    rng = random.Random(seed)  # nothing secret
    while True:
        until_s = time.perf_counter() + rng.uniform(*BURST_S)
        while time.perf_counter() < until_s:
            pass
        time.sleep(rng.uniform(*PAUSE_S))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
