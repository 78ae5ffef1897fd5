"""What the suite itself costs, as figures measured side by side in one run: ``python -m tools.own_cost``.

Run it from the repository's root in an environment where the plugin is installed. Every comparison interleaves its two
sides, since other work on the machine would otherwise count for one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tools.raw_figures import RawFigures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]


def interleaved(sides: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, taken in turn: first, second, second, first, ..."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        order = list(sides) if repeat % 2 == 0 else list(reversed(sides))
        for name in order:
            seconds[name].append(sides[name]())
    return seconds


def pytest_seconds(*args: str, cwd: Path) -> float:
    """Wall seconds of one pytest process, with bytecode at hand as in any installed package."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *args], cwd=cwd, env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - start_s


def loading(repeats: int, figures: RawFigures) -> None:
    """An unrelated suite of one test, with and without the plugin; no other plugin but the one it needs is loaded.

    Others that this environment happens to have would take ten times as long, and vary by more.
    """
    alone = ("--disable-plugin-autoload", "-p", "pytest_benchmark.plugin")
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        (cwd / "test_one.py").write_text("def test_one():\n    pass\n")
        seconds = interleaved(
            {
                "with": lambda: pytest_seconds(*alone, "-p", "blip_fixtures.pytest_plugin", cwd=cwd),
                "without": lambda: pytest_seconds(*alone, cwd=cwd),
            },
            repeats,
        )
    low_ms, extra_ms, high_ms = statistics.quantiles(
        [1e3 * (a - b) for a, b in zip(seconds["with"], seconds["without"], strict=True)], n=4
    )
    fastest_ms = 1e3 * (min(seconds["with"]) - min(seconds["without"]))
    figures.add(
        f"loading the plugin in an unrelated suite: {extra_ms:.0f} ms more (median of {repeats} pairs, quartiles "
        f"{low_ms:.0f} and {high_ms:.0f}); the fastest of each side differ by {fastest_ms:.0f} ms",
        seconds=seconds,
    )


def collecting(repeats: int, figures: RawFigures) -> None:
    """The suite's table of contents."""
    seconds = [pytest_seconds("benchmarks", "--collect-only", cwd=ROOT) for _ in range(repeats)]
    median_s = statistics.median(seconds)
    figures.add(f"pytest benchmarks --collect-only: {median_s:.2f} s (median of {repeats})", seconds=seconds)


def prepared() -> tuple[Any, Any, Any]:
    """The packaged model, a batch of one for it, and a token limit of exactly 8."""
    from blip_fixtures.case import NewTokens
    from blip_fixtures.checkpoints.loading import load_model
    from blip_fixtures.checkpoints.processor import load_processor
    from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
    from blip_fixtures.data.prompts import find_prompts
    from blip_fixtures.data.sources import load_samples
    from blip_fixtures.engine.inference import BatchMaker, to_device

    checkpoint = resolve_checkpoint(PACKAGED)
    loaded = load_model(checkpoint, "cpu", "fp16", "float16")
    maker, prompt = BatchMaker(load_processor(checkpoint), checkpoint), find_prompts("paper").of("textvqa")
    samples = load_samples("textvqa", "sample")
    batch = maker.batch(samples, 0, batch_size=1, image_size=224, text_limit=200, prompt=prompt)
    return loaded.model, to_device(batch, "cpu", loaded.pixel_dtype), NewTokens(8, fixed=True)


def calls_of_a_case(figures: RawFigures) -> None:
    """How often one case of the default run calls `generate`, counted while it is measured with every pass."""
    from blip_fixtures.case import Case
    from blip_fixtures.engine import Job, Session
    from blip_fixtures.families.runner import EagerRunner
    from blip_fixtures.words import EnergyMode

    case = Case(
        model="instructblip-tiny",
        dataset="textvqa",
        device="cpu",
        optimization="fp16",
        batch_size=16,
        image_size=224,
        sequence_length=200,
    )
    calls, real = 0, EagerRunner.generate

    def counted(runner: EagerRunner, **arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(runner, **arguments)

    with patch.object(EagerRunner, "generate", counted), Session() as session:
        record = session.measure(Job.of(case, energy=EnergyMode.OFF))
    assert record.latency is not None, record.reason
    assert record.data is not None
    rounds, batches = len(record.latency.rounds_s), record.data.batches
    figures.add(f"calls of generate in a case of {batches} batches and {rounds} rounds, without energy: {calls}")


def timed_region(rounds: int, figures: RawFigures) -> None:
    """One timed round of the latency pass against the same call between two clock readings by hand."""
    from blip_fixtures.devices import synchronizing_timer
    from blip_fixtures.engine.inference import generate

    model, inputs, limit = prepared()
    timer = synchronizing_timer("cpu")

    kept: list[Any] = []

    def suite() -> float:
        kept.clear()
        return _suite_round(timer, lambda prepared: kept.append(generate(model, prepared, limit)), inputs)

    def by_hand() -> float:
        start_s = time.perf_counter()
        model.generate(**inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False, num_beams=1)
        return time.perf_counter() - start_s

    interleaved({"suite": suite, "by hand": by_hand}, 5)
    seconds = interleaved({"suite": suite, "by hand": by_hand}, rounds)
    ratio = statistics.median(seconds["suite"]) / statistics.median(seconds["by hand"])
    figures.add(
        f"timed region, suite / by hand: {ratio:.4f} (medians of {rounds} interleaved rounds each)", seconds=seconds
    )


def metering(rounds: int, figures: RawFigures) -> None:
    """A timed round of a run that has energy meters against one of a run that has none.

    Meters are open in the energy pass alone, so the question is whether having measured energy shows in the next
    latency pass: an energy window comes before every round of the one side, the same work without one before the
    other, then the warm-up rounds of a latency pass. A machine without RAPL gets a tree of files.
    """
    from blip_fixtures.case import DEFAULT_WARMUP_ROUNDS
    from blip_fixtures.devices import synchronizing_timer
    from blip_fixtures.engine.inference import generate
    from blip_fixtures.engine.window import energy_window
    from blip_fixtures.meters import HOST
    from blip_fixtures.meters.finding import find_meters
    from blip_fixtures.meters.rapl import DEFAULT_ROOT
    from tests.advancing_tree import advancing_tree

    model, inputs, limit = prepared()
    timer = synchronizing_timer("cpu")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        found = find_meters(["cpu"], DEFAULT_ROOT)
        kind = "the machine's own counters"
        if not found.ready("cpu"):
            tree = stack.enter_context(advancing_tree(Path(folder) / "tree", {"package-0": 80.0, "dram": 10.0}))
            found, kind = find_meters(["cpu"], tree), "a tree of files that another process advances"
        meters = list(found.ready("cpu").values())
        assert meters, found.by_device[HOST]

        def one_round() -> float:
            for _ in range(DEFAULT_WARMUP_ROUNDS):
                generate(model, inputs, limit)
            return _suite_round(timer, lambda batch: generate(model, batch, limit), inputs)

        def with_meters() -> float:
            for meter in meters:
                meter.open()
            with energy_window(meters):
                generate(model, inputs, limit)
            for meter in meters:
                meter.close()
            return one_round()

        def without() -> float:
            generate(model, inputs, limit)
            return one_round()

        interleaved({"with": with_meters, "without": without}, 5)
        seconds = interleaved({"with": with_meters, "without": without}, rounds)
    ratio = statistics.median(seconds["with"]) / statistics.median(seconds["without"])
    figures.add(
        f"latency with meters / without: {ratio:.4f} (medians of {rounds} interleaved rounds each, {kind})",
        seconds=seconds,
    )


def model_loads(model: str, optimizations: Sequence[str], figures: RawFigures) -> None:
    """Models of one size in turn, as a run loads them: the peak of the resident set over the largest one's weights.

    More than one would lie beside the next if a predecessor were not freed, or a load took more than its weights.
    """
    from blip_fixtures.checkpoints.loading import OneLiveModel
    from blip_fixtures.checkpoints.resolve import resolve_checkpoint
    from blip_fixtures.engine.peak_memory import PeakMemory
    from blip_fixtures.engine.workload import load_for
    from blip_fixtures.words import Weights

    prepared()  # imports everything, so that what grows behind this are models
    checkpoint = resolve_checkpoint(model, weights=Weights.RANDOM)
    models = OneLiveModel(load_for)
    with PeakMemory("cpu") as memory:
        sizes = [models.get(checkpoint, "cpu", name).weights_bytes for name in optimizations]
    assert memory.growth_bytes is not None, memory.reason
    assert models.loads == len(optimizations)
    ratio = memory.growth_bytes / max(sizes)
    figures.add(
        f"loads of {model} in turn ({', '.join(optimizations)}): peak {memory.growth_bytes / 1e9:.2f} GB, "
        f"{ratio:.3f} times the largest ({max(sizes) / 1e9:.2f} GB)",
        peak_bytes=memory.growth_bytes,
        weights_bytes=dict(zip(optimizations, sizes, strict=True)),
    )


def _suite_round(timer: Callable[[], float], target: Callable[[Any], Any], inputs: Any) -> float:
    """The timed region as pytest-benchmark runs it: timer, call with positional arguments, timer."""
    args, kwargs = (inputs,), {}  # type: tuple[Any], dict[str, Any]
    start_s = timer()
    target(*args, **kwargs)
    return timer() - start_s


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=60, help="processes a side (default: 60)")
    parser.add_argument("--rounds", type=int, default=300, help="timed rounds a side (default: 300)")
    parser.add_argument(
        "--model",
        default="Salesforce/instructblip-flan-t5-xl",
        help="the architecture whose loads are watched, with synthetic weights (default: %(default)s, 9 GB)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the raw values there, as JSON")
    args = parser.parse_args()
    figures = RawFigures()
    loading(args.repeats, figures)
    collecting(max(args.repeats // 6, 1), figures)
    calls_of_a_case(figures)
    timed_region(args.rounds, figures)
    metering(args.rounds, figures)
    model_loads(args.model, ("fp16", "bf16", "int4", "int8_dynamic"), figures)
    figures.write(args.out)


if __name__ == "__main__":
    main()
