"""The same ten cases in optimum-benchmark and in this suite: total wall seconds of each, and the ratio.

``python -m tools.peer_cost --peer-python PATH``: PATH is a Python of another environment, where
``pip install torch==2.13.0 optimum-benchmark==0.6.0 "transformers<5" "datasets<5"`` was run (0.6.0 does not start with
newer ones). It makes no ``qformer_input_ids``, so it cannot run InstructBLIP and gets the nearest that it can: the
language model of the packaged checkpoint alone, which is less work in each call. Both time ten calls of twenty new
tokens behind two warm-up calls, in fp32 on the CPU, latency alone, and both are run twice, in turn. What this suite
takes for everything that it measures by default stands beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.raw_figures import RawFigures

ROOT = Path(__file__).parents[1]
BATCH_SIZES = (1, 2, 4, 8, 16)
TEXT_TOKENS = (50, 100)
ROUNDS, WARMUP, NEW_TOKENS = 10, 2, 20

OURS = f"""
import pytest

pytestmark = pytest.mark.parametrize("dataset", ["scienceqa"])


@pytest.mark.parametrize("sequence_length", {list(TEXT_TOKENS)})
@pytest.mark.parametrize("batch_size", {list(BATCH_SIZES)})
def test_ten(measure):
    measure()
"""

# Runs in the peer's environment: its defaults but for the number of calls, and no fixed time for each case.
THEIRS = """
import json, sys

from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, ProcessConfig, PyTorchConfig

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    for batch_size in asked["batch_sizes"]:
        for tokens in asked["text_tokens"]:
            config = BenchmarkConfig(
                name=f"batch{batch_size}-tokens{tokens}",
                launcher=ProcessConfig(start_method="spawn"),
                backend=PyTorchConfig(
                    model=asked["model"], processor=asked["model"], task="text2text-generation", library="transformers",
                    model_type="t5", device="cpu", torch_dtype="float32",
                ),
                scenario=InferenceConfig(
                    latency=True, memory=False, energy=False, iterations=asked["rounds"], duration=0,
                    warmup_runs=asked["warmup"], input_shapes={"batch_size": batch_size, "sequence_length": tokens},
                    generate_kwargs={"max_new_tokens": asked["new_tokens"], "min_new_tokens": asked["new_tokens"]},
                ),
            )
            report = Benchmark.launch(config)
            print(config.name, report.generate.latency.p50, flush=True)
"""


def their_versions(python: str) -> dict[str, str]:
    """Python and packages of the peer's environment."""
    code = """
import importlib.metadata, json, platform, sys

versions = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({"python": platform.python_version(), **versions}))
"""
    names = ("optimum-benchmark", "torch", "transformers", "datasets")
    done = subprocess.run([python, "-c", code, *names], check=True, capture_output=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def save_language_model(folder: Path) -> None:
    """The T5 of the packaged checkpoint with its tokenizer, as a checkpoint of its own."""
    from transformers import InstructBlipForConditionalGeneration

    from blip_fixtures.checkpoints.processor import load_processor
    from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint

    checkpoint = resolve_checkpoint(PACKAGED)
    packaged = str(checkpoint.folder)
    # A folder of this package; nothing is fetched.
    model = InstructBlipForConditionalGeneration.from_pretrained(packaged)  # nosec B615
    model.language_model.save_pretrained(folder)
    load_processor(checkpoint).tokenizer.save_pretrained(folder)
    described = folder / "tokenizer_config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"tokenizer_class": "T5TokenizerFast"}))


def our_seconds(folder: Path, measure: str = "latency") -> float:
    """Wall seconds of this suite."""
    shutil.copy(ROOT / "conftest.py", folder / "conftest.py")
    (folder / "test_ten.py").write_text(OURS)
    start_s = time.perf_counter()
    options = f"""
        --blip-device=cpu --blip-baseline=optimization=fp32 --blip-measure={measure} --blip-limit=16
        --blip-rounds={ROUNDS} --blip-warmup-rounds={WARMUP} --blip-new-tokens=fixed:{NEW_TOKENS}
    """
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options.split()], cwd=folder, check=True, capture_output=True
    )
    return time.perf_counter() - start_s


def their_seconds(folder: Path, python: str) -> float:
    """Wall seconds of optimum-benchmark, `folder` holding its checkpoint in ``t5``."""
    (folder / "theirs.py").write_text(THEIRS)
    asked = {
        "model": str(folder / "t5"),
        "batch_sizes": BATCH_SIZES,
        "text_tokens": TEXT_TOKENS,
        "rounds": ROUNDS,
        "warmup": WARMUP,
        "new_tokens": NEW_TOKENS,
    }
    start_s = time.perf_counter()
    done = subprocess.run(
        [python, "theirs.py", json.dumps(asked)], cwd=folder, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start_s
    if done.returncode or len(done.stdout.split()) < 2 * len(BATCH_SIZES) * len(TEXT_TOKENS):
        raise SystemExit(f"optimum-benchmark failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds


def main() -> None:
    """Both sides twice, in turn, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True, metavar="PATH", help="a Python with optimum-benchmark")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the raw values there, as JSON")
    args = parser.parse_args()
    ours_s, theirs_s = [], []
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        save_language_model(Path(theirs) / "t5")
        for first in (True, False):
            if first:
                ours_s.append(our_seconds(Path(ours)))
            theirs_s.append(their_seconds(Path(theirs), args.peer_python))
            if not first:
                ours_s.append(our_seconds(Path(ours)))
        everything_s = our_seconds(Path(ours), "all")
    figures = RawFigures()
    for name, seconds in {"this suite": ours_s, "optimum-benchmark": theirs_s}.items():
        figures.add(f"ten cases, {name}: {seconds[0]:.1f} s, {seconds[1]:.1f} s", seconds=seconds)
    figures.add(f"ten cases, this suite with all that it measures: {everything_s:.1f} s", seconds=[everything_s])
    ratio = sum(ours_s) / sum(theirs_s)
    figures.add(
        f"this suite / optimum-benchmark: {ratio:.2f}", versions_of_optimum_benchmark=their_versions(args.peer_python)
    )
    figures.write(args.out)


if __name__ == "__main__":
    main()
