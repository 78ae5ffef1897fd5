"""Train `instructblip-tiny` in three stages: `python -m tools.tiny.train`.

Trained jointly from random weights the Q-Former's outputs collapse, hence the stages. Each leaves its result in the
work folder, so that an interrupted training goes on with the next stage; `--from` repeats a stage and those behind it.
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tools.tiny.features import Cache, cache_features
from tools.tiny.language import train_language
from tools.tiny.model import FOLDER, build_model, save
from tools.tiny.samples import held_out_scenes
from tools.tiny.vision import train_vision

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import InstructBlipForConditionalGeneration

STAGES = ("vision", "features", "language")
SEED = 0
VISION_STEPS = 2400
LANGUAGE_STEPS = 1400


def main() -> None:
    """Run the stages that are not done yet and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/instructblip-tiny"), help="results of the stages")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the checkpoint goes")
    parser.add_argument("--from", dest="first", choices=STAGES, help="repeat this stage and those behind it")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--vision-steps", type=int, default=VISION_STEPS)
    parser.add_argument("--language-steps", type=int, default=LANGUAGE_STEPS)
    options = parser.parse_args()

    options.work.mkdir(parents=True, exist_ok=True)
    results = {stage: options.work / f"{stage}.pt" for stage in STAGES}
    for stage in STAGES[STAGES.index(options.first) :] if options.first else ():
        results[stage].unlink(missing_ok=True)

    model = build_model(options.seed)
    if not results["vision"].exists():
        with _timed("vision"):
            train_vision(
                model.vision_model,
                steps=options.vision_steps,
                exclude=held_out_scenes(),
                seed=options.seed,
                log=_log,
            )
        torch.save(model.vision_model.state_dict(), results["vision"])
    model.vision_model.load_state_dict(torch.load(results["vision"], weights_only=True))

    if not results["language"].exists():
        cache = _features(model, results["features"], options.seed)
        with _timed("language"):
            train_language(
                model,
                cache,
                steps=options.language_steps,
                seed=options.seed,
                log=_log,
                checkpoint=lambda: save(model, options.work / "latest"),
            )
        torch.save(model.state_dict(), results["language"])
    model.load_state_dict(torch.load(results["language"], weights_only=True))
    save(model, options.out)
    _log(f"wrote {options.out}")


def _features(model: InstructBlipForConditionalGeneration, path: Path, seed: int) -> Cache:
    if path.exists():
        # Scenes are objects of this package, in a file that this script wrote into its own folder.
        cache: Cache = torch.load(path, weights_only=False)  # nosec B614
        return cache
    with _timed("features"):
        cache = cache_features(model.vision_model, exclude=held_out_scenes(), seed=seed, log=_log)
    torch.save(cache, path)
    return cache


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    _log(f"{stage}: {time.monotonic() - start:.0f} s")


def _log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
