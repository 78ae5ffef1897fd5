"""The dtype of the weights: ``fp16``, ``fp32``, ``bf16``."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from blip_fixtures.optimizations.entry import Entry, NotApplied

if TYPE_CHECKING:
    from blip_fixtures.checkpoints.loading import LoadedModel

DEFAULT_DTYPE = "float16"

FP16 = Entry("fp16", dtype="float16")
FP32 = Entry("fp32", dtype="float32")
BF16 = Entry("bf16", dtype="bfloat16")


def dtype_proof(loaded: LoadedModel, dtype: str) -> dict[str, Any]:
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
