"""The hub's path for real: a process of its own against a hub on loopback, `HF_ENDPOINT` naming it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from blip_fixtures.record import read_records
from tests.hub_server import COMMIT, Hub, hub_environment, serving

REPO = "somebody/instructblip-small"
PACKAGED_FOLDER = Path(str(files("blip_fixtures.checkpoints").joinpath("instructblip-tiny")))
Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What the hub has: a copy of the packaged checkpoint."""
    return Path(shutil.copytree(PACKAGED_FOLDER, tmp_path / "repository"))


@pytest.fixture
def hub(repository: Path) -> Iterator[Hub]:
    with serving(REPO, repository) as hub:
        yield hub


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Runner:
    """One case of the suite, with an empty cache of its own and short waits for the hub."""

    def start(endpoint: str, *args: str, model: str = REPO) -> subprocess.CompletedProcess[str]:
        quick: tuple[str, ...] = ("-k", "test_device", "--blip-limit=2", "--blip-rounds=1", "--blip-warmup-rounds=0")
        quick += ("--blip-device=cpu", "--blip-energy=off", f"--blip-model={model}")
        where = f"--blip-report-dir={tmp_path / 'reports'}"
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benchmarks", *quick, where, *args],
            cwd=folder,
            env=hub_environment(endpoint, tmp_path / "cache"),
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def the_error(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a usage error; no benchmark ran and no traceback was printed."""
    said = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, said
    assert "Traceback" not in said
    assert " passed" not in done.stdout
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return error


def test_a_checkpoint_of_the_hub_is_fetched_and_measured(hub: Hub, run: Runner, tmp_path: Path) -> None:
    done = run(hub.url, f"--blip-revision={COMMIT}")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = read_records(tmp_path / "reports" / "instructblip-small" / "records.json")
    assert (record.case.model, record.status) == (REPO, "ok")
    assert record.environment["hub_revision"] == COMMIT
    fetched = [path for path in hub.asked if path.endswith((".safetensors", "config.json"))]
    # The configuration comes first: what it says may spare the weights.
    assert fetched[-1].endswith("model.safetensors")
    # What was fetched is used again when the hub has gone.
    again = run("http://127.0.0.1:9", f"--blip-revision={COMMIT}")
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_model_that_the_suite_does_not_measure_costs_no_download_of_weights(
    hub: Hub, run: Runner, repository: Path
) -> None:
    config = repository / "config.json"
    config.write_text(config.read_text().replace('"model_type": "instructblip"', '"model_type": "llava"'))
    assert "is of model type 'llava' and the suite measures 'instructblip'" in the_error(run(hub.url))
    assert not [path for path in hub.asked if path.endswith(".safetensors")]


def test_unknown_id(hub: Hub, run: Runner) -> None:
    assert the_error(run(hub.url, model="nobody/nothing")) == (
        f"ERROR: cannot fetch checkpoint 'nobody/nothing': {hub.url} knows no such repository, or it is private; "
        "check the id, or log in where it is private"
    )


def test_unknown_revision(hub: Hub, run: Runner) -> None:
    error = the_error(run(hub.url, "--blip-revision=v9"))
    assert error.endswith(f"{hub.url} has no revision 'v9' of it; check its name")


def test_a_file_that_is_listed_and_missing(hub: Hub, run: Runner) -> None:
    hub.absent.add("model.safetensors")
    error = the_error(run(hub.url))
    assert error.startswith(f"ERROR: cannot fetch checkpoint {REPO!r}: {hub.url} answered ")
    assert "404" in error


def test_a_repository_without_weights(hub: Hub, run: Runner) -> None:
    del hub.files["model.safetensors"]
    error = the_error(run(hub.url))
    assert error.startswith(f"ERROR: checkpoint {REPO!r} has no model.safetensors in ")


def test_a_connection_that_drops_midway(hub: Hub, run: Runner) -> None:
    hub.cut.add("model.safetensors")
    error = the_error(run(hub.url))
    assert error.startswith(f"ERROR: cannot fetch checkpoint {REPO!r}: the connection to {hub.url} broke (")
    assert error.endswith("run again, what was fetched is kept")


def test_no_network(run: Runner) -> None:
    assert the_error(run("http://127.0.0.1:9")) == (
        f"ERROR: cannot fetch checkpoint {REPO!r}: http://127.0.0.1:9 cannot be reached and the local cache lacks the "
        "files; check the network, or give a local folder"
    )
