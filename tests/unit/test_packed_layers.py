"""Packed linear layers: what they compute, which layers become some, and the proof that they did."""

from __future__ import annotations

import importlib
import shutil
import sys
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.inference import generate
from blip_fixtures.optimizations import NotApplied, find_optimization
from blip_fixtures.optimizations.compile import token_agreement
from blip_fixtures.optimizations.linear import (
    BlockedLinear,
    Int4Linear,
    Int8DynamicLinear,
    Int8Linear,
    replace_linear,
)
from tests.unit.optimized import TOKENS, Batches, load, make_batches, probe_of


@pytest.fixture(scope="module")
def batches(checkpoint: Checkpoint, processor: Any) -> Batches:
    return make_batches(checkpoint, processor)


KINDS = {
    Int8Linear: 0.02,
    Int8DynamicLinear: 0.02,
    Int4Linear: 0.12,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_is_its_original_up_to_rounding(kind: Any, dtype: Any, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(128, 192, bias=bias).to(dtype)
    inputs = torch.randn(2, 5, 128).to(dtype)
    with torch.no_grad():
        expected, found = linear(inputs).float(), kind(linear)(inputs)
    assert (found.shape, found.dtype) == (expected.shape, dtype)
    error = float((found.float() - expected).norm() / expected.norm())
    assert error < KINDS[kind]


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("compiled_too", [True, False])
def test_a_blocked_layer_is_its_original(rows: int, compiled_too: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(128, 192).to(torch.bfloat16)
    inputs = torch.randn(2, rows, 128).to(torch.bfloat16)
    blocked = BlockedLinear(linear)
    call = torch.compile(blocked, fullgraph=True, backend="aot_eager") if compiled_too else blocked
    with torch.no_grad():
        expected, found = linear(inputs), call(inputs)
    assert found.dtype == torch.bfloat16
    # One rounding of the product, then one of the sum with the bias.
    assert torch.allclose(found.float(), expected.float(), rtol=0, atol=2**-7 * float(expected.abs().max()))
    assert blocked.packed_bytes == linear.weight.nbytes


def test_compile_blocks_bf16_alone(checkpoint: Checkpoint, loaded: LoadedModel) -> None:
    blocked = load(checkpoint, "bf16+compile")
    assert blocked.applied["compile"]["blocked_layers"] == sum(
        type(part) is nn.Linear for part in loaded.model.modules()
    )
    assert load(checkpoint, "fp16+compile").applied["compile"]["blocked_layers"] == 0
    # The head is the embedding's matrix in this checkpoint; blocked, it is a matrix of its own.
    tied = blocked.model.get_input_embeddings().weight.nbytes
    assert blocked.weights_bytes == load(checkpoint, "bf16").weights_bytes + tied


def test_more_bits_are_nearer() -> None:
    torch.manual_seed(0)
    linear, inputs = nn.Linear(256, 256), torch.randn(4, 256)
    with torch.no_grad():
        expected = linear(inputs)
        errors = [float((kind(linear)(inputs) - expected).norm()) for kind in (Int8Linear, Int4Linear)]
    assert 0 < errors[0] < errors[1]


def test_int4_takes_whole_groups_alone() -> None:
    assert Int4Linear.fits(nn.Linear(128, 64))
    assert not Int4Linear.fits(nn.Linear(100, 64))
    assert not Int4Linear.fits(nn.Linear(128, 100))


@pytest.mark.parametrize("name", ["int8", "int4", "int8_dynamic", "int4+int8_dynamic"])
def test_packed_weights_are_proven_and_answer_alike(
    checkpoint: Checkpoint, loaded: LoadedModel, batches: Batches, name: str
) -> None:
    packed = load(checkpoint, f"fp32+{name}")
    probe = probe_of(packed, batches[0])
    facts = find_optimization(f"fp32+{name}").proof(packed, probe)
    for part in name.split("+"):
        assert facts[part]["layers"] > 0
        assert facts[part]["linear_bytes"] < facts[part]["linear_bytes_before"] / 3
    assert packed.weights_bytes < loaded.weights_bytes
    reference = generate(loaded.model, batches[0], TOKENS)
    assert token_agreement(probe.run(), reference) > 0.5


def test_no_layer_that_fits_is_no_row(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Int4Linear, "fits", classmethod(lambda _kind, _linear: False))
    packed = load(checkpoint, "int4")
    with pytest.raises(NotApplied, match="int4 was asked for and no layer of this checkpoint could be stored in fewer"):
        find_optimization("int4").proof(packed, probe_of(packed, {}))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler calls what torch deprecates
def test_packed_layers_stand_in_compiled_code() -> None:
    """torch's real compiler on the two kinds of packed layer; a whole model takes it most of a minute."""
    torch.manual_seed(0)
    for kind in (Int4Linear, Int8DynamicLinear):
        layer = kind(nn.Linear(64, 64))
        inputs = torch.randn(3, 64)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.compile(layer, fullgraph=True)(inputs), layer(inputs), atol=2e-2, rtol=2e-2
            )
    torch.compiler.reset()


def test_layers_are_packed_one_by_one_each_freed_before_the_next() -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    linears = [weakref.ref(layer) for layer in model]
    alive = []

    class Watched(Int8Linear):
        def __init__(self, linear: nn.Linear) -> None:
            super().__init__(linear)
            alive.append(sum(layer() is not None for layer in linears))

    assert replace_linear(model, Watched) == ["0", "1", "2", "3"]
    assert alive == [4, 3, 2, 1]


def test_a_module_that_is_imported_again_finds_its_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "blip_fixtures.optimizations.linear"
    before = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(name, before)  # so that the package gets it back afterwards
    again = importlib.import_module(name)
    assert again is not before
    linear = nn.Linear(64, 64).to(torch.bfloat16)
    inputs = torch.ones(1, 64, dtype=torch.bfloat16)
    product = again.Int4Linear(linear)
    assert torch.equal(
        torch.ops.blip.int4_product(inputs, product.quantized, product.scales_and_zeros), product._product(inputs)
    )
