"""The walk of a T5 on the meta device: its encoder and the first decoder step, then a step for each later token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from blip_fixtures.families.family import Step
from blip_fixtures.words import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator


def walk(language: Any, embeddings: Any, beams: int) -> Iterator[Step]:
    """The encoder reads a prompt once, whatever the number of beams; the decoder works on each beam of its own."""
    token = torch.zeros(embeddings.shape[0] * beams, 1, dtype=torch.long, device="meta")
    state: dict[str, Any] = {}

    def step() -> None:
        state["past_key_values"] = language(decoder_input_ids=token, use_cache=True, **state).past_key_values

    def prefill() -> None:
        encoded = language.get_encoder()(inputs_embeds=embeddings).last_hidden_state
        state["encoder_outputs"] = (encoded if beams == 1 else encoded.repeat_interleave(beams, dim=0),)
        step()

    yield Step(Phase.PREFILL, prefill)
    while True:
        yield Step(Phase.DECODE, step)
