"""Settings of torch that hold for the whole process: a row that changes one changes every row after it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Under this name a loaded model's `applied` keeps what they were before anything was applied to it.
BEFORE = "process_wide_settings"
_INDUCTOR = "torch._inductor.config"
_MATMUL = (
    "fp32_precision",
    "allow_fp16_reduced_precision_reduction",
    "allow_fp16_reduced_precision_reduction_split_k",
    "allow_bf16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction_split_k",
    "allow_fp16_accumulation",
)


def process_wide_settings(device: str) -> dict[str, Any]:
    """The precision of products (TF32 among it) and all settings of inductor, by name.

    Importing inductor takes a second, so for a model on the CPU, where nobody else's code changes them, its settings
    are read only where something else has imported it.
    """
    import torch

    # Not `allow_tf32`: torch refuses to tell it where somebody has set `fp32_precision`.
    found: dict[str, Any] = {f"cuda.matmul.{name}": getattr(torch.backends.cuda.matmul, name) for name in _MATMUL}
    backends: Any = torch.backends  # typed in part
    found["fp32_precision"] = backends.fp32_precision
    found["cudnn.conv.fp32_precision"] = backends.cudnn.conv.fp32_precision
    found["mkldnn.matmul.fp32_precision"] = backends.mkldnn.matmul.fp32_precision
    if device == "cpu" and _INDUCTOR not in sys.modules:
        return found
    settings = importlib.import_module(_INDUCTOR).get_config_copy()
    return found | {f"inductor.{name}": value for name, value in settings.items()}


def changed(before: Mapping[str, Any], device: str) -> dict[str, tuple[Any, Any]]:
    """What is no longer as it was `before`: name -> (then, now)."""
    now = process_wide_settings(device)
    return {name: (value, now[name]) for name, value in before.items() if now[name] != value}
