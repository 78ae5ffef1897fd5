"""A run among planted secrets: no byte of any file has one, whatever pytest and pytest-benchmark are asked to write."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
from tests.planted import ARGUMENTS, REMOTE, USER, VARIABLES, files_below, secrets
from tests.plugin.conftest import Suite

ONE_CASE = """
import pytest

@pytest.mark.parametrize("batch_size", [1])
def test_batch_size(measure):
    measure()
"""
# Of the second case, so that the message of an exception is among what is written.
FAILING = """
import os
import pytest

@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")
@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_size(measure, batch_size, monkeypatch):
    if batch_size == 2:
        def fail(*_):
            raise RuntimeError(
                f"no answer from {os.environ['HF_ENDPOINT']}/api with {os.environ['HF_TOKEN']}, "
                f"see {os.environ['HOME']}/log and /data/zoeplanted/log of {os.uname().nodename}"
            )
        monkeypatch.setattr("blip_fixtures.engine.session.run_passes", fail)
    measure()
"""
LATENCY = "--blip-measure=latency"
FILES = ("--benchmark-json=own.json", "--benchmark-save=mine", "--junitxml=junit.xml")


class Place:
    """A home folder with a checkpoint and data in it, a repository with a remote, and a command line."""

    def __init__(self, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suite = suite
        self.folder = suite.pytester.path
        # Beside the folder of the run, whose own path pytest prints.
        self.home = self.folder.parent / f"{self.folder.name}-homes" / USER
        packaged = resolve_checkpoint(PACKAGED).folder
        assert packaged is not None
        shutil.copytree(packaged, self.home / "models" / "mine")
        shutil.copytree(str(files("blip_fixtures.data") / "samples"), self.home / "my data")
        for name, value in {**VARIABLES, "HOME": str(self.home), "USER": USER, "LOGNAME": USER}.items():
            monkeypatch.setenv(name, value)
        self.arguments = [f"--blip-model={self.home}/models/mine", f"--blip-data={self.home}/my data"]
        given = [part for name, value in ARGUMENTS.items() for part in flag(name, value)]
        monkeypatch.setattr(sys, "argv", ["pytest", *given, *self.arguments, f"{self.home}/benchmarks"])
        for command in (
            ["init", "-q", "-b", f"{USER}-branch"],
            ["config", "remote.origin.url", REMOTE],
            ["-c", "user.name=n", "-c", "user.email=e@example", "commit", "-q", "--allow-empty", "-m", "none"],
        ):
            subprocess.run(["git", *command], cwd=self.folder, check=True)

    def run(self, benchmarks: str, *more: str) -> pytest.RunResult:
        return self.suite.run(benchmarks, *self.arguments, *more)

    def written(self) -> dict[str, bytes]:
        own = {"conftest.py", "test_it.py"}
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in files_below(self.folder)
            if path.name not in own and "__pycache__" not in path.parts
        }

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "reports" / "local" / "mine" / "records.json").read_text())
        return found


def flag(name: str, value: str) -> list[str]:
    return [f"{name}{value}"] if name.endswith("=") else [name, value]


@pytest.fixture
def place(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(suite, monkeypatch)


def found_in(content: bytes, texts: list[str]) -> list[str]:
    """Those of `texts` that `content` has, as they stand or as JSON writes them."""
    return [text for text in texts if text.encode() in content or json.dumps(text)[1:-1].encode() in content]


def test_no_file_has_a_secret_or_the_home_folder(place: Place) -> None:
    result = place.run(FAILING, *FILES)
    result.assert_outcomes(passed=1, failed=1)
    written = place.written()
    assert {"own.json", "junit.xml"} < written.keys()
    assert any(name.startswith(".benchmarks/") for name in written)
    for name in ("README.md", "index.html", "records.json", "journal.jsonl"):
        assert f"reports/local/mine/{name}" in written
    assert {name: found for name, content in written.items() if (found := found_in(content, secrets()))} == {}
    shown = (result.stdout.str() + result.stderr.str()).encode()
    assert found_in(shown, secrets()) == []
    # JUnit's file is pytest's own; it has the traceback of a failing test with the places of its lines.
    ours = {name: content for name, content in written.items() if name != "junit.xml"}
    personal = [str(place.home), f"/{USER}/", f"/{USER}'"]
    assert {name: found for name, content in ours.items() if (found := found_in(content, personal))} == {}
    failed = next(record for record in place.document()["blip"]["not_run"])
    said = failed["reason"]["args"]["message"]
    assert said.startswith("no answer from https://***@hub.example/api with ***, see ~/log and /data/~/log of ")
    # What a run is worth is still there.
    environment = failed["environment"]
    assert environment["command"].startswith("pytest --some-token *** --password=*** -k 'batch01 and not ***' ")
    assert "--blip-model=~/models/mine '--blip-data=~/my data' ~/benchmarks" in environment["command"]
    assert failed["case"]["model"] == "~/models/mine"
    assert failed["data"]["source"] == "~/my data"
    assert environment["commit"] == place.document()["commit_info"]["id"]
    assert place.document()["commit_info"]["project"] == "git.example"


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "native", "no"])
def test_no_style_of_traceback_shows_a_secret(place: Place, style: str) -> None:
    logging = FAILING.replace("def fail(*_):", "def fail(*_):\n            print(os.environ['HF_TOKEN'])")
    result = place.run(logging, f"--tb={style}", "--showlocals", "-k", "batch02")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    shown = (result.stdout.str() + result.stderr.str()).encode()
    assert found_in(shown, secrets()) == []


def test_an_anonymous_run_says_not_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "planted-host.corp.example")
    result = place.run(FAILING.replace("os.uname().nodename", "'planted-host'"), "--blip-anonymous", *FILES)
    result.assert_outcomes(passed=1, failed=1)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=place.folder, check=True, capture_output=True, text=True)
    places = [USER, commit.stdout.strip(), "planted-host", "git.example", str(place.folder), "/data/", "models/mine"]
    ours = {name: content for name, content in place.written().items() if name != "junit.xml"}
    assert {name: found for name, content in ours.items() if (found := found_in(content, places + secrets()))} == {}
    document = place.document()
    assert document["machine_info"]["node"] is None
    assert {value for value in document["commit_info"].values() if not isinstance(value, bool)} == {None}
    failed = next(record for record in document["blip"]["not_run"])
    assert failed["case"]["model"] == "mine"
    assert failed["data"]["source"] == "my data"
    assert failed["environment"]["command"].endswith("--blip-model=mine '--blip-data=my data' benchmarks")


def test_the_hash_of_the_settings_is_that_of_the_names_as_given(place: Place) -> None:
    place.run(ONE_CASE, LATENCY)
    own = place.document()["benchmarks"][0]["extra_info"]["blip"]["config_hash"]
    place.run(ONE_CASE, LATENCY, "--blip-anonymous")
    assert place.document()["benchmarks"][0]["extra_info"]["blip"]["config_hash"] == own


def test_the_gate_names_no_home(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = f"--benchmark-storage={place.home}/runs"
    exact = "--blip-measure=flops"
    place.run(ONE_CASE, exact, storage, "--benchmark-save=base")
    place.run(ONE_CASE, exact, storage, "--benchmark-compare", "--blip-compare-fail=flops:0%")
    verdict = (place.folder / "reports" / "local" / "mine" / "gate.md").read_text()
    assert "~/runs/" in verdict
    assert str(place.home) not in verdict


def test_other_suites_keep_what_pytest_benchmark_finds(suite: Suite) -> None:
    """The plugin is loaded by every run of its environment."""
    suite.pytester.makepyfile(test_other="def test_other(benchmark):\n    benchmark(len, 'a')\n")
    suite.pytester.runpytest_inprocess("--blip-anonymous", "--benchmark-json=own.json", "test_other.py")
    found = json.loads(Path("own.json").read_text())
    assert found["machine_info"]["node"] == platform.node()
    assert found["commit_info"]["project"] == suite.pytester.path.name
