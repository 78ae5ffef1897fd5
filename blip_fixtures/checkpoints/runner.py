"""How a loaded model is run: `generate`, and the moments at which its parts end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

# What `parts_ended` tells of; a step is one forward of the decoder, the first one among them.
PARTS = (VISION, QFORMER, STEP) = ("vision", "qformer", "step")


def components(model: Any) -> dict[str, Any]:
    """The parts of an InstructBLIP with a T5 that attend, by name."""
    return {
        "vision": model.vision_model,
        "qformer": model.qformer,
        "language_encoder": model.language_model.encoder,
        "language_decoder": model.language_model.decoder,
    }


class Runner(Protocol):
    """Runs one loaded model in one way. `config` is the model's."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    @property
    def generate(self) -> Callable[..., Any]:
        """Token ids (batch, 1 + tokens), as `InstructBlipForConditionalGeneration.generate` gives them."""

    def close(self) -> None:
        """Let go of what holds the model besides the runner itself."""

    def parts_ended(self, note: Callable[[str], None]) -> AbstractContextManager[None]:
        """While it is entered, `note` is called with the name of each part of the model that has just ended."""


@dataclass(frozen=True)
class EagerRunner:
    """transformers' own `generate`."""

    model: Any

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    def generate(self, **arguments: Any) -> Any:
        """What the model's own `generate` returns."""
        return self.model.generate(**arguments)

    def close(self) -> None:
        """Nothing else holds the model."""

    @contextlib.contextmanager
    def parts_ended(self, note: Callable[[str], None]) -> Iterator[None]:
        """Forward hooks, gone again at the end."""
        parts = {
            VISION: self.model.vision_model,
            QFORMER: self.model.language_projection,
            STEP: self.model.language_model,
        }
        handles = [part.register_forward_hook(lambda *_, name=name: note(name)) for name, part in parts.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
