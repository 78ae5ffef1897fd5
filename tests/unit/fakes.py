"""A model and clocks that are none, for tests of the engine: nothing is computed, and time passes when it is spent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.families.runner import Part


@dataclass
class FakeTime:
    """Seconds that pass only when somebody spends them."""

    now_s: float = 0.0

    def timer(self, _device: str) -> Callable[[], float]:
        return lambda: self.now_s

    def spend(self, seconds: float) -> None:
        self.now_s += seconds


class FakeRunner:
    """Generates `tokens` tokens, each of which takes a second, after two parts that take two and three.

    `asked` has of each call the most and the least tokens, and the shape of its prompts.
    """

    held_bytes = 0

    def __init__(self, time: FakeTime, tokens: int) -> None:
        self._time = time
        self._tokens = tokens
        self._note: Callable[[Part], None] = lambda _part: None
        self.calls = 0
        self.asked: list[tuple[int, int | None, tuple[int, ...]]] = []
        self.closed = False
        self.fails_with: Exception | None = None

        class VisionConfig:
            image_size = 224

        class Config:
            vision_config = VisionConfig

        self.config = Config

    def generate(
        self, *, input_ids: Any, pixel_values: Any, max_new_tokens: int, min_new_tokens: int | None = None, **_: Any
    ) -> Any:
        self.calls += 1
        self.asked.append((max_new_tokens, min_new_tokens, tuple(input_ids.shape)))
        if self.fails_with is not None:
            raise self.fails_with
        steps = min(self._tokens, max_new_tokens)
        for part, seconds in ((Part.VISION, 2.0), (Part.QFORMER, 3.0), *[(Part.STEP, 1.0)] * steps):
            self._time.spend(seconds)
            self._note(part)
        return torch.full((len(pixel_values), 1 + steps), 7)

    def close(self) -> None:
        self.closed = True

    @contextlib.contextmanager
    def parts_ended(self, note: Callable[[Part], None]) -> Iterator[None]:
        self._note = note
        try:
            yield
        finally:
            self._note = lambda _part: None


class TinyModule(nn.Module):
    """Eight numbers, and the settings that decoding asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))

    class language_model:  # the names that transformers gives them
        class generation_config:
            eos_token_id = 1


@dataclass
class FakeLoaded:
    """Stands in for `LoadedModel`."""

    checkpoint: Checkpoint
    device: str
    optimization: str
    runner: FakeRunner
    model: Any = field(default_factory=TinyModule)
    load_s: float = 0.5
    applied: dict[str, Any] = field(default_factory=dict)
    components: dict[str, Any] = field(default_factory=dict)
    pixel_dtype: Any = torch.float32
    weights_bytes: int = 32

    @property
    def family(self) -> Any:
        return self.checkpoint.family

    @property
    def eager_runner(self) -> FakeRunner:
        return self.runner


class FakeModels:
    """Loads fakes, and remembers which."""

    def __init__(self, time: FakeTime, tokens: int = 3) -> None:
        self.loaded: list[FakeLoaded] = []
        self._time = time
        self._tokens = tokens
        self.fails_with: Exception | None = None

    def load(self, checkpoint: Checkpoint, device: str, optimization: str) -> Any:
        runner = FakeRunner(self._time, self._tokens)
        runner.fails_with = self.fails_with
        self.loaded.append(FakeLoaded(checkpoint, device, optimization, runner))
        return self.loaded[-1]
