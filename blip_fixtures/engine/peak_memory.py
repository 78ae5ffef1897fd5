"""Peak memory: the growth of the process (CPU) or of the device's allocator (CUDA) while `generate` runs."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from blip_fixtures.case import cards_of
from blip_fixtures.checkpoints.loading import release_memory
from blip_fixtures.reasons import Reason
from blip_fixtures.words import MemoryKind

if TYPE_CHECKING:
    from types import TracebackType

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): resets VmHWM to the current resident set


class PeakMemory:
    """A context that ends with `growth_bytes`, the peak above what was in use when it began, and `kind`.

    On a CUDA device it also knows `graph_bytes`, what CUDA graphs keep for themselves: their kernels work in pools
    that no call allocates from, so the growth does not show them. `reserved_bytes` is the allocator's own peak there.
    Of several cards they are sums, and `growth_on`, `graph_on`, `reserved_on` have each card's.

    On Linux the kernel's own high-water mark is reset and read, so no sampling thread can miss a peak or disturb the
    workload; freed memory is handed back first, so that an earlier case leaves no room to grow into unseen. Where
    there is no such mark `growth_bytes` stays `None` and `reason` says so.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._cards = () if device == "cpu" else cards_of(device)
        self._before_bytes = 0
        self._before_on: dict[str, int] = {}
        self.growth_on: dict[str, int] = {}
        self.graph_on: dict[str, int] = {}
        self.reserved_on: dict[str, int] = {}
        self.growth_bytes: int | None = None
        self.graph_bytes = 0
        self.reserved_bytes: int | None = None
        self.reason: Reason | None = None
        self.kind = MemoryKind.PROCESS_RSS if device == "cpu" else MemoryKind.CUDA_ALLOCATOR

    def __enter__(self) -> Self:
        if self._cards:
            import torch

            # What earlier calls left in the allocator's cache is no need of this one.
            release_memory(self._device)
            for card in self._cards:
                self.graph_on[card] = _graph_pool_bytes(card)
                torch.cuda.reset_peak_memory_stats(card)
                self._before_on[card] = torch.cuda.memory_allocated(card)
            self.graph_bytes = sum(self.graph_on.values())
            return self
        _return_freed_memory()
        try:
            _CLEAR_REFS.write_text(_RESET_PEAK)
        except OSError as error:
            self.reason = Reason.of("peak_not_reset", error=error)
        self._before_bytes = psutil.Process().memory_info().rss
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cards:
            import torch

            for card in self._cards:
                self.growth_on[card] = torch.cuda.max_memory_allocated(card) - self._before_on[card]
                self.reserved_on[card] = torch.cuda.max_memory_reserved(card)
            self.growth_bytes = sum(self.growth_on.values())
            self.reserved_bytes = sum(self.reserved_on.values())
        elif self.reason is None:
            self.growth_bytes = max(_resident_peak_bytes() - self._before_bytes, 0)


def _graph_pool_bytes(device: str) -> int:
    """Bytes of the allocator's private pools on `device`; those that all calls share have the id (0, 0)."""
    import torch

    index = torch.device(device).index
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch is typed in part
    return sum(
        int(segment["total_size"])
        for segment in segments
        if segment["device"] == index and tuple(segment["segment_pool_id"]) != (0, 0)
    )


def _return_freed_memory() -> None:
    """Ask glibc to hand its free pages back to the kernel; other C libraries keep theirs."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _resident_peak_bytes() -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no VmHWM line; the kernel was built without it")
