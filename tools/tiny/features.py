"""Stage 2: what the trained vision encoder says about many scenes, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch

from tools.tiny.model import HIDDEN, PATCH
from tools.tiny.questions import draw_scene
from tools.tiny.vision import BATCH_SIZES, stack_pixel_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from transformers import InstructBlipVisionModel

    from tools.tiny.world import Scene

# Scenes per dataset and image size.
COUNTS = {
    "textvqa": {224: 4000, 336: 1600, 448: 1600},
    "coco": {224: 2500, 336: 800, 448: 800},
    "scienceqa": {224: 2000, 336: 600, 448: 600},
}


@dataclass(frozen=True)
class Features:
    """Scenes at one image size with their features: fp16, shape (scenes, 1 + patches, HIDDEN)."""

    scenes: list[Scene]
    values: Tensor


Cache = dict[str, dict[int, Features]]


@torch.inference_mode()
def cache_features(
    encoder: InstructBlipVisionModel, *, exclude: frozenset[Scene], seed: int, log: Callable[[str], None] = print
) -> Cache:
    """Features of scenes drawn from `seed`, none of them in `exclude`."""
    cache: Cache = {}
    for dataset, sizes in COUNTS.items():
        for size, count in sizes.items():
            rng = Random(f"features-{seed}-{dataset}-{size}")
            scenes: list[Scene] = []
            while len(scenes) < count:
                scene = draw_scene(dataset, rng)
                if scene not in exclude:
                    scenes.append(scene)
            values = torch.empty(count, 1 + (size // PATCH) ** 2, HIDDEN, dtype=torch.float16)
            for start in range(0, count, BATCH_SIZES[size]):
                batch = scenes[start : start + BATCH_SIZES[size]]
                pictures = stack_pixel_values(batch, size)
                encoded = encoder(pixel_values=pictures, interpolate_pos_encoding=True).last_hidden_state
                values[start : start + len(batch)] = encoded.half()
            cache.setdefault(dataset, {})[size] = Features(scenes, values)
            log(f"features {dataset} {size}: {count} scenes")
    return cache
