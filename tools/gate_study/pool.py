"""A pool of fresh runs of unchanged and of changed code: ``python -m tools.gate_study.pool DIR``.

Runs of all kinds are taken in turn, so that the machine's drift is part of every comparison that is drawn from them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
# Six cases, fifteen rounds.
COMMAND = (
    "-m", "pytest", "benchmarks", "-p", "tools.gate_study.changed", "-k", "test_image_size and not coco",
    "--blip-device=cpu", "--blip-limit=32", "--blip-rounds=15", "--blip-energy=off",
)  # fmt: skip
KINDS: dict[str, dict[str, str]] = {
    "unchanged": {},
    "slower15": {"BLIP_STUDY_SLOWDOWN": "0.15"},
    "slower30": {"BLIP_STUDY_SLOWDOWN": "0.30"},
    "loaded": {},
    "product": {"BLIP_STUDY_EXTRA_PRODUCT": "1"},
    "damage": {"BLIP_STUDY_DAMAGE": "1"},
    "larger": {},
}
# The runs of one turn; turns are repeated. Loaded runs come behind all others.
TURN = ("unchanged", "slower15", "unchanged", "slower30")
LOADED = 10
EXACT = ("product", "damage", "larger")


def main() -> None:
    """Fill the folder; runs that it holds already are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=8, help="turns of four runs (default: 8)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    kinds = [*TURN * args.turns, *EXACT, *("loaded",) * LOADED]
    for number, kind in enumerate(kinds):
        into = args.folder / f"{number:03d}-{kind}"
        if any(into.rglob("records.json")):
            continue
        model = [f"--blip-model={larger_checkpoint(args.folder)}"] if kind == "larger" else []
        start_s = time.monotonic()
        with background_load(number) if kind == "loaded" else contextlib.nullcontext():
            subprocess.run(
                [sys.executable, *COMMAND, *model, f"--blip-report-dir={into.resolve()}"],
                cwd=ROOT,
                env={**os.environ, **KINDS[kind]},
                check=True,
                capture_output=True,
            )
        print(f"[{number + 1}/{len(kinds)}] {kind}: {time.monotonic() - start_s:.0f} s", flush=True)


@contextlib.contextmanager
def background_load(seed: int) -> Iterator[None]:
    """Bursts of other work while a run is measured."""
    other = subprocess.Popen([sys.executable, "-m", "tools.gate_study.load", str(seed)], cwd=ROOT)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def larger_checkpoint(folder: Path, share: float = 0.05) -> Path:
    """The packaged checkpoint with a vocabulary so much longer that its weights take `share` more bytes."""
    into = folder / "instructblip-larger"
    if (into / "config.json").exists():
        return into
    import torch
    from transformers import InstructBlipForConditionalGeneration

    from blip_fixtures.checkpoints.processor import load_processor
    from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint

    checkpoint = resolve_checkpoint(PACKAGED)
    packaged = str(checkpoint.folder)
    # A folder of this package; nothing is fetched.
    model = InstructBlipForConditionalGeneration.from_pretrained(packaged, dtype=torch.float16)  # nosec B615
    table = model.language_model.get_input_embeddings().weight
    size = sum(tensor.nbytes for tensor in model.parameters())
    rows = round(share * size / (table.shape[1] * table.element_size()))
    length = table.shape[0] + rows
    model.language_model.resize_token_embeddings(length, mean_resizing=False)
    with torch.no_grad():
        model.language_model.get_input_embeddings().weight[-rows:] = 0
    text: Any = model.config.text_config
    text.vocab_size = length
    load_processor(checkpoint).save_pretrained(into)
    model.save_pretrained(into)
    return into


if __name__ == "__main__":
    main()
