"""The registry of optimizations: named ways to run the same checkpoint.

Adding one is one entry in `OPTIMIZATIONS`. An entry says what it needs (`why_unavailable`), how it is applied to the
loaded model, and proves afterwards that it took effect; a row without proof is not published. Entries combine by
``+``: ``bf16+compile+int8``. What packs weights is applied before what compiles, whatever their order in the name.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from blip_fixtures.acceleration import needs
from blip_fixtures.checkpoints.runner import components

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.checkpoints.loading import LoadedModel

DEFAULT_DTYPE = "float16"


class NotApplied(RuntimeError):
    """An optimization that was asked for and did not take effect."""


@dataclass(frozen=True)
class Probe:
    """Untimed calls on the first batch of a case, for entries whose proof takes one.

    `run` is the case's own way to generate, `run_eager` transformers' on the same model. Both generate as many tokens
    as the case does, so that nothing is compiled for them.
    """

    run: Callable[[], Any]
    run_eager: Callable[[], Any]


def _nothing(_loaded: LoadedModel) -> None:
    return None


def _no_facts(_loaded: LoadedModel, _probe: Probe) -> dict[str, Any]:
    return {}


def _no_preparation(_loaded: LoadedModel, _text_limit: int, _probe: Probe) -> None:
    return None


@dataclass(frozen=True)
class Entry:
    """One name of the registry.

    `dtype` is the one it stands for, `prefers` the one that its kernels are made for. `attention` maps a device to the
    attention implementations of the configuration's parts, as transformers takes them. `why_unavailable` maps a device
    to a reason or `None`. `apply` changes a model once, `prepare` comes before each of its cases, `proof` behind the
    passes of each: it returns facts for the record or raises `NotApplied`.
    """

    name: str
    dtype: str | None = None
    prefers: str | None = None
    attention: Callable[[str], dict[str, str]] | None = None
    greedy_only: bool = False
    why_unavailable: Callable[[str], str | None] = needs.nothing
    apply: Callable[[LoadedModel], None] = _nothing
    prepare: Callable[[LoadedModel, int, Probe], None] = _no_preparation
    proof: Callable[[LoadedModel, Probe], dict[str, Any]] = _no_facts


@dataclass(frozen=True)
class Optimization:
    """One entry or several, as the name of a case spells them. `entries` stand in the order of their application."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def dtype(self) -> str:
        """What the weights are loaded in: as said, else as an entry's kernels prefer it, else fp16."""
        said = [entry.dtype for entry in self.entries if entry.dtype]
        preferred = [entry.prefers for entry in self.entries if entry.prefers]
        return next(iter([*said, *preferred]), DEFAULT_DTYPE)

    def attention(self, device: str) -> dict[str, str] | None:
        """What transformers is told about attention; `None` leaves the choice to it."""
        chosen = [entry.attention(device) for entry in self.entries if entry.attention is not None]
        return chosen[0] if chosen else None

    def why_unavailable(self, device: str, *, num_beams: int = 1) -> str | None:
        """Why a case cannot run so on `device`, or `None`."""
        for entry in self.entries:
            if entry.greedy_only and num_beams > 1:
                return f"{entry.name} decodes greedily and the prompts ask for {num_beams} beams; set num_beams = 1"
            reason = entry.why_unavailable(device)
            if reason is not None:
                return reason
        return None

    def apply(self, loaded: LoadedModel) -> None:
        """Change the model that was loaded for it. Raises `NotApplied`."""
        for entry in self.entries:
            entry.apply(loaded)

    def prepare(self, loaded: LoadedModel, text_limit: int, probe: Probe) -> None:
        """What must be done before the passes of a case, outside of every timed region."""
        for entry in self.entries:
            entry.prepare(loaded, text_limit, probe)

    def proof(self, loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
        """What shows that every part took effect, for the record. Raises `NotApplied` when one did not."""
        facts: dict[str, Any] = {**_dtype_proof(loaded, self.dtype), "attention": _attention(loaded)}
        for entry in self.entries:
            facts |= entry.proof(loaded, probe)
        return facts


def _dtype_proof(loaded: LoadedModel, dtype: str) -> dict[str, Any]:
    """Parameter counts by dtype, and which tensors transformers kept in another one.

    Raises `NotApplied` when `dtype` does not hold more than half of the parameters.
    """
    counts: Counter[str] = Counter()
    others = set()
    for name, parameter in loaded.model.named_parameters():
        found = str(parameter.dtype).removeprefix("torch.")
        counts[found] += parameter.numel()
        if found != dtype:
            # Layers of one kind are one entry: `block.3.layer.1.wo` and `block.4.layer.1.wo` are `block.*.layer.*.wo`.
            others.add(re.sub(r"\.\d+(?=\.)", ".*", name))
    if 2 * counts[dtype] <= counts.total():
        raise NotApplied(f"{loaded.optimization} asked for {dtype} and the parameters are {dict(counts)}")
    proof: dict[str, Any] = {"parameters_by_dtype": dict(counts)}
    return {**proof, "kept_in_another_dtype_by_transformers": sorted(others)} if others else proof


def _attention(loaded: LoadedModel) -> dict[str, str]:
    """The implementation that each component reports."""
    return {name: str(part.config._attn_implementation) for name, part in components(loaded.model).items()}


def _everywhere(implementation: str) -> Callable[[str], dict[str, str]]:
    return lambda _device: dict.fromkeys(
        ("", "vision_config", "qformer_config", "text_config"),
        implementation,
    )


def _reported(implementation: str) -> Callable[[LoadedModel, Probe], dict[str, Any]]:
    def proof(loaded: LoadedModel, _probe: Probe) -> dict[str, Any]:
        found = _attention(loaded)
        if set(found.values()) != {implementation}:
            raise NotApplied(f"{implementation} attention was asked for and the components report {found}")
        return {}

    return proof


def _flash_attention(device: str) -> dict[str, str]:
    """T5 has a position bias, for which there is no FlashAttention-2 kernel; torch's own on the CPU takes masks."""
    if device != "cpu" and find_spec("flash_attn") is not None:
        return {"": "sdpa", "vision_config": "flash_attention_2", "qformer_config": "sdpa", "text_config": "sdpa"}
    return _everywhere("sdpa")(device)


def _apply_flash(loaded: LoadedModel) -> None:
    from blip_fixtures.acceleration.attention import force_flash_backend

    if loaded.device != "cpu" and _attention(loaded)["vision"] == "sdpa":
        force_flash_backend(loaded.model.vision_model)


def _flash_proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.acceleration.attention import FLASH_KERNELS, kernels_by_component

    found = kernels_by_component(loaded.model, probe.run)
    with_flash = [component for component, kernels in found.items() if set(kernels) & FLASH_KERNELS]
    if not with_flash:
        raise NotApplied(f"no flash attention kernel ran; the profiler saw {found or 'no attention kernel at all'}")
    facts: dict[str, Any] = {"attention_kernels": found, "flash_attention_in": with_flash}
    if loaded.device == "cpu":
        facts["same_kernel_as_default"] = True
    return facts


def _apply_compile(loaded: LoadedModel) -> None:
    from blip_fixtures.acceleration.compiled import CompiledRunner
    from blip_fixtures.acceleration.quantized import BlockedLinear, replace_linear

    if loaded.device == "cpu":
        loaded.applied["compile"] = {"blocked_layers": len(replace_linear(loaded.model, BlockedLinear))}
    loaded.runner = CompiledRunner(loaded.model, cuda=loaded.device != "cpu")


def _prepare_compile(loaded: LoadedModel, text_limit: int, probe: Probe) -> None:
    from blip_fixtures.acceleration.compiled import CompiledRunner, CompileError

    assert isinstance(loaded.runner, CompiledRunner)
    try:
        loaded.runner.prepare(text_limit, probe.run)
    except CompileError as error:
        raise NotApplied(str(error)) from None


def _compile_proof(loaded: LoadedModel, probe: Probe) -> dict[str, Any]:
    from blip_fixtures.acceleration.compiled import CompiledRunner, skipped_cuda_graphs, token_agreement

    assert isinstance(loaded.runner, CompiledRunner)
    first, later = loaded.runner.compiled_first, loaded.runner.compiled_later
    if not first.graphs:
        raise NotApplied("compile was asked for and torch compiled no graph")
    if first.graph_breaks or later.graph_breaks:
        raise NotApplied(f"the compiled graphs broke {first.graph_breaks + later.graph_breaks} times")
    if later.graphs:
        raise NotApplied(f"{later.graphs} graphs were compiled anew behind the first call, so rounds hold compile time")
    return {
        **(loaded.applied["compile"] if loaded.device == "cpu" else {"cuda_graphs_skipped": skipped_cuda_graphs()}),
        "compiled_graphs": first.graphs,
        "graph_breaks": 0,
        "recompiles": 0,
        "compile_s": loaded.runner.compile_s,
        "token_agreement_with_uncompiled": token_agreement(probe.run(), probe.run_eager()),
    }


def _pack(name: str, bits: int) -> Callable[[LoadedModel], None]:
    """Weight-only, of the layers that every decoder step reads: there reading is the limit."""

    def apply(loaded: LoadedModel) -> None:
        from blip_fixtures.acceleration import quantized

        before = quantized.linear_bytes(loaded.model, quantized.read_for_every_token)
        if loaded.device == "cpu":
            kind = quantized.Int8Linear if bits == 8 else quantized.Int4Linear
            layers = quantized.replace_linear(loaded.model, kind, quantized.read_for_every_token)
        else:
            layers = quantized.quantize_with_torchao(loaded.model, bits, quantized.read_for_every_token)
        _note_packed(loaded, name, layers, before, quantized.linear_bytes(loaded.model, quantized.read_for_every_token))

    return apply


def _pack_all(loaded: LoadedModel) -> None:
    """Every linear layer that nothing has packed yet."""
    from blip_fixtures.acceleration import quantized

    before = quantized.linear_bytes(loaded.model)
    layers = quantized.replace_linear(loaded.model, quantized.Int8DynamicLinear)
    _note_packed(loaded, "int8_dynamic", layers, before, quantized.linear_bytes(loaded.model))


def _note_packed(loaded: LoadedModel, name: str, layers: list[str], before: int, now: int) -> None:
    loaded.applied[name] = {"layers": len(layers), "linear_bytes_before": before, "linear_bytes": now}


def _packed_proof(name: str) -> Callable[[LoadedModel, Probe], dict[str, Any]]:
    def proof(loaded: LoadedModel, _probe: Probe) -> dict[str, Any]:
        packed = loaded.applied.get(name, {"layers": 0, "linear_bytes_before": 0, "linear_bytes": 0})
        if not packed["layers"] or packed["linear_bytes"] >= packed["linear_bytes_before"]:
            raise NotApplied(f"{name} was asked for and no layer of this checkpoint could be stored in fewer bits")
        return {name: packed}

    return proof


# In the order in which they are applied.
OPTIMIZATIONS = {
    entry.name: entry
    for entry in (
        Entry("fp16", dtype="float16"),
        Entry("fp32", dtype="float32"),
        Entry("bf16", dtype="bfloat16"),
        Entry("eager", attention=_everywhere("eager"), proof=_reported("eager")),
        Entry("sdpa", attention=_everywhere("sdpa"), proof=_reported("sdpa")),
        Entry(
            "flash_attention_2",
            attention=_flash_attention,
            why_unavailable=needs.flash_attention,
            apply=_apply_flash,
            proof=_flash_proof,
        ),
        Entry(
            "int4",
            prefers="bfloat16",
            why_unavailable=needs.packing("int4"),
            apply=_pack("int4", 4),
            proof=_packed_proof("int4"),
        ),
        Entry(
            "int8",
            prefers="bfloat16",
            why_unavailable=needs.packing("int8"),
            apply=_pack("int8", 8),
            proof=_packed_proof("int8"),
        ),
        Entry(
            "int8_dynamic",
            prefers="bfloat16",
            why_unavailable=needs.integer_products,
            apply=_pack_all,
            proof=_packed_proof("int8_dynamic"),
        ),
        Entry(
            "compile",
            greedy_only=True,
            why_unavailable=needs.compiler,
            apply=_apply_compile,
            prepare=_prepare_compile,
            proof=_compile_proof,
        ),
    )
}


# The entries that stand for a dtype and nothing else.
DTYPES = tuple(name for name, entry in OPTIMIZATIONS.items() if entry.dtype)


@cache
def find_optimization(name: str) -> Optimization:
    """The entry called `name`, or the combination that it spells with ``+``.

    Raises `ValueError` naming the known ones, or the parts that exclude each other.
    """
    parts = name.split("+")
    unknown = [part for part in parts if part not in OPTIMIZATIONS]
    if unknown:
        raise ValueError(
            f"unknown optimization {unknown[0]!r}; the suite knows {', '.join(OPTIMIZATIONS)}, and combinations by +"
        )
    if len(set(parts)) < len(parts):
        raise ValueError(f"optimization {name!r} names a part twice; name it once")
    entries = tuple(entry for part, entry in OPTIMIZATIONS.items() if part in parts)
    for kind in ("dtype", "attention"):
        rivals = [entry.name for entry in entries if getattr(entry, kind) is not None]
        if len(rivals) > 1:
            raise ValueError(
                f"optimization {name!r} holds {' and '.join(rivals)}, which exclude each other; choose one"
            )
    return Optimization(name, entries)
