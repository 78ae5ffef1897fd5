"""The real nvidia-ml-py, in a child process, on a library that plays what a test scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.library import build, compiler, environment, write_script

_ROOT = Path(__file__).parents[2]

# What a snippet has: the clock of library and meter, a meter on it, and what it raises as data.
_PRELUDE = """
import ctypes, json, os
from blip_fixtures.meters import MeterError
from blip_fixtures.meters.nvml import NvmlMeter, driver_version, nvidia_device_count

now = 0.0

def at(seconds):
    global now
    now = seconds
    ctypes.CDLL("libnvidia-ml.so.1").fake_nvml_set_clock(ctypes.c_double(seconds))

def meter(uuid):
    return NvmlMeter(uuid, clock=lambda: now)

def opened(uuid):
    found = meter(uuid)
    found.open()
    return found

def joules(found):
    return found.read().counters_uj[0] / 1e6

def failure(call, *args):
    try:
        call(*args)
    except MeterError as error:
        return [error.status, error.reason.code, str(error.reason)]
    return None

def say(value):
    print(json.dumps(value))
"""

Play = Callable[..., Any]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if compiler() is None:
        pytest.skip("no C compiler on PATH: the fake NVML cannot be built")
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def run_python() -> Play:
    """Run a snippet after the prelude, in the environment given, and return what it said."""

    def run(snippet: str, variables: dict[str, str]) -> Any:
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", _PRELUDE + snippet],
            cwd=_ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        return json.loads(child.stdout)

    return run


@pytest.fixture
def play(tmp_path: Path, library: Path, run_python: Play) -> Play:
    """``play(snippet, *lines)``: run the snippet where NVML plays the lines."""

    def run(snippet: str, *lines: str, on: Path = library) -> Any:
        return run_python(snippet, environment(on, write_script(tmp_path, *lines)))

    return run
