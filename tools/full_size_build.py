"""How long a full-size architecture with synthetic weights takes to build, and how much memory it takes at most.

``python -m tools.full_size_build [MODEL] [DTYPE]``: seconds, and the peak of the resident set over the weights' size.
"""

from __future__ import annotations

import sys
import time

from blip_fixtures.checkpoints.architecture import weight_bytes
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.engine.peak_memory import PeakMemory
from blip_fixtures.families import family_of

DEFAULTS = ("Salesforce/instructblip-flan-t5-xl", "bfloat16")


def main(arguments: list[str]) -> None:
    """Build once, with everything imported beforehand, and print what it took."""
    import torch

    model_name, dtype = [*arguments, *DEFAULTS[len(arguments) :]]
    family_of(CATALOG[model_name]).model_class()  # imports for seconds that are not the build's
    with PeakMemory("cpu") as peak:
        start_s = time.perf_counter()
        model = build_random(CATALOG[model_name], "cpu", dtype)
        took_s = time.perf_counter() - start_s
    weights = weight_bytes(model)
    grown = f"{peak.growth_bytes / weights:.3f} x" if peak.growth_bytes is not None else f"unknown ({peak.reason})"
    print(
        f"{model_name} in {dtype} ({weights / 1e9:.2f} GB): {took_s:.1f} s, peak {grown} its "
        f"size, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
