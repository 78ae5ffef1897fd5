"""An optimization that is no part of the package, whole in this file: a case can name it, and a document shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.optimizations import (
    OPTIMIZATIONS,
    Entry,
    NotApplied,
    Probe,
    find_optimization,
    optimization_label,
    register,
)
from blip_fixtures.reasons import Reason, add_template
from blip_fixtures.words import Component
from tests.unit.optimized import load

# Its proof takes no call.
NO_PROBE = Probe(run=lambda: None, run_eager=lambda: None)


def convolutions(loaded: LoadedModel) -> list[nn.Conv2d]:
    return [part for part in loaded.components[Component.VISION].modules() if isinstance(part, nn.Conv2d)]


def why_unavailable(device: str) -> Reason | None:
    return None if device == "cpu" else Reason.of("channels_last_elsewhere", device=device)


def apply(loaded: LoadedModel) -> None:
    loaded.components[Component.VISION].to(memory_format=torch.channels_last)


def proof(loaded: LoadedModel, _probe: Probe) -> dict[str, Any]:
    layers = convolutions(loaded)
    if not all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in layers):
        raise NotApplied("channels_last was asked for and a convolution keeps its order")
    return {"channels_last_layers": len(layers)}


def notes(applied: Mapping[str, Any]) -> list[Reason]:
    return [Reason.of("channels_last_layers", scope="latency", count=applied["channels_last_layers"])]


CHANNELS_LAST = Entry(
    "channels_last",
    label="Channels Last",
    why_unavailable=why_unavailable,
    apply=apply,
    proof=proof,
    notes=notes,
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    add_template("channels_last_elsewhere", en="channels_last is for the CPU, not for {device}")
    add_template("channels_last_layers", en="channels are last, layers: {count}", ru="каналы последние, слоёв: {count}")
    take_out = register(CHANNELS_LAST, before="compile")
    yield
    take_out()


def test_it_is_found_by_its_name_and_in_combinations() -> None:
    assert find_optimization("channels_last").entries == (CHANNELS_LAST,)
    chosen = find_optimization("compile+channels_last+int8")
    assert [entry.name for entry in chosen.entries] == ["int8", "channels_last", "compile"]
    assert optimization_label("bf16+channels_last+compile") == "bf16+Channels Last+Compile"
    with pytest.raises(ValueError, match=r"fp16, .*, channels_last, compile, .*; did you mean channels_last"):
        find_optimization("channel_last")


def test_its_need_is_a_reason_of_the_case() -> None:
    chosen = find_optimization("fp32+channels_last")
    assert chosen.why_unavailable("cpu") is None
    assert str(chosen.why_unavailable("cuda:0")) == "channels_last is for the CPU, not for cuda:0"


def test_it_is_applied_proven_and_noted(checkpoint: Checkpoint, loaded: LoadedModel) -> None:
    chosen = find_optimization("fp32+channels_last")
    facts = chosen.proof(load(checkpoint, "fp32+channels_last"), NO_PROBE)
    assert facts["parameters_by_dtype"].keys() == {"float32"}
    assert facts["channels_last_layers"] == len(convolutions(loaded)) > 0
    (note,) = chosen.notes(facts)
    assert (note.scope, note.say("en"), note.say("ru")) == (
        "latency",
        "channels are last, layers: 1",
        "каналы последние, слоёв: 1",
    )
    with pytest.raises(NotApplied, match="a convolution keeps its order"):
        chosen.proof(loaded, NO_PROBE)


def test_it_can_be_taken_out_again() -> None:
    known = dict(OPTIMIZATIONS)
    take_out = register(Entry("pruned", dtype="float32"), before="fp16")
    assert list(OPTIMIZATIONS) == ["pruned", *known]
    take_out()
    assert list(OPTIMIZATIONS) == list(known)
    with pytest.raises(ValueError, match="unknown optimization 'pruned'"):
        find_optimization("pruned")
