"""What an error says of its device: there is no memory left, or CUDA's context is lost.

torch has types for some of these errors and texts for the others, which are searched for here and nowhere else. A
compiler wraps what it met: the errors that another one was raised from, or during, count as well.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_MEMORY = re.compile(
    "|".join(
        (
            # torch.OutOfMemoryError, where another error quotes it.
            r"CUDA out of memory",
            # The runtime and the driver: what the caching allocator did not ask for, such as a graph or a module.
            r"CUDA (driver )?error: out of memory",
            r"Triton Error \[CUDA\]: out of memory",
            # cuBLAS, cuDNN, cuSPARSE: a workspace. cuDNN 9 has one status for each side.
            r"\bCU[A-Z]+_STATUS_([A-Z_]+_)?ALLOC(ATION)?_FAILED",
            # The CPU's allocator has no type of its own: c10/core/impl/alloc_cpu.cpp, elsewhere and on Windows.
            r"DefaultCPUAllocator: (can't allocate|not enough) memory",
            # numpy, whose own error is a MemoryError, where another error quotes it: numpy/_core/_exceptions.py.
            r"Unable to allocate [\d.]+ \w+ for an array with shape",
            # Arrow's pool of memory: cpp/src/arrow/memory_pool.cc.
            r"\b(malloc|realloc) of size \d+ failed",
            # The standard library of C++, as whoever catches it says it.
            r"\bstd::bad_(array_new_length|alloc)\b",
            # oneDNN says no status, and these calls fail for want of memory; "a primitive descriptor" fails for others.
            r"^could not create a (memory|memory object|primitive)$",
            r"\bdnnl_out_of_memory\b",
            # ENOMEM, as the C library and Python say it; room in a table of threads' variables is another matter.
            r"\b[Cc]annot allocate memory\b(?! in static TLS block)",
            r"\[Errno 12\]",
            # A library that does not fit under a limit; a folder that forbids running says so after a colon.
            r"failed to map segment from shared object(?!: )",
            # A compiler that torch has called: gcc and LLVM.
            r"\bout of memory allocating \d+ bytes\b|\bvirtual memory exhausted\b|\bLLVM ERROR: out of memory\b",
        )
    )
)
_OF_CUDA = re.compile(r"\bCUDA (driver )?error\b|Triton Error \[CUDA\]|\bCU[A-Z]+_STATUS_[A-Z_]+|\bcuDNN error\b")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host or the device had no memory left."""
    import torch

    return any(
        isinstance(each, (MemoryError, torch.OutOfMemoryError))
        or (isinstance(each, OSError) and each.errno == errno.ENOMEM)
        or _NO_MEMORY.search(str(each)) is not None
        for each in _with_causes(error)
    )


def is_device_error(error: BaseException) -> bool:
    """Whether CUDA or one of its libraries failed, for another reason than a lack of memory."""
    import torch

    return not is_out_of_memory(error) and any(
        isinstance(each, torch.AcceleratorError) or _OF_CUDA.search(str(each)) is not None
        for each in _with_causes(error)
    )


def is_lost(device: str) -> bool:
    """Whether CUDA is unusable for the rest of the process, as `device` answers.

    A kernel that fails leaves an error that every later call returns (CUDA runtime API, cudaErrorIllegalAddress and its
    like: "the process must be terminated and relaunched"); a call that was merely refused leaves none.
    """
    import torch

    try:
        for card in cards_of(device):
            torch.cuda.synchronize(card)
    except RuntimeError as error:
        return not is_out_of_memory(error)
    return False


def said_by(error: BaseException) -> str:
    """Its type and the first line of what it says; CUDA's hints on how to debug a kernel follow in the others."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def reason_of(error: BaseException) -> Reason:
    """Its type and all that it says, as the reason of a case that failed."""
    kind, message = type(error).__name__, str(error).strip()
    return Reason.of("error", kind=kind, message=message) if message else Reason.of("error_without_message", kind=kind)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that a traceback shows above it: raised from them, or while one of them was dealt with."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        yield each
        # `raise ... from` an error or `None` suppresses what else was dealt with.
        is_raised_from = each.__cause__ is not None or each.__suppress_context__
        each = each.__cause__ if is_raised_from else each.__context__
