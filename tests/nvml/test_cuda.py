"""Cards that NVML shows and CUDA rejects: torch's own Python code on the stand-in NVML, its C functions replaced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nvml.conftest import Play

ONE_GPU = "device GPU-1"
# torch's words, of c10/cuda/CUDAFunctions.cpp and aten/src/ATen/cuda/CUDAContext.cpp.
OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)
UNREADY = "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"
NO_INSTANCE = "No CUDA GPUs are available"
BUSY = "CUDA error: all CUDA-capable devices are busy or unavailable\nSearch for `cudaErrorDevicesUnavailable'"

BUILD = """
import torch
import tests.cuda_build as build

starts = []
start = build.start
build.start = lambda: (starts.append(1), start())
build.pretend()
"""
ASK = (
    BUILD
    + """
import warnings
from pathlib import Path
from blip_fixtures.devices import gpu_names, why_unavailable
from blip_fixtures.engine.environment import describe_machine, device_identity
from blip_fixtures.meters import Search
from blip_fixtures.meters.nvml import meters_of

with warnings.catch_warnings(action="ignore"):
    seen = torch.cuda.device_count()
reasons = [why_unavailable(device) for device in ("cuda:0", "cuda:0", "cuda:1", "cpu")]
machine = describe_machine({})
(entry,) = meters_of(Search("cuda:0", Path("no-tree"))).values()
say({
    "seen": seen,
    "reasons": [reason and [reason.code, str(reason)] for reason in reasons],
    "starts": len(starts),
    "gpus": machine["gpus"],
    "driver": machine["gpu_driver"],
    "versions": machine["versions"],
    "meter": [entry.status, entry.reason.code] if isinstance(entry, MeterError) else "a meter",
    "identity": device_identity("cuda:0").uuid,
})
"""
)


def asked(play: Play, *lines: str, **variables: str) -> Any:
    set_them = "".join(f"os.environ[{name!r}] = {value!r}\n" for name, value in variables.items())
    return play(set_them + ASK, *(lines or (ONE_GPU,)))


def test_torch_counts_by_the_stand_in(play: Play) -> None:
    assert play(BUILD + "say(torch.cuda.device_count())", ONE_GPU, "device GPU-2") == 2


def test_a_card_that_works(play: Play) -> None:
    found = asked(play)
    assert (found["seen"], found["gpus"], found["driver"]) == (1, ["Stand-in GPU"], "570.0.fake")
    first, again, absent, cpu = found["reasons"]
    assert first is again is cpu is None
    assert absent[0] == "one_device_only"
    assert found["versions"]["cuda"] == "13.0"
    assert found["identity"] == "no-uuid"


@pytest.mark.parametrize("error", [OLD_DRIVER, UNREADY, NO_INSTANCE])
def test_a_cuda_that_does_not_start(play: Play, error: str) -> None:
    found = asked(play, CUDA_ERROR=error)
    assert found["seen"] == 1, "NVML shows the card"
    first, again, other, cpu = found["reasons"]
    assert (first, cpu) == (again, None)
    assert first[0] == other[0] == "cuda_not_started_least"
    assert first[1].startswith(
        f"cuda:0 cannot be used, since CUDA does not start: {error}; see in nvidia-smi whether the driver is 580 or "
    )
    assert found["starts"] == 1, "it is started once"
    assert (found["gpus"], found["driver"], found["identity"]) == ([], None, None)
    assert "cudnn" not in found["versions"]
    assert found["meter"] == ["driver_error", "cuda_not_started_least"]


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-none", "not a number"])
def test_cards_that_are_hidden(play: Play, visible: str) -> None:
    """torch's own reading of the variable; CUDA is not started, since there is nothing to start it for."""
    found = asked(play, CUDA_VISIBLE_DEVICES=visible)
    first, _, other, cpu = found["reasons"]
    assert (found["seen"], found["starts"], found["gpus"], cpu) == (0, 0, [], None)
    assert first[0] == other[0] == "no_such_device"
    assert first[1].endswith(
        "torch sees 0 CUDA devices; pass --blip-device=cpu, or check the driver and CUDA_VISIBLE_DEVICES"
    )
    assert found["meter"] == ["driver_error", "no_such_device"]


def test_one_card_of_two_is_shown(play: Play) -> None:
    found = asked(play, ONE_GPU, "device GPU-2", CUDA_VISIBLE_DEVICES="1")
    first, _, other, _ = found["reasons"]
    assert (found["seen"], first, other[0]) == (1, None, "one_device_only")


def test_a_card_that_torch_is_not_built_for(play: Play) -> None:
    # torch warns of every such card when it starts, which is no error of a run with warnings as errors.
    found = asked(play, CUDA_CAPABILITY="7.0", CUDA_ARCHITECTURES="sm_75 sm_80 sm_90 sm_120 compute_120")
    code, said = found["reasons"][0]
    assert code == found["meter"][1] == "card_not_in_build"
    assert said.startswith("cuda:0 (Stand-in GPU) has compute capability 7.0 and torch 2.")
    assert "is built for sm_75, sm_80, sm_90, sm_120, compute_120 alone; install a build of torch for that card" in said
    assert found["gpus"] == ["Stand-in GPU"]


def test_a_card_that_cannot_be_worked_on(play: Play) -> None:
    found = asked(play, CUDA_BUSY=BUSY)
    code, said = found["reasons"][0]
    assert code == found["meter"][1] == "device_not_started"
    assert "CUDA error: all CUDA-capable devices are busy or unavailable; see in nvidia-smi whether" in said


def test_a_library_that_fails_leaves_the_word_to_cuda(play: Play) -> None:
    # torch warns that NVML does not start, and asks CUDA.
    found = asked(play, ONE_GPU, "error nvmlInit 18", "error nvmlInitWithFlags 18")
    assert found["reasons"][0] is None
    assert found["driver"].startswith("unknown (")


@pytest.mark.parametrize(
    ("error", "count"),
    [
        ("nvmlInitWithFlags 9", 0),  # no driver
        ("nvmlInitWithFlags 12", 0),  # no library
        ("nvmlInitWithFlags 4", 1),  # no permission
        ("nvmlInitWithFlags 18", 1),  # the driver was updated and not loaded again
        ("nvmlInitWithFlags 999", 1),
        ("nvmlDeviceGetCount_v2 15", 1),  # a card is lost
    ],
)
def test_a_driver_that_fails_is_no_machine_without_a_card(play: Play, error: str, count: int) -> None:
    assert play("say(nvidia_device_count())", "device GPU-1", "device GPU-2", f"error {error}") == count
