"""Loading: dtypes, bytes, one live model, and checkpoints that break on the way."""

from __future__ import annotations

import dataclasses
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel, load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import Checkpoint, CheckpointError
from blip_fixtures.optimizations import NotApplied, Probe, find_optimization
from blip_fixtures.words import Component, Weights
from tests.unit.fake_cards import CARDS, cards_at_hand, fake_tensors

# A dtype is proven without a call.
NO_PROBE = Probe(run=lambda: None, run_eager=lambda: None)


@pytest.mark.parametrize("name", ["fp16", "fp32", "bf16"])
def test_a_dtype_is_loaded_and_proven(checkpoint: Checkpoint, name: str) -> None:
    entry = find_optimization(name)
    proof = entry.proof(load_model(checkpoint, "cpu", name, entry.dtype), NO_PROBE)
    assert max(proof["parameters_by_dtype"], key=proof["parameters_by_dtype"].get) == entry.dtype
    assert set(proof["attention"]) == {"vision", "qformer", "language_encoder", "language_decoder"}
    kept = proof.get("kept_in_another_dtype_by_transformers", [])
    assert ("language_model.encoder.block.*.layer.*.DenseReluDense.wo.weight" in kept) == (name == "fp16")


def test_fp16_keeps_the_layers_that_t5_wants_in_fp32(checkpoint: Checkpoint) -> None:
    loaded = load_model(checkpoint, "cpu", "fp16", "float16")
    wo = loaded.model.language_model.encoder.block[0].layer[1].DenseReluDense.wo
    assert wo.weight.dtype == torch.float32


def test_pixels_arrive_in_the_dtype_of_the_vision_encoder(checkpoint: Checkpoint) -> None:
    assert load_model(checkpoint, "cpu", "fp16", "float16").pixel_dtype == torch.float16


def test_an_optimization_that_did_not_take_is_no_row(checkpoint: Checkpoint) -> None:
    with pytest.raises(NotApplied, match=r"fp16 asked for float16 and the parameters are \{'float32': \d+\}"):
        find_optimization("fp16").proof(load_model(checkpoint, "cpu", "fp16", "float32"), NO_PROBE)


def test_unknown_optimization() -> None:
    with pytest.raises(
        ValueError, match="unknown optimization 'fp8'; the suite knows fp16, fp32, bf16, eager, sdpa, flash"
    ):
        find_optimization("fp8")


def test_weights_bytes_count_shared_tensors_once(loaded: LoadedModel) -> None:
    parameters = sum(parameter.nbytes for parameter in loaded.model.parameters())
    buffers = sum(buffer.nbytes for buffer in loaded.model.buffers())
    assert loaded.weights_bytes == parameters + buffers


class Loader:
    """Stands in for a checkpoint: counts loads, and watches whether the one before is still alive."""

    def __init__(self) -> None:
        self.alive: list[weakref.ref[LoadedModel]] = []

    def __call__(self, checkpoint: Checkpoint, device: str, optimization: str) -> LoadedModel:
        assert all(reference() is None for reference in self.alive), "two models are alive"
        loaded = LoadedModel(checkpoint, device, optimization, model=object(), load_s=0.0)
        self.alive.append(weakref.ref(loaded))
        return loaded


def test_one_model_lives_at_a_time(checkpoint: Checkpoint) -> None:
    models = OneLiveModel(Loader())
    for optimization in ("fp16", "fp16", "fp32", "fp32"):
        assert models.get(checkpoint, "cpu", optimization).optimization == optimization
    assert models.loads == 2


@pytest.mark.parametrize("change", [{"model": "another"}, {"weights": Weights.RANDOM}, {"revision": "another"}])
def test_another_checkpoint_is_another_model(checkpoint: Checkpoint, change: dict[str, Any]) -> None:
    models = OneLiveModel(Loader())
    other = dataclasses.replace(checkpoint, **change)
    for chosen in (checkpoint, other, other, checkpoint):
        assert models.get(chosen, "cpu", "fp16").checkpoint is chosen
    assert models.loads == 3


def test_a_load_that_failed_is_tried_again(checkpoint: Checkpoint) -> None:
    loader, fails = Loader(), iter([False, True, False])

    def load(checkpoint: Checkpoint, device: str, optimization: str) -> LoadedModel:
        if next(fails):
            raise MemoryError
        return loader(checkpoint, device, optimization)

    models = OneLiveModel(load)
    models.get(checkpoint, "cpu", "fp16")
    with pytest.raises(MemoryError):
        models.get(checkpoint, "cpu", "fp32")
    assert models.get(checkpoint, "cpu", "fp16").optimization == "fp16"
    assert models.loads == 2


def test_the_parts_that_attend(loaded: LoadedModel) -> None:
    assert list(loaded.components) == list(Component)
    assert loaded.components[Component.LANGUAGE_DECODER] is loaded.model.language_model.decoder


def copied(checkpoint: Checkpoint, to: Path) -> Path:
    assert checkpoint.folder is not None
    return Path(shutil.copytree(checkpoint.folder, to))


def test_truncated_weights(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copied(checkpoint, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    broken = dataclasses.replace(checkpoint, model="cut", folder=folder)
    with pytest.raises(
        CheckpointError, match=r"cannot load the weights of 'cut': .*; fetch or save the checkpoint again"
    ):
        load_model(broken, "cpu", "fp16", "float16")


def test_weights_that_lack_a_tensor(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """transformers would draw it at random, warn, and go on."""
    folder = copied(checkpoint, tmp_path / "lacking")
    tensors = load_file(folder / "model.safetensors")
    del tensors["language_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    lacking = dataclasses.replace(checkpoint, model="lacking", folder=folder)
    with pytest.raises(
        CheckpointError,
        match=r"the weights of 'lacking' lack 1 tensors of its configuration, language_projection.weight among",
    ):
        load_model(lacking, "cpu", "fp16", "float16")


def test_synthetic_weights_need_no_folder(checkpoint: Checkpoint) -> None:
    synthetic = Checkpoint("m", None, "r", checkpoint.config, weights=Weights.RANDOM)
    loaded = load_model(synthetic, "cpu", "bf16", "bfloat16")
    assert find_optimization("bf16").proof(loaded, NO_PROBE)["parameters_by_dtype"].keys() == {"bfloat16"}


@pytest.mark.parametrize("device", CARDS)
@pytest.mark.parametrize("weights", list(Weights))
def test_loading_ends_when_the_device_has_the_weights(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, weights: Weights, device: str
) -> None:
    """A copy to a CUDA device, and what fills a tensor there, is queued: the clock alone would stop before it."""
    happened: list[str] = []

    def clock() -> float:
        happened.append("clock")
        return float(len(happened))

    with cards_at_hand(), fake_tensors():
        monkeypatch.setattr(torch.cuda, "synchronize", lambda waited: happened.append(waited))
        monkeypatch.setattr("blip_fixtures.checkpoints.loading.time", SimpleNamespace(perf_counter=clock))
        chosen = checkpoint
        if weights == Weights.RANDOM:
            chosen = Checkpoint("m", None, "r", checkpoint.config, weights=weights)
        loaded = load_model(chosen, device, "bf16", "bfloat16")
    assert happened == ["clock", device, "clock"]
    assert loaded.load_s == 2


def test_a_lack_of_memory_is_no_broken_checkpoint(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its type is: torch has one for CUDA alone."""
    error = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    def exhaust(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(checkpoint.family.model_class(), "from_pretrained", exhaust)
    with pytest.raises(RuntimeError) as caught:
        load_model(checkpoint, "cpu", "fp16", "float16")
    assert caught.value is error


def test_missing_tokenizer(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = copied(checkpoint, tmp_path / "cut")
    shutil.rmtree(folder / "qformer_tokenizer")
    broken = dataclasses.replace(checkpoint, model="cut", folder=folder)
    with pytest.raises(CheckpointError, match="cannot load the processor of 'cut'"):
        load_processor(broken)


def test_processor_knows_its_query_tokens(checkpoint: Checkpoint, processor: Any) -> None:
    assert processor.num_query_tokens == checkpoint.config["num_query_tokens"]
