"""Which attention kernels ran, and how one is made to run."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from torch.autograd.profiler import record_function
from torch.nn.attention import SDPBackend, sdpa_kernel

from blip_fixtures.profiling import attached, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import nn

    from blip_fixtures.words import Component

# Attention's operators, as the profiler names them, and the backends that they are.
BACKENDS = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": "flash",
    "aten::_scaled_dot_product_flash_attention": "flash",
    "flash_attn::_flash_attn_forward": "flash_attn",
    "flash_attn::_flash_attn_varlen_forward": "flash_attn",
    "aten::_scaled_dot_product_efficient_attention": "efficient",
    "aten::_scaled_dot_product_cudnn_attention": "cudnn",
    "aten::_scaled_dot_product_attention_math": "math",
}
FLASH_KERNELS = frozenset(kernel for kernel, backend in BACKENDS.items() if backend.startswith("flash"))
_MARK = "blip component: "
# Of a forward that was put in the place of another: which, or that it was the class's own.
_BEFORE = "blip_before"
# Compiled graphs call their kernels outside of every module.
COMPILED = "compiled graphs"


def force_flash_backend(part: Any) -> None:
    """Let `part` of a model run torch's own flash kernel or fail: without it torch would choose another in silence."""
    forward = part.forward

    def with_flash(*args: Any, **kwargs: Any) -> Any:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION]):
            return forward(*args, **kwargs)

    # What accelerate has put there moves tensors between cards: it stays.
    setattr(with_flash, _BEFORE, part.__dict__.get("forward"))
    part.forward = with_flash


@contextlib.contextmanager
def unforced(part: Any) -> Iterator[None]:
    """`part` of a model with torch's own choice of a kernel, whatever was asked for; as it was afterwards."""
    forced = part.__dict__.get("forward")
    is_forced = hasattr(forced, _BEFORE)
    if is_forced:
        del part.forward
        if getattr(forced, _BEFORE) is not None:
            part.forward = getattr(forced, _BEFORE)
    # transformers has no public name for the implementation that a part reads at each call.
    asked, part.config._attn_implementation = part.config._attn_implementation, "sdpa"
    try:
        yield
    finally:
        # Private, as above.
        part.config._attn_implementation = asked
        if is_forced:
            part.forward = forced


def kernels_by_component(
    components: Mapping[Component, nn.Module], run: Callable[[], object]
) -> dict[str, dict[str, int]]:
    """How often each attention kernel ran while `run` ran, by component of the model, as the profiler saw it."""
    device = next((str(each.device) for part in components.values() for each in part.parameters()), "cpu")
    with contextlib.ExitStack() as stack:
        stack.enter_context(attached(device))
        for name, component in components.items():
            stack.enter_context(_marked(component, name))
        profiler = stack.enter_context(profile_of("CPU"))
        run()
    found: dict[str, Counter[str]] = {}
    for event in profiler.events() or ():
        if event.name in BACKENDS:
            found.setdefault(_component_of(event), Counter())[event.name] += 1
    names = [*(name.value for name in components), COMPILED]
    return {name: dict(found[name]) for name in names if name in found}


def _component_of(event: Any) -> str:
    parent = event.cpu_parent
    while parent is not None and not parent.name.startswith(_MARK):
        parent = parent.cpu_parent
    return COMPILED if parent is None else str(parent.name.removeprefix(_MARK))


@contextlib.contextmanager
def _marked(component: nn.Module, name: str) -> Iterator[None]:
    """Each forward of `component` as a span of the profiler."""
    spans: list[Any] = []

    def enter(*_: object) -> None:
        span = record_function(f"{_MARK}{name}")
        span.__enter__()  # type: ignore[no-untyped-call]  # torch is typed in part
        spans.append(span)

    def leave(*_: object) -> None:
        spans.pop().__exit__(None, None, None)

    handles = [component.register_forward_pre_hook(enter), component.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
