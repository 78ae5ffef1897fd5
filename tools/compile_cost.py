"""What it costs to compile a large model, with each layer of a kind compiled once and with every layer spelt out.

``python -m tools.compile_cost [MODEL]``: one model with synthetic weights in bf16 on the CPU, loaded once and compiled
in both ways in turn, each into an empty cache. Prints the compile time and the median decoder step of three calls of 50
tokens, and the ratios. Spelt out is how every release before 0.2 compiled, and how a model on CUDA still is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import Case
from blip_fixtures.engine import Job, Session
from blip_fixtures.families.runner import Part
from blip_fixtures.words import Weights
from tools.raw_figures import RawFigures

if TYPE_CHECKING:
    from blip_fixtures.engine.workload import Workload

CALLS = 3
WAYS = ("layers_once", "spelt_out")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="Salesforce/instructblip-flan-t5-xl")
    parser.add_argument("--json", type=Path, help="write every value here")
    given, raw = parser.parse_args(), RawFigures()
    case = Case(
        model=given.model,
        weights=Weights.RANDOM,
        dataset="scienceqa",
        device="cpu",
        optimization="bf16+compile",
        batch_size=1,
        image_size=224,
        sequence_length=13,
    )
    found: dict[str, dict[str, float]] = {}
    with Session() as session:
        workload = session.workload(Job.of(case))
        loaded = workload.loaded
        for name in WAYS:
            loaded.runner.close()
            loaded.runner = type(loaded.runner)(  # type: ignore[call-arg]  # of this one family
                loaded.model, False, loaded.family.end_tokens(loaded.model), layers_once=name == WAYS[0]
            )
            found[name] = _measured(workload)
    once, spelt = (found[name] for name in WAYS)
    for what in once:
        ratio = once[what] / spelt[what]
        raw.add(
            f"{what}: {once[what]:.4g} with layers compiled once, {spelt[what]:.4g} spelt out, ratio {ratio:.3f}",
            model=given.model,
            layers_once=once[what],
            spelt_out=spelt[what],
        )
    raw.write(given.json)


def _measured(workload: Workload) -> dict[str, float]:
    runner: Any = workload.loaded.runner
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        runner.prepare(workload.case.sequence_length, workload.probe.run)
        steps_s = [step for _ in range(CALLS) for step in _steps_s(workload)]
    return {"compile_s": runner.compile_s, "step_s": statistics.median(steps_s)}


def _steps_s(workload: Workload) -> list[float]:
    ends_s: list[float] = []
    inputs = workload.inputs(0)

    def note(part: Part) -> None:
        if part == Part.STEP:
            ends_s.append(time.perf_counter())

    with workload.loaded.runner.parts_ended(note):
        workload.generate(inputs)
    return [after - before for before, after in pairwise(ends_s)]


if __name__ == "__main__":
    main()
