"""``compile``: every part of the model a compiled graph, decoding over a static cache."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.entry import Entry, NotApplied
from blip_fixtures.optimizations.needs import VOLTA, too_old
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.checkpoints.loading import LoadedModel
    from blip_fixtures.optimizations.entry import Probe


def _why_unavailable(device: str) -> Reason | None:
    """Torch's compiler writes C++ for the CPU, and triton's kernels with a C launcher for CUDA."""
    variable, default = ("CXX", "g++") if device == "cpu" else ("CC", "gcc")
    command = os.environ.get(variable) or default
    if shutil.which(command) is None:
        return Reason.of("no_compiler", command=command, variable=variable)
    if device != "cpu":
        if find_spec("triton") is None:
            return Reason.of("no_triton")
        return too_old(device, VOLTA, "compile")
    return None


def _apply(loaded: LoadedModel) -> None:
    from blip_fixtures.optimizations.linear import BlockedLinear, replace_linear

    if loaded.device == "cpu":
        loaded.applied["compile"] = {"blocked_layers": len(replace_linear(loaded.model, BlockedLinear))}
    loaded.runner = loaded.family.compiled_runner(loaded.model, cuda=loaded.device != "cpu")


def _prepare(loaded: LoadedModel, text_limit: int, probe: Probe) -> None:
    from blip_fixtures.families.compiling import CompiledRunner, CompileError

    assert isinstance(loaded.runner, CompiledRunner)
    try:
        loaded.runner.prepare(text_limit, probe.run)
    except CompileError as error:
        raise NotApplied(str(error)) from None


def _proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.families.compiling import CompiledRunner

    assert isinstance(loaded.runner, CompiledRunner)
    first, later = loaded.runner.compiled_first, loaded.runner.compiled_later
    if not first.graphs:
        raise NotApplied("compile was asked for and torch compiled no graph")
    if first.graph_breaks or later.graph_breaks:
        raise NotApplied(f"the compiled graphs broke {first.graph_breaks + later.graph_breaks} times")
    if later.graphs:
        raise NotApplied(f"{later.graphs} graphs were compiled anew behind the first call, so rounds hold compile time")
    return {
        **(loaded.applied["compile"] if loaded.device == "cpu" else {"cuda_graphs_skipped": _skipped_cuda_graphs()}),
        "compiled_graphs": first.graphs,
        "graph_breaks": 0,
        "recompiles": 0,
        "compile_s": loaded.runner.compile_s,
        "token_agreement_with_uncompiled": token_agreement(probe.run(), probe.run_eager()),
    }


def _skipped_cuda_graphs() -> int:
    """How many compiled graphs of this process could not be recorded as CUDA graphs."""
    # torch has no public counters of its compiler.
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["cudagraph_skips"])


def token_agreement(tokens: Any, others: Any) -> float:
    """The share of equal tokens of two results (batch, 1 + tokens), the shorter one padded."""
    from torch.nn.functional import pad

    length = max(tokens.shape[1], others.shape[1])
    first, second = (pad(one, (0, length - one.shape[1])) for one in (tokens, others))
    return float((first[:, 1:] == second[:, 1:]).double().mean())


def _notes(applied: Mapping[str, Any]) -> list[Reason]:
    return [Reason.of("compile_time", scope="latency", seconds=applied["compile_s"])]


COMPILE = Entry(
    "compile",
    label="Compile",
    greedy_only=True,
    why_unavailable=_why_unavailable,
    apply=_apply,
    prepare=_prepare,
    proof=_proof,
    notes=_notes,
)
