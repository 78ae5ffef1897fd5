"""The registry of optimizations: named ways to run the same checkpoint.

Adding one is one entry in `OPTIMIZATIONS`. An entry says what it needs (`why_unavailable`) and proves that it took
effect (`proof`); a row without proof is not published.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.checkpoints.loading import LoadedModel


class NotApplied(RuntimeError):
    """An optimization that was asked for and did not take effect."""


def _available(_device: str) -> str | None:
    return None


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
    model = loaded.model
    parts = {"vision": model.vision_model, "qformer": model.qformer, "language": model.language_model}
    return {name: str(part.config._attn_implementation) for name, part in parts.items()}


@dataclass(frozen=True)
class Optimization:
    """One entry. `dtype` is applied while loading; `why_unavailable` maps a device to a reason or `None`."""

    name: str
    dtype: str
    why_unavailable: Callable[[str], str | None] = _available

    def proof(self, loaded: LoadedModel) -> dict[str, Any]:
        """What shows that the optimization took effect, for the record. Raises `NotApplied` when it did not."""
        return {**_dtype_proof(loaded, self.dtype), "attention": _attention(loaded)}


OPTIMIZATIONS = {
    entry.name: entry
    for entry in (
        Optimization("fp16", "float16"),
        Optimization("fp32", "float32"),
        Optimization("bf16", "bfloat16"),
        Optimization(
            "compile",
            "float16",
            lambda _device: (
                "compile is not measured by this release: generate() bypasses torch.compile(model), "
                "so a figure would be the uncompiled one"
            ),
        ),
        Optimization(
            "flash_attention_2",
            "float16",
            lambda _device: (
                "flash_attention_2 is not measured by this release: T5's relative position bias has no such kernel, "
                "and choosing it for single components is not built yet"
            ),
        ),
    )
}


def find_optimization(name: str) -> Optimization:
    """The entry called `name`. Raises `ValueError` naming the known ones."""
    if name not in OPTIMIZATIONS:
        raise ValueError(f"unknown optimization {name!r}; the suite knows {', '.join(OPTIMIZATIONS)}")
    return OPTIMIZATIONS[name]
