"""Compiled generation: the tokens of transformers, from graphs that neither break nor are compiled again."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.inference import generate
from blip_fixtures.families.compiling import CudaGraphCounts, DynamoCounts
from blip_fixtures.families.languages.t5.compiled import CompiledT5
from blip_fixtures.families.runner import Part
from blip_fixtures.optimizations import NotApplied, Probe, find_optimization
from blip_fixtures.optimizations.compile import token_agreement
from tests.unit.optimized import TOKENS, Batches, load, make_batches, probe_of


@pytest.fixture(scope="module")
def batches(checkpoint: Checkpoint, processor: Any) -> Batches:
    return make_batches(checkpoint, processor)


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiled by dynamo into graphs that run as they are: no code is written, which takes most of the time."""
    monkeypatch.setattr("blip_fixtures.families.compiling.BACKEND", "eager")
    yield
    torch.compiler.reset()


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
    assert facts["attention"]["language_decoder"] == "compiled loops"
    assert facts["inductor_options"] == {"cpp.min_chunk_size": 32768}
    assert facts["compile_s"] > 0
    assert [(str(note), note.scope) for note in find_optimization("fp32+compile").notes(facts)] == [
        (f"compiling took {facts['compile_s']:.1f} s before the first round and is not in it", "latency")
    ]


@pytest.mark.usefixtures("compiling")
def test_flash_attention_is_proven_in_compiled_graphs_too(checkpoint: Checkpoint, batches: Batches) -> None:
    name = "fp32+compile+flash_attention_2"
    loaded = load(checkpoint, name)
    probe = probe_of(loaded, batches[0])
    find_optimization(name).prepare(loaded, 200, probe)
    facts = find_optimization(name).proof(loaded, probe)
    assert facts["recompiles"] == 0
    assert facts["flash_attention_in"]
    codes = [note.code for note in find_optimization(name).notes(facts)]
    assert codes == ["compile_time", "flash_attention_is_default"]


@pytest.mark.usefixtures("compiling")
def test_parts_end_in_order_under_compile(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, _ = prepared(checkpoint, batches)
    parts: list[Part] = []
    with loaded.runner.parts_ended(parts.append):
        generate(loaded.runner, batches[0], NewTokens(TOKENS.limit, fixed=True))
    assert parts == ["vision", "qformer", *["step"] * TOKENS.limit]
    generate(loaded.runner, batches[0], TOKENS)
    assert len(parts) == 2 + TOKENS.limit


@pytest.mark.usefixtures("compiling")
def test_a_compiled_model_is_freed_before_the_next_is_loaded(checkpoint: Checkpoint, batches: Batches) -> None:
    alive: list[Any] = []

    def loading(checkpoint: Checkpoint, _device: str, name: str) -> LoadedModel:
        assert not any(reference() is not None for reference in alive)
        loaded = load(checkpoint, name)
        alive.append(weakref.ref(loaded.model.vision_model.embeddings.patch_embedding.weight))
        return loaded

    models = OneLiveModel(loading)
    loaded = models.get(checkpoint, "cpu", "fp32+compile")
    find_optimization("fp32+compile").prepare(loaded, 200, probe_of(loaded, batches[0]))
    del loaded
    models.get(checkpoint, "cpu", "fp32")
    assert models.loads == 2


@pytest.mark.usefixtures("compiling")
def test_a_graph_break_is_no_row(checkpoint: Checkpoint, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(runner: CompiledT5, pixels: Any, interpolate: bool) -> Any:
        torch._dynamo.graph_break()
        return runner._model.vision_model(pixels, interpolate_pos_encoding=interpolate).last_hidden_state

    # Private, because a model whose graphs break has to be made by hand: this family's break nowhere.
    monkeypatch.setattr(CompiledT5, "_vision_part", breaking)
    with pytest.raises(NotApplied, match="torch could not compile the model"):
        prepared(checkpoint, batches)


@pytest.mark.usefixtures("compiling")
def test_a_recompile_behind_the_first_call_is_no_row(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, probe = prepared(checkpoint, batches)
    # Another batch size has other shapes.
    generate(loaded.runner, {name: tensor[:1] for name, tensor in batches[0].items()}, TOKENS)
    with pytest.raises(
        NotApplied, match="graphs were compiled again after the first call, so rounds hold compile time"
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
    with pytest.raises(ValueError, match="compiled generation has no repetition penalty"):
        generate(loaded.runner, batches[0], TOKENS, penalty={"repetition_penalty": 1.5})


def test_counts_are_differences() -> None:
    assert DynamoCounts(7, 2).since(DynamoCounts(5, 2)) == DynamoCounts(2, 0)


def test_agreement_counts_missing_tokens() -> None:
    assert token_agreement(torch.tensor([[0, 5, 6]]), torch.tensor([[0, 5, 6]])) == 1
    assert token_agreement(torch.tensor([[0, 5, 6]]), torch.tensor([[0, 5]])) == 0.5


def node(*children: Any) -> Any:
    """A recording, and those that follow it."""
    return SimpleNamespace(children={number: [child] for number, child in enumerate(children)})


@pytest.fixture
def cudagraph_trees() -> Any:
    with warnings.catch_warnings():
        # torch 2.13's compiler calls what torch 2.13 deprecates.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
        return importlib.import_module("torch._inductor.cudagraph_trees")


def test_recorded_cuda_graphs_are_counted_from_torchs_trees(
    cudagraph_trees: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def manager(index: int, create_if_none_exists: bool = True) -> Any:
        asked.append((index, create_if_none_exists))
        return None if index == 0 else SimpleNamespace(roots={0: [node(), node(node(), node(node()))], 1: [node()]})

    monkeypatch.setattr(cudagraph_trees, "get_manager", manager)
    assert CudaGraphCounts.now(torch.device("cuda:1")).recorded == 6
    assert CudaGraphCounts.now(torch.device("cuda:0")).recorded == 0
    assert asked == [(1, False), (0, False)]


def test_torch_has_what_is_counted(cudagraph_trees: Any) -> None:
    """Of a build for the CPU too: no manager without a device, and nodes under these names."""
    assert CudaGraphCounts.now(torch.device("cuda:0")).recorded == 0
    source = Path(cudagraph_trees.__file__).read_text(encoding="utf-8")
    assert "self.roots: dict[FunctionID, list[CUDAGraphNode]]" in source
    assert "self.children: dict[FunctionID, list[CUDAGraphNode]]" in source


CUDA_GRAPHS = {
    "recorded once, then replayed": ([(0, 4), (1, 4), (1, 4)], None),
    "an earlier case of the process could not be recorded": ([(0, 7), (2, 7), (2, 7)], None),
    "none was recorded": ([(0, 0), (0, 0), (0, 0)], "CUDA graphs were asked for and none was recorded"),
    "skipped": ([(0, 4), (0, 5), (0, 5)], "torch could not record 1 compiled graphs as CUDA graphs"),
    "recorded, and another skipped": ([(0, 0), (1, 2), (1, 2)], "torch could not record 2 compiled graphs"),
    "skipped later": ([(0, 0), (1, 0), (1, 1)], "torch could not record 1 compiled graphs"),
    "recorded again in the rounds": ([(0, 0), (1, 0), (3, 0)], "2 CUDA graphs were recorded after the first calls"),
}


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("name", CUDA_GRAPHS)
def test_cuda_graphs_are_proven_by_a_difference_that_shows_a_recording(
    checkpoint: Checkpoint, batches: Batches, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    counts, complaint = CUDA_GRAPHS[name]
    readings = iter([*counts, counts[-1]])
    monkeypatch.setattr(CudaGraphCounts, "now", lambda _device: CudaGraphCounts(*next(readings)))
    loaded = load(checkpoint, "fp32+compile")
    runner = loaded.runner
    assert isinstance(runner, CompiledT5)
    probe = Probe(run=lambda: torch.zeros(1, 3), run_eager=lambda: torch.zeros(1, 3))
    runner._cuda = True  # a runner of a CUDA device whose calls are nothing
    runner.compiled_first = DynamoCounts(5, 0)
    runner.prepare(200, lambda: None)
    runner.compiled_first = DynamoCounts(5, 0)
    entry = find_optimization("compile").entries[0]
    on_cuda = dataclasses.replace(loaded, device="cuda:0")
    on_cuda.runner = runner
    if complaint is None:
        facts = entry.proof(on_cuda, probe)
        assert facts["cuda_graphs_recorded"] == counts[1][0]
        assert facts["cuda_graphs_skipped"] == 0
    else:
        with pytest.raises(NotApplied, match=complaint):
            entry.proof(on_cuda, probe)


@pytest.mark.usefixtures("compiling")
def test_a_step_changes_only_what_stays_in_its_place(
    checkpoint: Checkpoint, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch records no CUDA graph that changes an input of no fixed address."""
    addresses: list[Any] = []
    original = CompiledT5._buffers_for

    def noted(runner: Any, *args: Any) -> Any:
        buffers = original(runner, *args)
        for layer in buffers.cache.self_attention_cache.layers:
            addresses.extend([layer.keys, layer.values, layer.cumulative_length])
        return buffers

    monkeypatch.setattr(CompiledT5, "_buffers_for", noted)
    prepared(checkpoint, batches)
    assert addresses
    assert all(getattr(tensor, "_dynamo_static_input_type", None) for tensor in addresses)


def test_the_steps_options_are_its_own(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda part, **settings: seen.append((part.__name__, settings["options"])))
    runner = checkpoint.family.compiled_runner(load(checkpoint, "fp32").model, cuda=True)
    runner.step_options = {"max_autotune": True}
    runner._compile_parts()
    for _, options in seen:
        assert options.pop("guard_filter_fn") is torch.compiler.skip_guard_on_all_nn_modules_unsafe
    assert [options for name, options in seen if name != "_step_part"] == [{}] * 4
    assert seen[-1] == ("_step_part", {"max_autotune": True, "triton.cudagraphs": True})


@pytest.mark.usefixtures("compiling")
def test_a_layer_is_compiled_once_however_many_there_are(checkpoint: Checkpoint, batches: Batches) -> None:
    def calls_captured(layers: int) -> int:
        runner = deeper(checkpoint, layers)
        # What torch counts of its compiler; it has no public name.
        counters = importlib.import_module("torch._dynamo.utils").counters["stats"]
        before = counters["calls_captured"]
        runner.prepare(200, lambda: generate(runner, batches[0], TOKENS))
        expected = generate(runner._model, batches[0], TOKENS)
        assert torch.equal(generate(runner, batches[0], TOKENS), expected)
        runner.close()
        return int(counters["calls_captured"] - before)

    # Of the five kinds each layer more is a call of what is there, and buffers are copied; spelt out it would be 150.
    more_layers = 3
    assert calls_captured(3 + more_layers) - calls_captured(3) < 20 * more_layers


@pytest.mark.usefixtures("compiling")
def test_a_closed_runner_leaves_the_model_as_it_was(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, _ = prepared(checkpoint, batches)
    assert any("forward" in vars(module) for module in loaded.model.modules())
    loaded.runner.close()
    assert not any("forward" in vars(module) for module in loaded.model.modules())


def deeper(checkpoint: Checkpoint, layers: int) -> CompiledT5:
    """A random model like the checkpoint, with more layers in each part."""
    config = copy.deepcopy(dict(checkpoint.config))
    config["vision_config"]["num_hidden_layers"] = config["qformer_config"]["num_hidden_layers"] = layers
    config["text_config"] |= {"num_layers": layers, "num_decoder_layers": layers}
    torch.manual_seed(0)
    model = InstructBlipForConditionalGeneration(InstructBlipConfig(**config)).eval()
    runner = checkpoint.family.compiled_runner(model, cuda=False)
    assert isinstance(runner, CompiledT5)
    return runner


@pytest.mark.usefixtures("compiling")
def test_no_memory_for_the_uncompiled_call_costs_only_the_agreement(checkpoint: Checkpoint, batches: Batches) -> None:
    loaded, probe = prepared(checkpoint, batches)
    chosen = find_optimization("fp32+compile")

    def proof_where(error: Exception) -> dict[str, Any]:
        def run_eager() -> None:
            raise error

        return chosen.proof(loaded, dataclasses.replace(probe, run_eager=run_eager))

    facts = proof_where(torch.OutOfMemoryError("CUDA out of memory"))
    assert facts["token_agreement_with_uncompiled"] is None
    assert "agreement_out_of_memory" in [note.code for note in chosen.notes(facts)]
    with pytest.raises(RuntimeError, match="no such kernel"):
        proof_where(RuntimeError("no such kernel"))
