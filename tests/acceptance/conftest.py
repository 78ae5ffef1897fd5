"""The suite's own files, in a folder of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the suite's own conftest.py and benchmarks/."""
    folder = tmp_path_factory.mktemp("suite")
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
    return folder
