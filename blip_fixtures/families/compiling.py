"""Compiled generation: what holds for every family.

transformers' `generate` calls the parts of a model that was compiled as a whole without entering the compiled graph, so
a family spells greedy decoding out. Nothing is compiled again once the first batch of a case has passed.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

# torch has no public names for the errors of its compiler.
from torch._dynamo.exc import TorchDynamoException as DynamoError
from torch._inductor.exc import InductorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from blip_fixtures.families.runner import Part

# What makes code of the graphs.
BACKEND = "inductor"
# Of a compiler's message: enough for its cause, without the whole trace.
_SAID = 300


class CompileError(RuntimeError):
    """A part of the model that torch cannot compile into one graph."""


@dataclass(frozen=True)
class DynamoCounts:
    """What torch's compiler has done in this process so far."""

    graphs: int
    graph_breaks: int

    @classmethod
    def now(cls) -> DynamoCounts:
        """From dynamo's own counters."""
        # torch has no public counters of its compiler.
        from torch._dynamo.utils import counters

        return cls(int(counters["stats"]["unique_graphs"]), sum(counters["graph_break"].values()))

    def since(self, earlier: DynamoCounts) -> DynamoCounts:
        """The difference."""
        return DynamoCounts(self.graphs - earlier.graphs, self.graph_breaks - earlier.graph_breaks)


@dataclass(frozen=True)
class CudaGraphCounts:
    """CUDA graphs that torch recorded on one device since its compiler was reset, and compiled graphs of this process
    that it could not record.
    """

    recorded: int = 0
    skipped: int = 0

    @classmethod
    def now(cls, device: torch.device) -> CudaGraphCounts:
        """From torch's trees of CUDA graphs, which `torch.compiler.reset` fells, and inductor's counter."""
        # torch has no public counters of its compiler, and no public names for its CUDA graphs.
        from torch._dynamo.utils import counters

        # Where nobody has imported it, nothing is recorded.
        trees = sys.modules.get("torch._inductor.cudagraph_trees")
        manager = None if trees is None else trees.get_manager(device.index or 0, create_if_none_exists=False)
        roots = {} if manager is None else manager.roots
        return cls(_nodes_of(roots), int(counters["inductor"]["cudagraph_skips"]))

    def since(self, earlier: CudaGraphCounts) -> CudaGraphCounts:
        """The difference."""
        return CudaGraphCounts(self.recorded - earlier.recorded, self.skipped - earlier.skipped)


def _nodes_of(trees: Mapping[Any, Sequence[Any]]) -> int:
    """A node is a recording; `children` are those that follow it, by compiled function."""
    return sum(1 + _nodes_of(node.children) for nodes in trees.values() for node in nodes)


class CompiledRunner(ABC):
    """Greedy generation of one loaded model through compiled parts.

    `prepare` comes before the first batch of a case: what an earlier case compiled is thrown away, so that each case
    compiles its own shapes alone. `cuda` says whether the model is on a CUDA device.
    """

    def __init__(self, model: Any, cuda: bool) -> None:
        self._model = model
        self._cuda = cuda
        self._note: Callable[[Part], None] = lambda _part: None
        self._text_limit = 0
        self._prepared = self.compiled_first = DynamoCounts(0, 0)
        self._recorded = self.cuda_graphs_first = CudaGraphCounts()
        # What inductor is told beside its own settings for the decoder's step, in this row alone.
        self.step_options: dict[str, Any] = {}
        self.compile_s = 0.0
        self._with_stand_ins: list[Any] = []

    @property
    @abstractmethod
    def generate(self) -> Callable[..., Any]:
        """What the model's own `generate` returns. Raises `ValueError` where anything but greedy decoding is asked for.

        Calls `self._note` with each part that has ended.
        """

    @abstractmethod
    def _compile_parts(self) -> None:
        """Make new compiled parts, each with `_compiled`."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of all buffers."""

    @property
    @abstractmethod
    def held_bytes(self) -> int:
        """Bytes of all buffers."""

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self._model.config

    @property
    def compiled_later(self) -> DynamoCounts:
        """What was compiled since `prepare`; nothing, where all is well."""
        return DynamoCounts.now().since(self._prepared)

    @property
    def cuda_graphs_later(self) -> CudaGraphCounts:
        """What was recorded since `prepare`; nothing, where all is well."""
        return self._cuda_graphs_now().since(self._recorded)

    def _cuda_graphs_now(self) -> CudaGraphCounts:
        return CudaGraphCounts.now(self._model.device) if self._cuda else CudaGraphCounts()

    def prepare(self, text_limit: int, call: Callable[[], object]) -> None:
        """Start again for prompts of at most `text_limit` text tokens; `call` generates once, which compiles.

        Its seconds less those of a second call are the compile time. Raises `CompileError` where a part of the model
        cannot be compiled into one graph.
        """
        # torch.compiler does not tell whether it is switched off.
        if torch._dynamo.config.disable:
            raise CompileError("torch's compiler is switched off; unset TORCHDYNAMO_DISABLE and TORCH_COMPILE_DISABLE")
        torch.compiler.reset()
        before, recorded_before = DynamoCounts.now(), self._cuda_graphs_now()
        self._text_limit = text_limit
        self._forget()
        try:
            with warnings.catch_warnings():
                # torch 2.13's compiler calls what torch 2.13 deprecates.
                warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
                self._compile_parts()
                first_s, second_s = _seconds(call), _seconds(call)
        except (DynamoError, InductorError) as error:
            said = " ".join(str(error).split())
            raise CompileError(f"torch could not compile the model ({type(error).__name__}: {said[:_SAID]})") from error
        self.compile_s = first_s - second_s
        self._prepared = DynamoCounts.now()
        self.compiled_first = self._prepared.since(before)
        self._recorded = self._cuda_graphs_now()
        self.cuda_graphs_first = self._recorded.since(recorded_before)

    def close(self) -> None:
        """Compiled code and its guards hold the model for as long as the process lives."""
        torch.compiler.reset()
        self._forget()
        for layer in self._with_stand_ins:
            del layer.forward
        self._with_stand_ins.clear()

    def _stand_in(self, layer: Any, traced: Callable[..., Any]) -> None:
        """Let `traced` stand for the layer's `forward` in every graph, until `close`; uncompiled it runs its own."""
        own = layer.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            return traced(*args, **kwargs) if torch.compiler.is_compiling() else own(*args, **kwargs)

        layer.forward = forward
        self._with_stand_ins.append(layer)

    @contextlib.contextmanager
    def parts_ended(self, note: Callable[[Part], None]) -> Iterator[None]:
        """Called from between the graphs, so that no graph changes."""
        self._note = note
        try:
            yield
        finally:
            self._note = lambda _part: None

    def _compiled(
        self, part: Callable[..., Any], *, cuda_graphs: bool = False, options: Mapping[str, Any] | None = None
    ) -> Callable[..., Any]:
        """One graph without a break; what cannot be one raises. `options` hold for this graph alone."""
        given = {**(options or {}), **({"triton.cudagraphs": True} if cuda_graphs else {})}
        # Nothing of the model changes before `close`; to look at every module of it took a step of 24 layers 2 ms.
        given["guard_filter_fn"] = torch.compiler.skip_guard_on_all_nn_modules_unsafe
        return torch.compile(part, fullgraph=True, dynamic=False, backend=BACKEND, options=given)


@torch.compiler.nested_compile_region
def compiled_once(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """The layer's own `forward`, as a region of a graph that is compiled once for all layers that are alike."""
    return type(layer).forward(layer, *args, **kwargs)


def any_length(*tensors: Any) -> tuple[Any, ...]:
    """The same tensors, whose second dimension the graphs shall leave open."""
    for tensor in tensors:
        # torch documents it under this name and has no other.
        torch._dynamo.mark_dynamic(tensor, 1)
    return tensors


def _seconds(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s
