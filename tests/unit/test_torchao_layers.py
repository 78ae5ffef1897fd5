"""Packed layers on CUDA: which ones, what torchao is told, and that nothing else in the process changes."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.optimizations import NotApplied, Probe, find_optimization, register
from blip_fixtures.optimizations.entry import Entry
from blip_fixtures.optimizations.packed import inductor_options
from blip_fixtures.optimizations.process_wide import changed, process_wide_settings
from blip_fixtures.optimizations.torchao_layers import layers_to_quantize, quantize_with_torchao
from tests.unit.optimized import load


def on_meta(inputs: int, outputs: int = 2048, dtype: torch.dtype = torch.bfloat16) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False, device="meta", dtype=dtype)


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The current device of a machine with several, as `torch.cuda.device` sets it."""
    devices = ["cuda:0"]

    @contextlib.contextmanager
    def device(name: str) -> Iterator[None]:
        devices.append(name)
        yield
        devices.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device=None: (8, 0) if devices[1:] else (7, 0))
    return devices


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, current: list[str]) -> list[Any]:
    """A stand-in for torchao that notes what it is told."""
    told: list[Any] = []
    module: Any = types.ModuleType("torchao.quantization")
    module.Int8WeightOnlyConfig = lambda **settings: ("int8", settings)
    module.Int4WeightOnlyConfig = lambda **settings: ("int4", settings)

    def quantize(model: nn.Module, config: Any, filter_fn: Any) -> None:
        paths = [path for path, part in model.named_modules() if filter_fn(part, path)]
        told.extend([config, paths, current[-1]])

    module.quantize_ = quantize
    monkeypatch.setitem(sys.modules, "torchao", types.ModuleType("torchao"))
    monkeypatch.setitem(sys.modules, "torchao.quantization", module)
    return told


def test_torchao_is_told_everything_and_on_which_device(told: list[Any]) -> None:
    model = nn.Sequential(on_meta(2048), on_meta(5120), on_meta(100))
    assert quantize_with_torchao(model, 4, lambda _path: True, "cuda:1") == ["0", "1"]
    settings = {"group_size": 64, "int4_packing_format": "tile_packed_to_4d", "set_inductor_config": False}
    assert told == [("int4", settings), ["0", "1"], "cuda:1"]
    told.clear()
    assert quantize_with_torchao(model, 8, lambda path: path != "0", "cuda:1") == ["1", "2"]
    assert told == [("int8", {"set_inductor_config": False}), ["1", "2"], "cuda:1"]


def test_torchao_is_told_the_layers_of_every_step(loaded: LoadedModel, told: list[Any]) -> None:
    layers = quantize_with_torchao(loaded.model, 8, loaded.family.read_for_every_token, "cuda:0")
    assert told[1] == layers
    assert "language_model.decoder.block.0.layer.0.SelfAttention.q" in layers
    assert not [path for path in layers if "encoder" in path or path.endswith("EncDecAttention.k")]


@pytest.mark.parametrize(
    ("linear", "fits"),
    [
        (on_meta(2048), True),
        (on_meta(5120), True),
        (on_meta(11008), True),  # padded by two in a hundred
        (on_meta(2048, 32128), True),
        (on_meta(320), True),  # padded, and still smaller: 576 bytes of 640
        (on_meta(256), False),  # padded to more bytes than it had
        (on_meta(128), False),
        (on_meta(2000), False),  # no whole groups
        (on_meta(2048, dtype=torch.float32), False),
        (on_meta(2048, dtype=torch.float16), False),
    ],
)
def test_which_layers_int4_takes(linear: nn.Linear, fits: bool) -> None:
    assert (layers_to_quantize(nn.Sequential(linear), 4, lambda _path: True) == ["0"]) == fits
    assert layers_to_quantize(nn.Sequential(linear), 8, lambda _path: True) == ["0"]


def test_a_checkpoint_too_small_for_int4_is_refused_before_it_is_loaded(checkpoint: Checkpoint) -> None:
    # Of the packaged one the widest layers just fit.
    assert find_optimization("int4").why_unfit("cuda:0", checkpoint) is None
    config = {**checkpoint.config, "text_config": {**checkpoint.config["text_config"], "d_ff": 256}}
    checkpoint = dataclasses.replace(checkpoint, config=config)
    for name in ("int4", "bf16+compile+int4"):
        reason = find_optimization(name).why_unfit("cuda:0", checkpoint)
        assert reason is not None
        assert str(reason).startswith("int4 on CUDA would store no layer of instructblip-tiny in fewer bytes")
        assert find_optimization(name).why_unfit("cpu", checkpoint) is None
    assert find_optimization("bf16+compile+int8").why_unfit("cuda:0", checkpoint) is None


@pytest.mark.parametrize("bits", [4, 8])
def test_the_real_torchao_takes_these_settings_and_changes_nothing_else(bits: int, current: list[str]) -> None:
    torchao = pytest.importorskip("torchao.quantization")
    before = process_wide_settings("cuda:0")
    model = nn.Sequential(on_meta(2048, 512), on_meta(512, 2052))
    # Shapes alone: a build of torch for the CPU slices nothing on ``cuda:0``, not even in fake mode.
    with torch.no_grad():
        assert quantize_with_torchao(model, bits, lambda _path: True, "cuda:1") == ["0", "1"]
        if bits == 8:  # torch's own int4 product takes no meta tensor
            outputs = model(torch.empty(3, 1, 2048, dtype=torch.bfloat16, device="meta"))
            assert tuple(outputs.shape) == (3, 1, 2052)
    kind = torchao.Int4TilePackedTo4dTensor if bits == 4 else torchao.Int8Tensor
    weights: list[Any] = [layer.weight for layer in model]
    assert all(isinstance(weight, kind) for weight in weights)
    if bits == 4:
        # What `_fits_int4` counts on: inputs padded to 1024, outputs to 8.
        inner = [(weight.qdata.nbytes, weight.scale_and_zero.nbytes) for weight in weights]
        assert inner == [(512 * 1024, 512 * 32 * 4), (2056 * 512, 2056 * 16 * 4)]
    assert changed(before, "cuda:0") == {}


NO_PROBE = Probe(run=lambda: None, run_eager=lambda: None)
SETTINGS = {
    "torch._inductor.config.coordinate_descent_tuning": True,
    "torch._inductor.config.triton.unique_kernel_names": "changed",
    "torch.backends.cuda.matmul.fp32_precision": "tf32",
    "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction": False,
}


@pytest.mark.parametrize("path", SETTINGS)
def test_a_row_that_changes_the_process_is_no_row(
    path: str, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config

    owner, _, name = path.rpartition(".")
    part: Any = torch
    for word in owner.split(".")[1:]:
        part = getattr(part, word)
    before = getattr(part, name)
    greedy = Entry(
        "greedy_library",
        apply=lambda _loaded: setattr(part, name, SETTINGS[path]),
        proof=lambda *_: {"greedy": True},
    )
    take_out = register(greedy)
    try:
        loaded = load(checkpoint, "fp32+greedy_library")
        with pytest.raises(NotApplied, match=f"greedy_library changed torch's .*{name} from .* for the whole process"):
            find_optimization("fp32+greedy_library").proof(loaded, NO_PROBE)
    finally:
        setattr(part, name, before)
        take_out()
    find_optimization("fp32").proof(load(checkpoint, "fp32"), NO_PROBE)


def test_int8_is_compiled_with_settings_of_its_own(loaded: LoadedModel) -> None:
    on_cuda = dataclasses.replace(loaded, device="cuda:0", applied={"int8": {}})
    assert inductor_options(on_cuda) == {"max_autotune": True, "coordinate_descent_tuning": True}
    assert inductor_options(dataclasses.replace(on_cuda, applied={"int4": {}})) == {}
    assert inductor_options(dataclasses.replace(on_cuda, device="cpu")) == {}
    with warnings.catch_warnings():
        # torch 2.13's compiler calls what torch 2.13 deprecates.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        torch.compile(lambda given: given, options=inductor_options(on_cuda))  # refuses unknown names


@pytest.mark.parametrize("compiled", [True, False])
def test_uncompiled_int8_says_what_it_does_on_cuda(loaded: LoadedModel, compiled: bool) -> None:
    entry = find_optimization("int8").entries[0]
    packed = {"layers": 3, "linear_bytes_before": 10, "linear_bytes": 5}
    applied = {"int8": packed, **({"compile": {}} if compiled else {})}
    facts = entry.proof(dataclasses.replace(loaded, device="cuda:0", applied=applied), NO_PROBE)
    assert facts["int8"]["weights_cast_for_each_product"] is not compiled
    assert [note.code for note in entry.notes(facts)] == ([] if compiled else ["int8_cast_for_each_product"])
    on_cpu = entry.proof(dataclasses.replace(loaded, applied=applied), NO_PROBE)
    assert on_cpu == {"int8": packed}
    assert entry.notes(on_cpu) == []
