"""What several optimizations need of a GPU.

No torch is imported before it is known that there is something to ask it.
"""

from __future__ import annotations

from blip_fixtures.reasons import Reason

# FlashAttention-2 and triton's tensor core code begin with these compute capabilities.
AMPERE = (8, 0)
VOLTA = (7, 0)


def too_old(device: str, least: tuple[int, int], name: str) -> Reason | None:
    """That a CUDA `device` has a lower compute capability than `name` needs, or `None`."""
    import torch

    if not torch.cuda.is_available():
        return None  # the device itself is the reason, and has its own sentence
    found = torch.cuda.get_device_capability(device)
    if found >= least:
        return None
    return Reason.of("capability_too_low", name=name, device=device, least=_dotted(least), found=_dotted(found))


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
