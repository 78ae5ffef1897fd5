"""How a loaded model is run: `generate`, and the moments at which its parts end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from blip_fixtures.families.family import Family


class Part(StrEnum):
    """What `parts_ended` tells of; a step is one forward of the decoder, the first one among them."""

    VISION = "vision"
    QFORMER = "qformer"
    STEP = "step"


class Runner(Protocol):
    """Runs one loaded model in one way. `config` is the model's."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    @property
    def held_bytes(self) -> int:
        """Bytes that it keeps between calls besides the weights: static caches and other buffers."""

    @property
    def generate(self) -> Callable[..., Any]:
        """Token ids (batch, tokens), as the model's own `generate` gives them; `Family.answer` finds the answer."""

    def close(self) -> None:
        """Let go of what holds the model besides the runner itself."""

    def parts_ended(self, note: Callable[[Part], None]) -> AbstractContextManager[None]:
        """While it is entered, `note` is called with each part of the model that has just ended."""


@dataclass(frozen=True)
class EagerRunner:
    """transformers' own `generate`."""

    model: Any
    family: Family

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def held_bytes(self) -> int:
        """Nothing: its caches live as long as a call."""
        return 0

    def generate(self, **arguments: Any) -> Any:
        """What the model's own `generate` returns."""
        return self.model.generate(**arguments)

    def close(self) -> None:
        """Nothing else holds the model."""

    @contextlib.contextmanager
    def parts_ended(self, note: Callable[[Part], None]) -> Iterator[None]:
        """Forward hooks, gone again at the end."""
        handles = [
            module.register_forward_hook(lambda *_, part=part: note(part))
            for part, module in self.family.parts(self.model).items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
