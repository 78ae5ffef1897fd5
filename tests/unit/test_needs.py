"""What each optimization needs of a machine, over fake devices, versions of torchao, and missing headers."""

from __future__ import annotations

import configparser
import contextlib
import importlib.metadata
import shutil
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from packaging.version import Version

from blip_fixtures.optimizations import OPTIMIZATIONS, find_optimization, needs
from blip_fixtures.optimizations import compile as compiling

ROOT = Path(__file__).parents[2]
CAPABILITIES = [(7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (12, 0)]
# The least capability on which a name can run; the rest is refused beforehand, with a code.
LEAST = {
    "fp16": (7, 0),
    "fp32": (7, 0),
    "bf16": (7, 0),
    "eager": (7, 0),
    "sdpa": (7, 0),
    "compile": (7, 0),
    "fp32+compile": (7, 0),
    "bf16+compile": (8, 0),
    "flash_attention_2": (8, 0),
    "bf16+flash_attention_2": (8, 0),
    "int8": (8, 0),
    "int4": (8, 0),
    "bf16+compile+int8": (8, 0),
    "bf16+compile+int4": (8, 0),
}
NEVER = {
    "int8_dynamic": "integer_products_on_cuda",
    "fp16+int4": "dtype_of_kernels",
    "fp32+int4": "dtype_of_kernels",
    "fp32+flash_attention_2": "dtype_of_kernels",
}


@pytest.fixture(params=CAPABILITIES, ids=lambda found: f"sm{found[0]}{found[1]}")
def capability(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[int, int]:
    """A machine that has all else: a GPU whose current device is another one."""
    found: tuple[int, int] = request.param
    current = ["cuda:0"]

    @contextlib.contextmanager
    def device(name: str) -> Iterator[None]:
        before, current[0] = current[0], name
        yield
        current[0] = before

    def properties(name: str) -> SimpleNamespace:
        return SimpleNamespace(major=found[0] if name == "cuda:1" else 7)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: found if name == "cuda:1" else (7, 0))
    monkeypatch.setattr(needs, "_torchao_version", lambda: "0.18.0+cu130")
    monkeypatch.setattr(compiling, "find_spec", lambda _name: object())
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    return found


def test_every_optimization_has_a_row_here() -> None:
    named = {part for name in (*LEAST, *NEVER) for part in name.split("+")}
    assert named == set(OPTIMIZATIONS)


@pytest.mark.parametrize("name", LEAST)
def test_the_capability_that_it_needs(name: str, capability: tuple[int, int]) -> None:
    reason = find_optimization(name).why_unavailable("cuda:1")
    assert (reason is None) == (capability >= LEAST[name]), reason
    assert reason is None or reason.code in ("capability_too_low", "no_native_bf16")


@pytest.mark.parametrize("name", NEVER)
def test_what_no_gpu_can_run(name: str, capability: tuple[int, int]) -> None:
    reason = find_optimization(name).why_unavailable("cuda:1")
    assert reason is not None
    assert reason.code == NEVER[name]


@pytest.mark.parametrize("name", [name for name in NEVER if name != "int8_dynamic"])
def test_the_cpus_kernels_take_any_dtype(name: str) -> None:
    assert find_optimization(name).why_unavailable("cpu") is None


def test_the_sentences(capability: tuple[int, int]) -> None:
    said = {name: str(find_optimization(name).why_unavailable("cuda:1")) for name in (*NEVER, "int8", "bf16+compile")}
    assert said["fp16+int4"] == (
        "int4 on CUDA has kernels for bfloat16 and the weights are in float16; choose another dtype"
    )
    assert said["fp32+flash_attention_2"].startswith("flash_attention_2 on CUDA has kernels for float16, bfloat16 and")
    if capability == (7, 5):
        assert said["int8"] == "int8 needs compute capability 8.0 and cuda:1 has 7.5"
        assert said["bf16+compile"] == "compile makes no bf16 code for cuda:1, which only emulates bf16; choose fp16"


@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "no_torchao"),
        ("0.9.0", "torchao_too_old"),
        ("0.17.1+cu128", "torchao_too_old"),
        ("0.18.0", None),
        ("0.18.0.dev20260801", None),
        ("0.20.0", None),
        ("1.0", None),
    ],
)
def test_versions_of_torchao(name: str, version: str | None, code: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # whichever card this machine has
    monkeypatch.setattr(needs, "_torchao_version", lambda: version)
    reason = find_optimization(name).why_unavailable("cuda:0")
    assert (reason and reason.code) == code
    assert find_optimization(name).why_unavailable("cpu") is None
    if version == "0.9.0":
        assert str(reason) == f"{name} on CUDA needs torchao 0.18 or later and 0.9.0 is installed; install a later one"


def test_a_folder_called_torchao_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torchao").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.metadata, "version", _not_found)
    reason = needs.no_torchao("int8")
    assert str(reason) == "int8 on CUDA needs the package torchao; install it"


def test_the_extra_for_cuda_is_what_the_code_asks_for() -> None:
    """And what the GPU job installs, under the pin of all environments."""
    least = needs.TORCHAO
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["optional-dependencies"]["cuda"] == [f"torchao>={least}"]
    assert f"torchao>={least}" in project["dependency-groups"]["test"], "or the tests of its tensors are skipped"
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert Version(pins["torchao"]) >= Version(needs.TORCHAO)
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert tox["testenv:gpu"]["extras"] == "cuda"


def _not_found(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("variable", [None, "CPATH", "C_INCLUDE_PATH"])
def test_missing_headers_of_python(
    device: str, variable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # as above
    monkeypatch.setattr(compiling, "find_spec", lambda _name: object())
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path / "none"))
    for name in ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"):
        monkeypatch.delenv(name, raising=False)
    reason = find_optimization("compile").why_unavailable(device)
    assert reason is not None
    assert reason.code == "no_python_headers"
    assert str(reason).startswith("compile needs Python.h and ")
    if variable is not None:
        (tmp_path / "Python.h").touch()
        monkeypatch.setenv(variable, f"/nowhere:{tmp_path}")
        assert find_optimization("compile").why_unavailable(device) is None


def test_a_missing_triton_is_a_reason_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(compiling, "find_spec", lambda _name: None)
    reason = find_optimization("compile").why_unavailable("cuda:0")
    assert reason is not None
    assert reason.code == "no_triton"
