"""Devices: which are asked for, and why one is not there."""

from __future__ import annotations

import pytest
import torch

from blip_fixtures.devices import primary_device, requested_devices, why_unavailable


@pytest.mark.parametrize(
    ("wanted", "gpus", "expected"),
    [
        (("auto",), 0, ["cpu"]),
        (("auto",), 2, ["cpu", "cuda:0"]),
        (("cuda",), 0, ["cuda:0"]),
        (("cuda:1", "cpu", "cuda:1"), 2, ["cuda:1", "cpu"]),
    ],
)
def test_requested(wanted: tuple[str, ...], gpus: int, expected: list[str]) -> None:
    assert requested_devices(wanted, lambda: gpus) == expected


@pytest.mark.parametrize(
    ("named", "primary"), [(["cpu"], "cpu"), (["cpu", "cuda:0"], "cuda:0"), (["cuda:1", "cuda:0", "cpu"], "cuda:0")]
)
def test_primary(named: list[str], primary: str) -> None:
    assert primary_device(named) == primary


def test_the_cpu_is_always_there() -> None:
    assert why_unavailable("cpu") is None


def test_a_build_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "needs a CUDA build of torch and" in str(why_unavailable("cuda:0"))


def test_an_absent_device_is_named_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert why_unavailable("cuda:0") is None
    assert str(why_unavailable("cuda:3")).startswith("cuda:3 is not on this machine: torch sees 1 CUDA device;")
