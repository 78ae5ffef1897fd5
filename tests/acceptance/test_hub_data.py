"""Datasets of the hub for real: a process of its own against a hub on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from tests.hub_server import COMMIT, hub_environment, serving

LOAD = """
import json, sys
from blip_fixtures.data.sources import DataError, load_samples
try:
    samples = load_samples("textvqa", "hub", 2, override=sys.argv[1] or None)
except DataError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({"source": samples.source, "revision": samples.revision, "first": samples[0].question}))
"""
Load = Callable[..., dict[str, str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The packaged questions as a repository of the hub has them, beside a split that nobody asks for."""
    packaged = Path(str(files("blip_fixtures.data").joinpath("samples", "textvqa", "validation-00000.parquet")))
    data = tmp_path / "repository" / "data"
    data.mkdir(parents=True)
    shutil.copy(packaged, data / "validation-00000-of-00001.parquet")
    shutil.copy(packaged, data / "train-00000-of-00001.parquet")
    return data.parent


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """What a process with an empty cache gets from the hub at `endpoint`."""

    def start(endpoint: str, override: str = "") -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", LOAD, override],
            env=hub_environment(endpoint, tmp_path / "cache"),
            capture_output=True,
            text=True,
            check=True,
        )
        said: dict[str, str] = json.loads(done.stdout)
        return said

    return start


def test_the_second_repository_stands_in_and_its_commit_is_recorded(load: Load, repository: Path) -> None:
    with serving("lmms-lab/textvqa", repository, kind="dataset") as hub:
        found = load(hub.url)
        fetched = [path for path in hub.asked if path.endswith(".parquet")]
        # The commit that was recorded reads the very same rows, also when the hub has gone.
        hub.files.clear()
        again = load("http://127.0.0.1:9", f"lmms-lab/textvqa@{found['revision']}")
    assert (found["source"], found["revision"]) == ("lmms-lab/textvqa", COMMIT)
    assert {path.rpartition("/")[2] for path in fetched} == {"validation-00000-of-00001.parquet"}
    assert again == found


def test_a_file_cut_off_on_its_way(load: Load, repository: Path) -> None:
    with serving("lmms-lab/textvqa", repository, kind="dataset") as hub:
        hub.cut.add("data/validation-00000-of-00001.parquet")
        error = load(hub.url, f"lmms-lab/textvqa@{COMMIT}")["error"]
    assert error.startswith("cannot fetch textvqa from 'lmms-lab/textvqa': the connection to ")
    assert error.endswith("run again, what was fetched is kept")


def test_no_repository_and_no_network(load: Load, repository: Path) -> None:
    with serving("somebody/else", repository, kind="dataset") as hub:
        error = load(hub.url)["error"]
    for name in ("lmms-lab-encoder/textvqa", "lmms-lab/textvqa"):
        assert f"cannot fetch textvqa from '{name}': {hub.url} knows no such repository, or it is private" in error
    assert "cannot be reached and the local cache lacks the files" in load("http://127.0.0.1:9")["error"]
