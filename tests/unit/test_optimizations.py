"""The registry: names and their combinations, what they need, and what comes in from outside."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import Prompt
from blip_fixtures.engine.inference import generate
from blip_fixtures.engine.passes.attention import AttentionPass
from blip_fixtures.engine.passes.base import Found
from blip_fixtures.families.compiling import CudaGraphCounts
from blip_fixtures.optimizations import (
    OPTIMIZATIONS,
    Entry,
    NotApplied,
    Probe,
    find_optimization,
    kernels,
    optimization_label,
    register,
)
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Component, Decoding
from tests.unit.optimized import TOKENS, Batches, load, make_batches, probe_of


@pytest.fixture(scope="module")
def batches(checkpoint: Checkpoint, processor: Any) -> Batches:
    return make_batches(checkpoint, processor)


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
        (
            "bf16+Compil",
            "unknown optimization 'Compil'; .*, compile, and combinations by +; did you mean compile?",
        ),
        ("bf16+compile+bf16", "names a part twice; name it once"),
        ("fp16+bf16", "holds fp16 and bf16, which exclude each other; choose one"),
        ("eager+flash_attention_2", "holds eager and flash_attention_2, which exclude each other; choose one"),
    ],
)
def test_names_that_spell_no_optimization(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("+", r"\+").replace("?", r"\?")):
        find_optimization(name)


def test_a_missing_compiler_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = find_optimization("bf16+compile").why_unavailable("cpu")
    assert reason == Reason.of("no_compiler", command="no-such-compiler", variable="CXX")
    assert str(reason) == (
        "compile needs a compiler and no-such-compiler is not on the PATH; install it, or name one in CXX"
    )
    assert find_optimization("bf16").why_unavailable("cpu") is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"num_beams": 3},
            "compile decodes greedily and the prompts ask for 3 beams; choose another optimization, or "
            "prompts with num_beams = 1",
        ),
        (
            {"repetition_penalty": 1.5},
            "compile decodes without a repetition penalty and the prompts ask for 1.5; choose another optimization, or "
            "prompts with repetition_penalty = 1",
        ),
        (
            {"decoding": Decoding.RANK},
            "compile decodes greedily and the prompts let the model rank the options; choose another optimization",
        ),
    ],
)
@pytest.mark.parametrize("name", ["compile", "bf16+compile+int8"])
def test_what_is_not_greedy_is_a_reason(name: str, settings: dict[str, Any], said: str) -> None:
    protocol = Prompt(("{question}",), **settings)
    assert str(find_optimization(name).why_unavailable("cpu", protocol=protocol)) == said
    assert find_optimization("fp32").why_unavailable("cpu", protocol=protocol) is None


def test_integer_products_are_the_cpus() -> None:
    assert str(find_optimization("int8_dynamic").why_unavailable("cuda:0")) == (
        "int8_dynamic multiplies integers with the CPU's kernels; choose int8 or int4 on CUDA"
    )


def test_flash_attention_is_seen_by_the_profiler(checkpoint: Checkpoint, batches: Batches) -> None:
    flash, chosen = load(checkpoint, "fp32+flash_attention_2"), find_optimization("fp32+flash_attention_2")
    facts = chosen.proof(flash, probe_of(flash, batches[0]))
    assert facts["flash_attention_in"] == ["vision", "qformer", "language_encoder", "language_decoder"]
    assert facts["same_kernel_as_default"] is True
    # In each step each layer of the decoder attends to itself and to the prompt.
    steps = generate(flash.runner, batches[0], TOKENS).shape[1] - 1
    layers = flash.model.config.text_config.num_decoder_layers
    assert facts["attention_kernels"]["language_decoder"] == {
        "aten::_scaled_dot_product_flash_attention_for_cpu": 2 * steps * layers
    }
    (note,) = chosen.notes(facts)
    assert note.scope == "latency"
    assert str(note) == (
        "flash attention ran in vision, qformer, language_encoder, language_decoder; "
        "the default attention of this device runs the same kernels"
    )
    # As on a GPU, where the default attention may choose other kernels.
    (note,) = chosen.notes({name: fact for name, fact in facts.items() if name != "same_kernel_as_default"})
    assert str(note) == "flash attention ran in vision, qformer, language_encoder, language_decoder"


def test_a_kernel_that_did_not_run_is_no_row(checkpoint: Checkpoint, batches: Batches) -> None:
    eager = load(checkpoint, "fp32+eager")
    with pytest.raises(NotApplied, match="no flash attention kernel ran; the profiler saw no attention kernel at all"):
        OPTIMIZATIONS["flash_attention_2"].proof(eager, probe_of(eager, batches[0]))


DEFAULTS = {
    "the same kernel": ("aten::_scaled_dot_product_flash_attention", True),
    "cuDNN, as from Hopper on": ("aten::_scaled_dot_product_cudnn_attention", False),
    "without a kernel of its own": ("aten::_scaled_dot_product_attention_math", False),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_kernel_of_a_gpu_is_seen_unforced(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A kernel runs as the vision encoder is when it is called: forced, and then as torch chooses."""
    default, same = DEFAULTS[name]
    flash = "aten::_scaled_dot_product_flash_attention"
    on_gpu = dataclasses.replace(loaded, device="cuda:0")
    vision = on_gpu.components[Component.VISION]

    def profiled(components: Any, run: Any) -> Any:
        kernel = flash if "forward" in vars(vision) else default
        return {"vision": {kernel: 3}, "language_encoder": {"aten::_scaled_dot_product_efficient_attention": 2}}

    monkeypatch.setattr(kernels, "kernels_by_component", profiled)
    entry = OPTIMIZATIONS["flash_attention_2"]
    entry.apply(on_gpu)
    forced = vars(vision)["forward"]
    try:
        facts = entry.proof(on_gpu, Probe(run=lambda: None, run_eager=lambda: None))
        assert vars(vision)["forward"] is forced
    finally:
        del vision.forward
    assert facts["same_kernel_as_default"] is same
    assert facts["default_attention_kernels"] == {default: 3}
    assert facts["flash_attention_in"] == ["vision"]
    (note,) = entry.notes(facts)
    assert note.code == ("flash_attention_is_default" if same else "flash_attention_ran")


def test_the_package_is_no_kernel_of_torch(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = dataclasses.replace(loaded, device="cuda:0")
    config = on_gpu.components[Component.VISION].config

    def profiled(components: Any, run: Any) -> Any:
        package = config._attn_implementation == "flash_attention_2"
        return {"vision": {"flash_attn::_flash_attn_forward" if package else DEFAULTS["the same kernel"][0]: 3}}

    monkeypatch.setattr(kernels, "kernels_by_component", profiled)
    monkeypatch.setattr(config, "_attn_implementation_internal", "flash_attention_2")
    facts = OPTIMIZATIONS["flash_attention_2"].proof(on_gpu, Probe(run=lambda: None, run_eager=lambda: None))
    assert facts["same_kernel_as_default"] is False
    assert config._attn_implementation == "flash_attention_2"


def test_a_gpus_attention_kernels_are_in_every_record(
    checkpoint: Checkpoint, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = load(checkpoint, "fp32")
    chosen = find_optimization("fp32")

    def facts_on(device: str) -> dict[str, Any]:
        loaded = dataclasses.replace(on_cpu, device=device)
        workload = SimpleNamespace(loaded=loaded, probe=probe_of(on_cpu, batches[0]))
        context: Any = SimpleNamespace(workload=workload, found=Found())
        AttentionPass().run(context)
        return {**context.found.applied, **chosen.proof(loaded, workload.probe)}

    on_the_cpu = facts_on("cpu")
    assert not {"attention_kernels", "attention_backends"} & set(on_the_cpu)
    assert chosen.notes(on_the_cpu) == []
    facts = facts_on("cuda:0")
    assert facts["attention_kernels"]["vision"]
    assert facts["attention_backends"]["vision"] == ["flash"]
    (note,) = chosen.notes(facts)
    assert (note.code, note.scope) == ("attention_backends", "latency")
    assert str(note).startswith("attention ran on the backends vision: flash")


@pytest.mark.parametrize(("recorded", "said"), [(2, True), (0, False), (None, False)])
def test_kernels_within_a_cuda_graph_are_told_to_be_unseen(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, recorded: int | None, said: bool
) -> None:
    on_gpu = dataclasses.replace(loaded, device="cuda:0")
    if recorded is not None:
        on_gpu.runner = loaded.family.compiled_runner(loaded.model, cuda=True)
        on_gpu.runner.cuda_graphs_first = CudaGraphCounts(recorded=recorded)
    found = {"compiled graphs": {"aten::_scaled_dot_product_efficient_attention": 4}}
    monkeypatch.setattr(kernels, "kernels_by_component", lambda _components, _run: found)
    workload = SimpleNamespace(loaded=on_gpu, probe=Probe(run=lambda: None, run_eager=lambda: None))
    context: Any = SimpleNamespace(workload=workload, found=Found())
    AttentionPass().run(context)
    assert context.found.applied["attention_kernels"] == found
    missing = {path: reason.code for path, reason in context.found.missing.items()}
    assert missing == ({"applied.attention_kernels.language_decoder": "step_replayed"} if said else {})


def test_every_kernel_that_torch_may_choose_has_its_backend() -> None:
    """By the names of torch's own operators: those of other hardware, and of training, are none."""
    other = r"_backward|_for_mps|_overrideable|\.quantized"
    own = {
        name
        for name in torch._C._dispatch_get_all_op_names()  # torch has no public list of its operators
        if name.startswith("aten::_scaled_dot_product_") and not re.search(f"({other})$", name)
    }
    assert {name for name in kernels.BACKENDS if name.startswith("aten::")} == own


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_every_component_reports_its_attention(checkpoint: Checkpoint, batches: Batches, name: str) -> None:
    loaded = load(checkpoint, name)
    facts = find_optimization(name).proof(loaded, probe_of(loaded, batches[0]))
    assert set(facts["attention"].values()) == {name}
    with pytest.raises(NotApplied, match="attention was asked for and the components report"):
        OPTIMIZATIONS["sdpa" if name == "eager" else "eager"].proof(loaded, probe_of(loaded, batches[0]))


def test_flash_attention_of_the_package_is_for_the_vision_encoder_of_a_gpu(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = find_optimization("flash_attention_2")
    sdpa = dict.fromkeys(checkpoint.family.attention_parts, "sdpa")
    # transformers', not whether a package of that name is installed: it may be another, or too old.
    monkeypatch.setattr("transformers.utils.import_utils.is_flash_attn_2_available", lambda: True)
    assert chosen.attention("cpu", checkpoint.family) == sdpa
    assert chosen.attention("cuda:0", checkpoint.family) == {**sdpa, "vision_config": "flash_attention_2"}
    monkeypatch.setattr("transformers.utils.import_utils.is_flash_attn_2_available", lambda: False)
    assert chosen.attention("cuda:0", checkpoint.family) == sdpa
    assert find_optimization("bf16").attention("cpu", checkpoint.family) is None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("compile", "Compile"),
        ("flash_attention_2", "Flash Attention 2"),
        ("bf16+compile+int8", "bf16+Compile+int8"),
        ("pruned+compile", "pruned+Compile"),
        ("", ""),
    ],
)
def test_labels(name: str, label: str) -> None:
    assert optimization_label(name) == label


def test_the_registry_loads_no_torch() -> None:
    """Documents take labels from it, and are written where there is none."""
    heavy = ("torch", "transformers", "numpy", "datasets")
    code = f"import sys, blip_fixtures.optimizations; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_entry_that_nothing_proves_is_refused() -> None:
    with pytest.raises(ValueError, match="the optimization 'hoped' has no proof that it took effect; give it a proof"):
        register(Entry("hoped"))
    with pytest.raises(ValueError, match="has no proof"):
        register(Entry("hoped", dtype="float32", apply=lambda _loaded: None))
    assert all(entry.is_proven for entry in OPTIMIZATIONS.values())


@pytest.mark.parametrize(
    ("name", "before", "complaint"),
    [
        ("int8", None, "there is an optimization 'int8' already; choose another name"),
        ("int8+pruned", None, "cannot be called 'int8\\+pruned'; give it a name without \\+"),
        ("", None, "cannot be called ''"),
        ("pruned", "compiled", "unknown optimization 'compiled'; .*; did you mean compile"),
    ],
)
def test_entries_that_cannot_be_registered(name: str, before: str | None, complaint: str) -> None:
    known = list(OPTIMIZATIONS)
    with pytest.raises(ValueError, match=complaint):
        register(Entry(name, dtype="float32"), before=before)
    assert list(OPTIMIZATIONS) == known
