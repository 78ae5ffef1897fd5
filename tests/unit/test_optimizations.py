"""The registry: names and their combinations, what they need, and proof that they took effect."""

from __future__ import annotations

import shutil
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from blip_fixtures.acceleration import compiled, needs, quantized
from blip_fixtures.acceleration.compiled import CompiledRunner, DynamoCounts, token_agreement
from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel, load_model
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.inference import BatchMaker, generate, to_device
from blip_fixtures.optimizations import OPTIMIZATIONS, NotApplied, Probe, find_optimization
from blip_fixtures.options import NewTokens

TOKENS = NewTokens(6)
Batches = list[dict[str, Any]]


@pytest.fixture(scope="module")
def batches(checkpoint: Checkpoint, processor: Any) -> Batches:
    """Batches of two whose prompts differ in length."""
    maker = BatchMaker(processor, checkpoint.image_token_id, find_prompts("paper"))
    samples = load_samples("textvqa", "sample", 8)
    made = [maker.batch(samples, index, 2, 224, 200) for index in range(4)]
    assert len({batch.facts.padded_text_tokens for batch in made}) > 1
    return [to_device(batch, "cpu", torch.float32) for batch in made]


def load(checkpoint: Checkpoint, name: str) -> LoadedModel:
    """As a run does."""
    chosen = find_optimization(name)
    loaded = load_model(checkpoint, "cpu", name, chosen.dtype, chosen.attention("cpu"))
    chosen.apply(loaded)
    return loaded


def probe_of(loaded: LoadedModel, inputs: dict[str, Any]) -> Probe:
    given = {
        name: tensor.to(loaded.pixel_dtype) if name == "pixel_values" else tensor for name, tensor in inputs.items()
    }
    return Probe(
        run=lambda: generate(loaded.runner, given, TOKENS),
        run_eager=lambda: generate(loaded.model, given, TOKENS),
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("fp32", "float32"),
        ("compile", "float16"),
        ("int8", "bfloat16"),
        ("compile+int4", "bfloat16"),
        ("fp32+compile+int8", "float32"),
        ("compile+bf16", "bfloat16"),
        ("fp16+eager", "float16"),
    ],
)
def test_the_dtype_is_the_one_said_else_the_one_that_kernels_prefer(name: str, dtype: str) -> None:
    assert find_optimization(name).dtype == dtype


def test_parts_are_applied_in_the_order_of_the_registry() -> None:
    chosen = find_optimization("compile+int8_dynamic+int4+bf16")
    assert [entry.name for entry in chosen.entries] == ["bf16", "int4", "int8_dynamic", "compile"]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("fp8", "unknown optimization 'fp8'; the suite knows fp16, .* and combinations by +"),
        ("bf16+", "unknown optimization ''"),
        ("bf16+compile+bf16", "names a part twice; name it once"),
        ("fp16+bf16", "holds fp16 and bf16, which exclude each other; choose one"),
        ("eager+flash_attention_2", "holds eager and flash_attention_2, which exclude each other; choose one"),
    ],
)
def test_names_that_spell_no_optimization(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("+", r"\+")):
        find_optimization(name)


def test_a_missing_compiler_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = find_optimization("bf16+compile").why_unavailable("cpu")
    assert reason == (
        "compile needs a compiler and no-such-compiler is not on the PATH; install it, or name one in CXX"
    )
    assert find_optimization("bf16").why_unavailable("cpu") is None


def test_beams_are_a_reason() -> None:
    assert find_optimization("compile").why_unavailable("cpu", num_beams=3) == (
        "compile decodes greedily and the prompts ask for 3 beams; set num_beams = 1"
    )


def test_an_absent_torchao_is_a_reason_on_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name == "torchao" else object())
    assert find_optimization("int8").why_unavailable("cuda:0") == "int8 on CUDA needs the package torchao; install it"
    assert find_optimization("int8").why_unavailable("cpu") is None


def test_an_old_gpu_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    assert find_optimization("flash_attention_2").why_unavailable("cuda:0") == (
        "flash_attention_2 needs compute capability 8.0 and cuda:0 has 7.5"
    )


def test_integer_products_are_the_cpus() -> None:
    assert find_optimization("int8_dynamic").why_unavailable("cuda:0") == (
        "int8_dynamic multiplies integers with the CPU's kernels; choose int8 or int4 on CUDA"
    )


def test_torchao_is_told_the_layers_of_every_step(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    module: Any = types.ModuleType("torchao.quantization")
    module.Int8WeightOnlyConfig = lambda: "int8"
    module.Int4WeightOnlyConfig = lambda: "int4"

    def quantize(model: nn.Module, config: str, filter_fn: Any) -> None:
        assert config == "int4"
        asked.extend(path for path, part in model.named_modules() if filter_fn(part, path))

    module.quantize_ = quantize
    monkeypatch.setitem(sys.modules, "torchao", types.ModuleType("torchao"))
    monkeypatch.setitem(sys.modules, "torchao.quantization", module)
    layers = quantized.quantize_with_torchao(loaded.model, 4, quantized.read_for_every_token)
    assert asked == layers
    assert "language_model.decoder.block.0.layer.0.SelfAttention.q" in layers
    assert not [path for path in layers if "encoder" in path or path.endswith("EncDecAttention.k")]


KINDS = {
    quantized.Int8Linear: 0.02,
    quantized.Int8DynamicLinear: 0.02,
    quantized.Int4Linear: 0.12,
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
    blocked = quantized.BlockedLinear(linear)
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
    assert load(checkpoint, "fp16+compile").applied["compile"] == {"blocked_layers": 0}
    # The head is the embedding's matrix in this checkpoint; blocked, it is a matrix of its own.
    tied = blocked.model.get_input_embeddings().weight.nbytes
    assert blocked.weights_bytes == load(checkpoint, "bf16").weights_bytes + tied


def test_more_bits_are_nearer() -> None:
    torch.manual_seed(0)
    linear, inputs = nn.Linear(256, 256), torch.randn(4, 256)
    with torch.no_grad():
        expected = linear(inputs)
        errors = [
            float((kind(linear)(inputs) - expected).norm()) for kind in (quantized.Int8Linear, quantized.Int4Linear)
        ]
    assert 0 < errors[0] < errors[1]


def test_int4_takes_whole_groups_alone() -> None:
    assert quantized.Int4Linear.fits(nn.Linear(128, 64))
    assert not quantized.Int4Linear.fits(nn.Linear(100, 64))
    assert not quantized.Int4Linear.fits(nn.Linear(128, 100))


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
    monkeypatch.setattr(quantized.Int4Linear, "fits", classmethod(lambda _kind, _linear: False))
    packed = load(checkpoint, "int4")
    with pytest.raises(NotApplied, match="int4 was asked for and no layer of this checkpoint could be stored in fewer"):
        find_optimization("int4").proof(packed, probe_of(packed, {}))


def test_flash_attention_is_seen_by_the_profiler(checkpoint: Checkpoint, batches: Batches) -> None:
    flash = load(checkpoint, "fp32+flash_attention_2")
    facts = find_optimization("fp32+flash_attention_2").proof(flash, probe_of(flash, batches[0]))
    assert facts["flash_attention_in"] == ["vision", "qformer", "language_encoder", "language_decoder"]
    assert facts["same_kernel_as_default"] is True
    # In each step each layer of the decoder attends to itself and to the prompt.
    steps = generate(flash.runner, batches[0], TOKENS).shape[1] - 1
    layers = flash.model.config.text_config.num_decoder_layers
    assert facts["attention_kernels"]["language_decoder"] == {
        "aten::_scaled_dot_product_flash_attention_for_cpu": 2 * steps * layers
    }


def test_a_kernel_that_did_not_run_is_no_row(checkpoint: Checkpoint, batches: Batches) -> None:
    eager = load(checkpoint, "fp32+eager")
    with pytest.raises(NotApplied, match="no flash attention kernel ran; the profiler saw no attention kernel at all"):
        OPTIMIZATIONS["flash_attention_2"].proof(eager, probe_of(eager, batches[0]))


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_every_component_reports_its_attention(checkpoint: Checkpoint, batches: Batches, name: str) -> None:
    loaded = load(checkpoint, name)
    facts = find_optimization(name).proof(loaded, probe_of(loaded, batches[0]))
    assert set(facts["attention"].values()) == {name}
    with pytest.raises(NotApplied, match="attention was asked for and the components report"):
        OPTIMIZATIONS["sdpa" if name == "eager" else "eager"].proof(loaded, probe_of(loaded, batches[0]))


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiled by dynamo into graphs that run as they are: no code is written, which takes most of the time."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    yield
    torch._dynamo.reset()


def prepared(checkpoint: Checkpoint, batches: Batches) -> tuple[LoadedModel, Probe]:
    loaded = load(checkpoint, "fp32+compile")
    probe = probe_of(loaded, batches[0])
    find_optimization("fp32+compile").prepare(loaded, 200, probe)
    return loaded, probe


@pytest.mark.usefixtures("compiling")
def test_compiled_generation_takes_the_tokens_of_transformers_without_a_recompile(
    checkpoint: Checkpoint, batches: Batches
) -> None:
    loaded, probe = prepared(checkpoint, batches)
    for inputs in batches:
        expected = generate(loaded.model, inputs, TOKENS)
        assert torch.equal(generate(loaded.runner, inputs, TOKENS), expected)
    fixed = NewTokens(TOKENS.limit, fixed=True)
    assert torch.equal(generate(loaded.runner, batches[1], fixed), generate(loaded.model, batches[1], fixed))
    facts = find_optimization("fp32+compile").proof(loaded, probe)
    assert (facts["compiled_graphs"], facts["graph_breaks"], facts["recompiles"]) == (5, 0, 0)
    assert facts["token_agreement_with_uncompiled"] == 1
    assert facts["compile_s"] > 0


@pytest.mark.usefixtures("compiling")
def test_flash_attention_is_proven_in_compiled_graphs_too(checkpoint: Checkpoint, batches: Batches) -> None:
    name = "fp32+compile+flash_attention_2"
    loaded = load(checkpoint, name)
    probe = probe_of(loaded, batches[0])
    find_optimization(name).prepare(loaded, 200, probe)
    facts = find_optimization(name).proof(loaded, probe)
    assert facts["recompiles"] == 0
    assert facts["flash_attention_in"]


@pytest.mark.usefixtures("compiling")
def test_parts_end_in_order_under_compile(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, _ = prepared(checkpoint, batches)
    parts: list[str] = []
    with loaded.runner.parts_ended(parts.append):
        generate(loaded.runner, batches[0], NewTokens(TOKENS.limit, fixed=True))
    assert parts == ["vision", "qformer", *["step"] * TOKENS.limit]
    generate(loaded.runner, batches[0], TOKENS)
    assert len(parts) == 2 + TOKENS.limit


@pytest.mark.usefixtures("compiling")
def test_a_compiled_model_is_freed_before_the_next_is_loaded(checkpoint: Checkpoint, batches: Batches) -> None:
    alive: list[Any] = []

    def loading(_device: str, name: str) -> LoadedModel:
        assert not any(reference() is not None for reference in alive)
        loaded = load(checkpoint, name)
        alive.append(weakref.ref(loaded.model.vision_model.embeddings.patch_embedding.weight))
        return loaded

    models = OneLiveModel(loading)
    loaded = models.get("cpu", "fp32+compile")
    find_optimization("fp32+compile").prepare(loaded, 200, probe_of(loaded, batches[0]))
    del loaded
    models.get("cpu", "fp32")
    assert models.loads == 2


@pytest.mark.usefixtures("compiling")
def test_a_graph_break_is_no_row(checkpoint: Checkpoint, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(runner: CompiledRunner, pixels: Any, interpolate: bool) -> Any:
        torch._dynamo.graph_break()
        return runner._model.vision_model(pixels, interpolate_pos_encoding=interpolate).last_hidden_state

    monkeypatch.setattr(CompiledRunner, "_vision_part", breaking)
    with pytest.raises(NotApplied, match="torch could not compile the model"):
        prepared(checkpoint, batches)


@pytest.mark.usefixtures("compiling")
def test_a_recompile_behind_the_first_call_is_no_row(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, probe = prepared(checkpoint, batches)
    # Another batch size has other shapes.
    generate(loaded.runner, {name: tensor[:1] for name, tensor in batches[0].items()}, TOKENS)
    with pytest.raises(
        NotApplied, match="graphs were compiled anew behind the first call, so rounds hold compile time"
    ):
        find_optimization("fp32+compile").proof(loaded, probe)


@pytest.mark.usefixtures("compiling")
def test_a_compiler_that_is_switched_off_is_no_row(checkpoint: Checkpoint, batches: Batches) -> None:
    with (
        torch._dynamo.config.patch(disable=True),
        pytest.raises(NotApplied, match="torch's compiler is switched off; unset TORCHDYNAMO_DISABLE"),
    ):
        prepared(checkpoint, batches)


@pytest.mark.usefixtures("compiling")
def test_compiled_generation_refuses_what_it_would_ignore(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, _ = prepared(checkpoint, batches)
    with pytest.raises(ValueError, match="compiled generation is greedy"):
        generate(loaded.runner, batches[0], TOKENS, num_beams=1 + 1)


def test_counts_are_differences() -> None:
    assert DynamoCounts(7, 2).since(DynamoCounts(5, 2)) == DynamoCounts(2, 0)


def test_agreement_counts_missing_tokens() -> None:
    assert token_agreement(torch.tensor([[0, 5, 6]]), torch.tensor([[0, 5, 6]])) == 1
    assert token_agreement(torch.tensor([[0, 5, 6]]), torch.tensor([[0, 5]])) == 0.5


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler calls what torch deprecates
def test_packed_layers_stand_in_compiled_code() -> None:
    """torch's real compiler on the two kinds of packed layer; a whole model takes it most of a minute."""
    torch.manual_seed(0)
    for kind in (quantized.Int4Linear, quantized.Int8DynamicLinear):
        layer = kind(nn.Linear(64, 64))
        inputs = torch.randn(3, 64)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.compile(layer, fullgraph=True)(inputs), layer(inputs), atol=2e-2, rtol=2e-2
            )
    torch._dynamo.reset()


def test_layers_are_packed_one_by_one_each_freed_before_the_next() -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    linears = [weakref.ref(layer) for layer in model]
    alive = []

    class Watched(quantized.Int8Linear):
        def __init__(self, linear: nn.Linear) -> None:
            super().__init__(linear)
            alive.append(sum(layer() is not None for layer in linears))

    assert quantized.replace_linear(model, Watched) == ["0", "1", "2", "3"]
    assert alive == [4, 3, 2, 1]
