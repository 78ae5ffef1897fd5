"""CUDA devices that are none: tensors on ``cuda:0`` and ``cuda:1`` with shapes and dtypes and not one number.

torch's fake tensors know their device, and an operation on tensors of two devices raises as it does on a GPU. What
they cannot do without a CUDA build, or without numbers, is stood in for here, and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from transformers import GenerationMixin, MaxLengthCriteria

CARDS = ("cuda:0", "cuda:1")
GIB = 2**30
CAPABILITY = (9, 0)


def properties(device: Any = None) -> SimpleNamespace:
    """Of a card; its UUID ends with its number."""
    number = 0 if device is None else int(str(device).removeprefix("cuda:"))
    return SimpleNamespace(major=9, minor=0, uuid=f"00000000-0000-0000-0000-00000000000{number}")


class Cards:
    """What `torch.cuda` knows of two devices, `current` among them."""

    def __init__(self) -> None:
        self.current = 0

    @contextlib.contextmanager
    def device(self, device: Any) -> Iterator[None]:
        """As `torch.cuda.device`."""
        before, self.current = self.current, torch.device(device).index
        try:
            yield
        finally:
            self.current = before

    @property
    def answers(self) -> dict[str, Any]:
        """What stands in for functions of `torch.cuda`, with their own parameters: a wrong call fails here as there."""
        return {
            "device": self.device,
            "current_device": lambda: self.current,
            "device_count": lambda: len(CARDS),
            "get_device_name": lambda device=None: "no card",
            "init": lambda: None,
            "is_available": lambda: True,
            "is_bf16_supported": lambda including_emulation=True: True,
            "get_arch_list": lambda: ["sm_90"],
            "get_device_capability": lambda device=None: CAPABILITY,
            "get_device_properties": properties,
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: None,
            "mem_get_info": lambda device=None: (64 * GIB, 80 * GIB),
            "memory_snapshot": lambda mempool_id=None: [],
            "reset_peak_memory_stats": lambda device=None: None,
            "memory_allocated": lambda device=None: GIB,
            "max_memory_allocated": lambda device=None: GIB,
            "max_memory_reserved": lambda device=None: GIB,
        }


@contextlib.contextmanager
def cards_at_hand() -> Iterator[Cards]:
    """`torch.cuda` says that there are two devices; no tensor can be made there yet."""
    cards = Cards()
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(torch.version, "cuda", "13.0"))
        for name, answer in cards.answers.items():
            stack.enter_context(patch.object(torch.cuda, name, answer))
        yield cards


@contextlib.contextmanager
def fake_tensors() -> Iterator[None]:
    """Inside, every new tensor is fake, and real ones of the host join them as fake ones of the host."""
    # Where there is a card the mode would start it, and copy real tensors there.
    without_card = patch.object(torch.cuda, "is_available", lambda: False)
    with without_card, FakeTensorMode(allow_non_fake_inputs=True), _WithoutCuda() as mode:
        measured = MaxLengthCriteria.__call__

        def noting(criterion: Any, tokens: Any, *rest: Any, **more: Any) -> Any:
            mode.is_long_enough = tokens.shape[-1] >= criterion.max_length
            return measured(criterion, tokens, *rest, **more)

        asked = GenerationMixin._beam_search_has_unfinished_sequences

        def unfinished(*states: Any) -> bool:
            asked(*states)
            return not mode.is_long_enough

        with (
            patch.object(MaxLengthCriteria, "__call__", noting),
            patch.object(GenerationMixin, "_beam_search_has_unfinished_sequences", staticmethod(unfinished)),
        ):
            yield


class _WithoutCuda(TorchFunctionMode):
    """Some methods want, in C++, a guard for the device that only a CUDA build has; the operators below them want none.

    A tensor without numbers is neither true nor false. transformers asks whether all rows have ended, which they have
    when they are long enough, and whether a mask lets everything through, which is better not relied upon.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_long_enough = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__bool__:
            answer, self.is_long_enough = self.is_long_enough, False
            return answer
        if func is torch.Tensor.data_ptr and isinstance(args[0], FakeTensor):  # by which shared tensors are told
            return args[0].untyped_storage()._cdata
        if func is torch.full and torch.is_tensor(kwargs.get("fill_value")):  # whose number is not known
            kwargs = {**kwargs, "fill_value": 0}
        if func in _OPERATORS and args[0].is_cuda:
            return _OPERATORS[func](*args, **(kwargs or {}))
        packed = next((kind for kind in types if kind.__module__.startswith("torchao.")), None)
        if func is torch.nn.functional.linear and packed is not None:
            with self:  # torch leaves the mode here, and torchao's product is Python that slices
                return packed.__torch_function__(func, types, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _indexed(tensor: Any, index: Any) -> Any:
    """``tensor[index]``, one operator after another: slices, numbers, new axes, the rest of the axes, tensors."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for place, part in enumerate(parts):
        if part is Ellipsis:
            named = sum(other is not None and other is not Ellipsis for other in parts)
            parts[place : place + 1] = [slice(None)] * (tensor.dim() - named)
            break
    chosen: list[Any] = []
    axis = 0
    for part in parts:
        if part is None:
            tensor = tensor.unsqueeze(axis)
        elif isinstance(part, slice):
            stop = None if torch.is_tensor(part.stop) else part.stop  # a length that only numbers tell
            tensor = torch.ops.aten.slice.Tensor(tensor, axis, part.start, stop, part.step or 1)
        elif isinstance(part, int):
            tensor = tensor.select(axis, part)
            continue
        elif torch.is_tensor(part) and part.dtype != torch.bool:
            chosen += [None] * (axis - len(chosen)) + [part]
        else:
            raise NotImplementedError(f"no stand-in for an index of type {type(part).__name__}")
        axis += 1
    return torch.ops.aten.index.Tensor(tensor, chosen) if chosen else tensor


def _set(tensor: Any, index: Any, value: Any) -> None:
    place = _indexed(tensor, index)
    fill = torch.ops.aten.copy_.default if torch.is_tensor(value) else torch.ops.aten.fill_.Scalar
    fill(place, value)


def _resized(tensor: Any, *, size: tuple[int, int], **_: Any) -> Any:
    """torch spells bicubic interpolation out by operators of the first kind."""
    return tensor.new_empty(*tensor.shape[:2], *size)


_OPERATORS: dict[Any, Any] = {
    torch.Tensor.__getitem__: _indexed,
    torch.Tensor.__setitem__: _set,
    torch.Tensor.__invert__: torch.ops.aten.bitwise_not.default,
    torch.Tensor.contiguous: torch.ops.aten.contiguous.default,
    torch.Tensor.copy_: torch.ops.aten.copy_.default,
    torch.nn.functional.interpolate: _resized,
}
