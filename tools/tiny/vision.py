"""Stage 1: train the vision encoder alone, to say for every patch what it shows."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tools.tiny.glyphs import CELL, CHARACTERS
from tools.tiny.model import HIDDEN, PATCH
from tools.tiny.questions import draw_scene
from tools.tiny.world import BACKGROUNDS, COLORS, NUMBERS, PLACES, SHAPES, SIDE, WORDS, Scene, Shape, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import InstructBlipVisionModel

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
IGNORE = -100

# What each patch is asked, and the possible answers. `kind` and `background` are asked of every patch, the others of
# the patches that show something of that sort.
LABELS: dict[str, tuple[str, ...]] = {
    "kind": ("nothing", "sign", *SHAPES),
    "background": tuple(BACKGROUNDS),
    "color": tuple(COLORS),
    "place": PLACES,
    "glyph": CHARACTERS,
    "text": (*WORDS, *NUMBERS),
}
_INDEX = {name: {value: i for i, value in enumerate(values)} for name, values in LABELS.items()}

# Steps of one size cost about the same: the batch shrinks as the number of patches grows.
BATCH_SIZES = {224: 64, 336: 40, 448: 24}


def pixel_values(scene: Scene, size: int) -> Tensor:
    """The picture as the processor hands it to the model, of shape (3, size, size)."""
    picture = render(scene)
    if size != SIDE:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255 - MEAN) / STD


def stack_pixel_values(scenes: list[Scene], size: int) -> Tensor:
    """The pictures as one batch of shape (scenes, 3, size, size), drawn on two threads."""
    with ThreadPoolExecutor(2) as pool:
        return torch.stack([*pool.map(partial(pixel_values, size=size), scenes)])


def patch_labels(scene: Scene, size: int) -> dict[str, NDArray[np.int64]]:
    """For each name in `LABELS` an array of shape (grid, grid)."""
    grid = size // PATCH
    labels = {name: np.full((grid, grid), IGNORE) for name in LABELS}
    labels["kind"][:] = 0
    labels["background"][:] = _INDEX["background"][scene.background]
    for item in scene.items:
        where = _patches(item.box, grid)
        labels["color"][where] = _INDEX["color"][item.color]
        if isinstance(item, Shape):
            labels["kind"][where] = _INDEX["kind"][item.shape]
            labels["place"][where] = _INDEX["place"][item.place]
            continue
        labels["kind"][where] = _INDEX["kind"]["sign"]
        labels["text"][where] = _INDEX["text"][item.text]
        for i, character in enumerate(item.text):
            left = item.left + i * CELL
            cell = _patches((left, item.top, left + CELL, item.top + CELL), grid)
            labels["glyph"][cell] = _INDEX["glyph"][character]
    return labels


def _patches(box: tuple[int, int, int, int], grid: int) -> tuple[slice, slice]:
    """Rows and columns of the patches whose centre lies in `box`."""
    left, top, right, bottom = (max(0, math.ceil(edge * grid / SIDE - 0.5)) for edge in box)
    return slice(top, bottom), slice(left, right)


def draw_batch(size: int, rng: Random, exclude: frozenset[Scene]) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures of shape (batch, 3, size, size) and labels of shape (batch, patches)."""
    scenes: list[Scene] = []
    while len(scenes) < BATCH_SIZES[size]:
        scene = draw_scene(rng.choice(("textvqa", "textvqa", "coco")), rng)
        if scene not in exclude:
            scenes.append(scene)
    labels = [patch_labels(scene, size) for scene in scenes]
    return stack_pixel_values(scenes, size), {
        name: torch.from_numpy(np.stack([one[name] for one in labels])).flatten(1) for name in LABELS
    }


class PatchHeads(nn.Module):
    """One linear classifier per label, used in this stage only."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(HIDDEN, len(values)) for name, values in LABELS.items()})

    def forward(self, features: Tensor, labels: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The sum of the losses, and the share of right answers per label."""
        losses, right = [], {}
        for name, head in self.heads.items():
            asked = labels[name] != IGNORE
            logits, expected = head(features[asked]), labels[name][asked]
            if expected.numel():
                losses.append(F.cross_entropy(logits, expected))
                right[name] = (logits.argmax(-1) == expected).float().mean().item()
        return torch.stack(losses).sum(), right


def image_size_at(progress: float, rng: Random) -> int:
    """Only 224 at first, where a glyph is one patch; then all sizes, less often the one that is known already."""
    return 224 if progress < 0.12 or rng.random() < 0.25 else rng.choice((336, 448))


def train_vision(
    encoder: InstructBlipVisionModel,
    *,
    steps: int,
    exclude: frozenset[Scene],
    seed: int,
    learning_rate: float = 2e-3,
    log: Callable[[str], None] = print,
) -> None:
    """Train `encoder` in place."""
    torch.manual_seed(seed)
    rng = Random(f"vision-{seed}")
    heads = PatchHeads()
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.04)
    encoder.train()
    start = time.monotonic()
    for step in range(steps):
        size = image_size_at(step / steps, rng)
        pictures, labels = draw_batch(size, rng, exclude)
        features = encoder(pixel_values=pictures, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
        loss, right = heads(features, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            shares = " ".join(f"{name} {share:.2f}" for name, share in right.items())
            log(
                f"vision {step}/{steps} {time.monotonic() - start:.0f} s, size {size}, loss {loss.item():.2f}: {shares}"
            )
    encoder.train(mode=False)
