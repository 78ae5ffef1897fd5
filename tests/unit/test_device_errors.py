"""Which errors mean that memory is short, which that CUDA failed, and which that it stays unusable."""

from __future__ import annotations

import errno
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from blip_fixtures.device_errors import is_device_error, is_lost, is_out_of_memory, said_by

HINTS = "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace is incorrect."
# Each as torch 2.13, its libraries or Python raise it.
OUT_OF_MEMORY: list[Exception] = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB"),
    torch.AcceleratorError("CUDA error: out of memory" + HINTS),
    RuntimeError("CUDA error: out of memory" + HINTS),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    Exception("Error while deserializing header: I/O error: Cannot allocate memory (os error 12)"),
    ValueError("Unable to allocate 20.0 GiB for an array with shape (5368709120,) and data type float32"),
    ValueError("Unable to allocate 512. MiB for an array with shape (67108864,) and data type float64"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("Caught std::bad_array_new_length in the worker"),
    RuntimeError("could not create a memory object"),
    RuntimeError("could not create a primitive"),
    RuntimeError("mkldnn: dnnl_out_of_memory"),
    RuntimeError("unable to mmap 5306440 bytes from file </a/model.safetensors>: Cannot allocate memory (12)"),
    RuntimeError("can't start new process: [Errno 12] Cannot allocate memory"),
    ImportError("/a/_path.so: failed to map segment from shared object"),
    ImportError("/a/_path.so: failed to map segment from shared object: Cannot allocate memory"),
    OSError("Cannot allocate memory"),
    pa.ArrowMemoryError("malloc of size 1099511627776 failed"),
    ValueError("realloc of size 64 failed"),
    RuntimeError("C++ compile error: cc1plus: out of memory allocating 65536 bytes after a total of 8 bytes"),
    RuntimeError("virtual memory exhausted: Cannot allocate memory"),
    RuntimeError("LLVM ERROR: out of memory"),
]
OF_CUDA: list[Exception] = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered" + HINTS),
    torch.AcceleratorError("CUDA error: device-side assert triggered" + HINTS),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA driver error: invalid device context"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
]
OTHERS: list[Exception] = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    ValueError("no memory of it"),
    OSError(errno.ENOENT, "No such file"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED"),
    # Words of a lack of memory that mean something else.
    ImportError("/a/libgomp.so.1: cannot allocate memory in static TLS block"),
    ImportError("/tmp/a.so: failed to map segment from shared object: Operation not permitted"),
    RuntimeError("could not create a primitive descriptor for the matmul primitive"),
    RuntimeError("could not create a memory descriptor from blob"),
    RuntimeError("could not execute a primitive"),
    ValueError("the answer was: out of memory"),
    KeyError("memory"),
    OSError(errno.ENOSPC, "No space left on device"),
    ValueError("Unable to allocate a port"),
    RuntimeError("bad_alloc is no name of a case"),
]


def raised_from(cause: Exception, kind: type[Exception]) -> Exception:
    error = kind("torch could not compile the model")
    error.__cause__ = cause
    return error


def said(error: Exception) -> str:
    return str(error)[:40] or type(error).__name__


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=said)
def test_every_kind_of_a_lack_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_device_error(error)
    assert is_out_of_memory(raised_from(error, RuntimeError))


@pytest.mark.parametrize("error", OF_CUDA, ids=said)
def test_what_else_cuda_says_is_an_error_of_the_device(error: Exception) -> None:
    assert is_device_error(error)
    assert not is_out_of_memory(error)
    assert is_device_error(raised_from(error, ValueError))


@pytest.mark.parametrize("error", OTHERS, ids=said)
def test_an_error_of_the_program_is_neither(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert not is_device_error(error)


def test_torch_says_it_so() -> None:
    """The one text of the list that a machine without a GPU can be made to say."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**16)
    assert is_out_of_memory(caught.value)


def test_numpy_and_arrow_say_it_so() -> None:
    """As themselves, and where a library makes another error of what they say."""
    with pytest.raises(MemoryError) as caught:
        np.zeros(2**50)
    assert is_out_of_memory(ValueError(f"Unable to create tensor: {caught.value}"))
    with pytest.raises(MemoryError) as caught:
        pa.allocate_buffer(2**60)
    assert is_out_of_memory(RuntimeError(str(caught.value)))


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, *OF_CUDA], ids=said)
@pytest.mark.parametrize("suppressed", [False, True])
def test_an_error_raised_while_another_was_dealt_with_is_of_its_kind(error: Exception, suppressed: bool) -> None:
    """Python raises it so wherever nobody writes ``from``; ``from None`` says that it is another matter."""

    def tidy_up() -> None:
        try:
            raise error
        except type(error):
            if suppressed:
                raise ValueError("the other way does not work either") from None
            raise ValueError("the graph cannot be left")  # noqa: B904  # what is tried

    with pytest.raises(ValueError, match="the ") as caught:
        tidy_up()
    assert is_out_of_memory(caught.value) == (error in OUT_OF_MEMORY and not suppressed)
    assert is_device_error(caught.value) == (error in OF_CUDA and not suppressed)


def test_errors_of_several_steps_are_all_looked_at() -> None:
    between = KeyError("cleaning up")
    between.__context__ = MemoryError()
    assert is_out_of_memory(raised_from(between, RuntimeError))
    between.__context__ = between
    assert not is_out_of_memory(raised_from(between, RuntimeError))


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (None, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
    ],
)
def test_cuda_is_lost_where_it_repeats_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | None, lost: bool
) -> None:
    def synchronize(_device: Any) -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert is_lost("cuda:0") is lost


def test_what_an_error_says_is_its_first_line() -> None:
    assert said_by(OF_CUDA[0]) == "AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert said_by(MemoryError()) == "MemoryError"
