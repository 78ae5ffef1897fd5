"""What it costs to compile a large model, with each layer of a kind compiled once and with every layer spelt out.

``python -m tools.compile_cost [MODEL]``: one model with synthetic weights in bf16 on the CPU, loaded once and compiled
in both ways twice, in turn, each into an empty cache. Prints the median compile time, the median decoder step of three
calls of 50 tokens each, and the ratios. A model on CUDA is compiled spelt out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.case import Case
from blip_fixtures.engine import Job, Session
from blip_fixtures.families.runner import Part
from blip_fixtures.words import Weights
from tools.raw_figures import RawFigures

if TYPE_CHECKING:
    from blip_fixtures.engine.workload import Workload

CALLS = 3
WAYS = ("layers_once", "spelt_out")


@dataclass(frozen=True)
class Measured:
    """Seconds of one compilation, and of the decoder's steps after it."""

    compile_s: float
    steps_s: list[float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="Salesforce/instructblip-flan-t5-xl")
    parser.add_argument("--out", "--json", type=Path, metavar="FILE", help="write the raw values there, as JSON")
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
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    with Session() as session:
        workload = session.workload(Job.of(case))
        # What the compiler does once in a process, whoever calls it first.
        torch.compile(torch.neg)(torch.ones(8))
        for way in (*WAYS, *reversed(WAYS)):
            loaded = workload.loaded
            loaded.runner.close()
            loaded.runner = type(loaded.runner)(  # type: ignore[call-arg]  # of this one family
                loaded.model, False, loaded.family.end_tokens(loaded.model), layers_once=way == WAYS[0]
            )
            found[way].append(_measured(workload))
            print(f"{way}: compiled in {found[way][-1].compile_s:.1f} s", flush=True)
    compile_s = {way: [each.compile_s for each in of_way] for way, of_way in found.items()}
    steps_s = {way: [step for each in of_way for step in each.steps_s] for way, of_way in found.items()}
    _add(raw, "compile time, s", compile_s, model=given.model)
    _add(raw, "decoder step, s", steps_s, model=given.model)
    raw.write(given.out)


def _add(raw: RawFigures, what: str, seconds: dict[str, list[float]], **facts: str) -> None:
    once, spelt = (statistics.median(seconds[way]) for way in WAYS)
    said = f"{what}: {once:.4g} with layers compiled once, {spelt:.4g} spelt out, ratio {once / spelt:.3f}"
    raw.add(said, **facts, **seconds)


def _measured(workload: Workload) -> Measured:
    # torch has no public name for a cache that forgets what this process has compiled.
    from torch._inductor.utils import fresh_cache

    runner: Any = workload.loaded.runner
    with fresh_cache():
        runner.prepare(workload.case.sequence_length, workload.probe.run)
        steps_s = [step for _ in range(CALLS) for step in _steps_s(workload)]
    return Measured(runner.compile_s, steps_s)


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
