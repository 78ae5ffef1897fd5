"""``compile``: every part of the model a compiled graph, decoding over a static cache."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.attention import attention_of
from blip_fixtures.optimizations.entry import Entry, NotApplied, unless_out_of_memory
from blip_fixtures.optimizations.needs import VOLTA, no_bf16, no_python_headers, too_old
from blip_fixtures.optimizations.packed import inductor_options
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.families.compiling import CompiledRunner
    from blip_fixtures.optimizations.entry import Probe


def _why_unavailable(device: str) -> Reason | None:
    """Torch's compiler writes C++ for the CPU, and triton's kernels with a C launcher for CUDA."""
    variable, default = ("CXX", "g++") if device == "cpu" else ("CC", "gcc")
    command = os.environ.get(variable) or default
    if shutil.which(command) is None:
        return Reason.of("no_compiler", command=command, variable=variable)
    if device != "cpu" and find_spec("triton") is None:
        return Reason.of("no_triton")
    return no_python_headers("compile") or (None if device == "cpu" else too_old(device, VOLTA, "compile"))


def _why_not_in(device: str, dtype: str) -> Reason | None:
    """Torch compiles no bf16 for a GPU that only emulates it."""
    return no_bf16(device, "compile") if device != "cpu" and dtype == "bfloat16" else None


def _apply(loaded: LoadedModel) -> None:
    from blip_fixtures.optimizations.linear import BlockedLinear, replace_linear

    on_cpu = loaded.device == "cpu"
    blocked = len(replace_linear(loaded.model, BlockedLinear)) if on_cpu else 0
    loaded.applied["compile"] = {"blocked_layers": blocked}
    loaded.runner = loaded.family.compiled_runner(loaded.model, cuda=loaded.device != "cpu")
    loaded.runner.step_options |= inductor_options(loaded)


def _prepare(loaded: LoadedModel, text_limit: int, probe: Probe) -> None:
    from blip_fixtures.families.compiling import CompiledRunner, CompileError

    assert isinstance(loaded.runner, CompiledRunner)
    try:
        loaded.runner.prepare(text_limit, probe.run)
    except CompileError as error:
        raise NotApplied(str(error)) from error


def _proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.families.compiling import CompiledRunner

    assert isinstance(loaded.runner, CompiledRunner)
    first, later = loaded.runner.compiled_first, loaded.runner.compiled_later
    if not first.graphs:
        raise NotApplied("compile was asked for and torch compiled no graph")
    if first.graph_breaks or later.graph_breaks:
        raise NotApplied(f"the compiled graphs broke {first.graph_breaks + later.graph_breaks} times")
    if later.graphs:
        raise NotApplied(f"{later.graphs} graphs were compiled again after the first call, so rounds hold compile time")
    return {
        **(_on_cpu(loaded) if loaded.device == "cpu" else _cuda_graphs(loaded.runner)),
        "inductor_options": dict(loaded.runner.step_options),
        "compiled_graphs": first.graphs,
        "graph_breaks": 0,
        "recompiles": 0,
        "compile_s": loaded.runner.compile_s,
        "token_agreement_with_uncompiled": unless_out_of_memory(
            lambda: token_agreement(probe.run(), probe.run_eager())
        ),
    }


def _on_cpu(loaded: LoadedModel) -> dict[str, Any]:
    """Whatever attention the configuration names: in a decoder step it is spelt out for the compiler."""
    attention = {**attention_of(loaded), Component.LANGUAGE_DECODER.value: "compiled loops"}
    return {**loaded.applied["compile"], "attention": attention}


def _cuda_graphs(runner: CompiledRunner) -> dict[str, Any]:
    """How many CUDA graphs this case recorded. Raises `NotApplied` unless rounds only replay them."""
    first, later = runner.cuda_graphs_first, runner.cuda_graphs_later
    if first.skipped or later.skipped:
        raise NotApplied(f"torch could not record {first.skipped + later.skipped} compiled graphs as CUDA graphs")
    if not first.recorded:
        raise NotApplied("CUDA graphs were asked for and none was recorded")
    if later.recorded:
        raise NotApplied(f"{later.recorded} CUDA graphs were recorded after the first calls, so rounds hold recording")
    return {"cuda_graphs_recorded": first.recorded, "cuda_graphs_skipped": 0}


def token_agreement(tokens: Any, others: Any) -> float:
    """The share of equal tokens of two results (batch, 1 + tokens), the shorter one padded."""
    from torch.nn.functional import pad

    length = max(tokens.shape[1], others.shape[1])
    first, second = (pad(one, (0, length - one.shape[1])) for one in (tokens, others))
    return float((first[:, 1:] == second[:, 1:]).double().mean())


def _notes(applied: Mapping[str, Any]) -> list[Reason]:
    notes = [Reason.of("compile_time", scope="latency", seconds=applied["compile_s"])]
    if applied["token_agreement_with_uncompiled"] is None:
        notes.append(Reason.of("agreement_out_of_memory", scope="latency"))
    return notes


COMPILE = Entry(
    "compile",
    label="Compile",
    greedy_only=True,
    # The cache of its decoder step is one buffer, and a CUDA graph belongs to one device.
    one_card=True,
    why_unavailable=_why_unavailable,
    why_not_in=_why_not_in,
    apply=_apply,
    prepare=_prepare,
    proof=_proof,
    notes=_notes,
)
