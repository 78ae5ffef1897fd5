"""A pytest plugin that makes the model worse on purpose, by what the environment says; ``-p tools.gate_study.changed``.

``BLIP_STUDY_SLOWDOWN=0.15`` makes every `generate` take 15 % longer, ``BLIP_STUDY_EXTRA_PRODUCT=1`` multiplies one more
pair of matrices in the Q-Former, ``BLIP_STUDY_DAMAGE=1`` breaks the decoding of answers.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def pytest_collection_finish() -> None:
    """Before anything is measured."""
    slowdown = float(os.environ.get("BLIP_STUDY_SLOWDOWN", "0"))
    if slowdown:
        _wrap("InstructBlipForConditionalGeneration", "generate", lambda original: _slowed(original, slowdown))
    if os.environ.get("BLIP_STUDY_EXTRA_PRODUCT"):
        _wrap("InstructBlipQFormerModel", "forward", _with_one_more_product)
    if os.environ.get("BLIP_STUDY_DAMAGE"):
        from blip_fixtures.engine import inference

        inference.read = _damaged(inference.read)


def _wrap(kind: str, name: str, change: Callable[[Any], Any]) -> None:
    from transformers.models.instructblip import modeling_instructblip

    owner = getattr(modeling_instructblip, kind)
    setattr(owner, name, change(getattr(owner, name)))


def _slowed(original: Any, share: float) -> Any:
    @functools.wraps(original)
    def generate(*args: Any, **kwargs: Any) -> Any:
        start_s = time.perf_counter()
        found = original(*args, **kwargs)
        end_s = time.perf_counter()
        until_s = end_s + share * (end_s - start_s)
        while time.perf_counter() < until_s:
            pass
        return found

    return generate


def _damaged(original: Any) -> Any:
    @functools.wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        answers = original(*args, **kwargs)
        return dataclasses.replace(answers, texts=tuple(text[::-1] for text in answers.texts))

    return read


def _with_one_more_product(original: Any) -> Any:
    @functools.wraps(original)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        states = found.last_hidden_state
        _ = states @ states.transpose(-1, -2)
        return found

    return forward
