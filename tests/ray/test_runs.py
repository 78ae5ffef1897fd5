"""Whole runs of pytest on clusters of two nodes: the document, the gate, runs that are stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from blip_fixtures.gate.__main__ import main as gate
from blip_fixtures.pytest_plugin.stored import why_unreadable
from blip_fixtures.record import read_records
from blip_fixtures.words import Status
from tests.plugin.conftest import OPERATING_POINT
from tests.ray.conftest import labelled, start_cluster

ROOT = Path(__file__).parents[2]
QUICK = ("--blip-limit=16", "--blip-rounds=2", "--blip-warmup-rounds=1", "--blip-new-tokens=2", "--blip-lock=off")
ALONE = ("--blip-measure=latency,quality", "-p", "no:cacheprovider")
SWEEP = """
import pytest

@pytest.mark.every_device
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_device(measure):
    measure()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    started = start_cluster(labelled("a"), labelled("b"))
    yield started.address
    started.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(OPERATING_POINT)
    (tmp_path / "test_it.py").write_text(SWEEP)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *QUICK, *ALONE, *args]


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), cwd=folder, capture_output=True, text=True, check=False)


def actors() -> list[psutil.Process]:
    """Of clusters that this process started. Ray gives its workers the name of what they do."""
    return [each for each in psutil.Process().children(recursive=True) if "ray::Measurer" in _command_of(each)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_until(true: Callable[[], bool], most_s: float = 60.0) -> None:
    end_s = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def ids(folder: Path) -> list[str]:
    journal = folder / "reports" / "local" / "instructblip-tiny" / "journal.jsonl"
    return [record.case_id for record in read_records(journal)] if journal.exists() else []


def test_one_document_with_a_row_for_each_node(address: str, tmp_path: Path) -> None:
    where = ("--blip-ray", address, "--blip-device=every", f"--blip-report-dir={tmp_path}")
    chosen = ("benchmarks", "-k", "test_device or test_batch_size", f"--benchmark-storage={tmp_path / 'stored'}")
    done = run(ROOT, *chosen, *where, "--benchmark-autosave")
    assert done.returncode == 0, done.stdout + done.stderr
    report = tmp_path / "instructblip-tiny"
    rows = [line for line in (report / "README.md").read_text().splitlines() if line.startswith("| CPU (")]
    assert [row.split("|")[1].split(",")[-1].strip(" )") for row in rows[:2]] == ["cpu@a", "cpu@b"]
    assert why_unreadable(report / "records.json") is None
    document = json.loads((report / "records.json").read_text())
    assert len(document["benchmarks"]) == 5, "a case that two sweeps show stands there once"
    assert all(len(each["stats"]["data"]) == 2 for each in document["benchmarks"])
    records = read_records(report / "records.json")
    assert {record.case.device for record in records} == {"cpu@a", "cpu@b"}
    assert all(record.environment["host"] and record.environment["ray"]["version"] for record in records)
    assert all(record.latency is not None and len(record.latency.rounds_s) == 2 for record in records)
    assert "2 left" in done.stdout
    wait_until(lambda: not actors(), 20)

    rules = ("--blip-compare-fail=quality:0", "--blip-compare-fail=latency:900%")
    judged = run(ROOT, *chosen, *where, "--benchmark-compare", *rules)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "gate" in judged.stdout
    stored = next((tmp_path / "stored").rglob("*.json"))
    assert gate(["compare", "--base", str(stored), "--now", str(report / "records.json"), "--fail", "quality:0"]) == 0


def test_a_run_that_is_stopped_and_killed_is_gone_on_with_on_another_cluster(folder: Path) -> None:
    first = start_cluster(labelled("a"), labelled("b"))
    on_it = ("--blip-ray", first.address, "--blip-device=cpu@a", "--blip-rounds=30")
    stopped = subprocess.Popen(command(*on_it), cwd=folder, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: len(ids(folder)) >= 1)
    stopped.send_signal(signal.SIGINT)
    said, _ = stopped.communicate()
    assert stopped.returncode == 2, said
    wait_until(lambda: not actors(), 20)
    kept = ids(folder)
    assert 1 <= len(kept) < 3

    killed = subprocess.Popen(command(*on_it, "--blip-resume"), cwd=folder, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(ids(folder)) > len(kept))
    assert actors()
    killed.kill()
    killed.wait()
    wait_until(lambda: not actors(), 20)
    assert ids(folder)[: len(kept)] == kept
    first.shutdown()

    second = start_cluster(labelled("b"), labelled("a"))
    done = run(folder, "--blip-ray", second.address, *on_it[2:], "--blip-resume")
    second.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taken over" in done.stdout
    assert len(ids(folder)) == len(set(ids(folder))) == 3, "each case once"
    report = folder / "reports" / "local" / "instructblip-tiny" / "records.json"
    assert {record.status for record in read_records(report)} == {Status.OK}


def test_quality_alone_is_shared_and_gone_on_with(address: str, folder: Path) -> None:
    args = [*QUICK, "-p", "no:cacheprovider", "--blip-measure=quality", "--blip-ray", address, "--blip-device=cpu@a"]
    pytest_itself = [sys.executable, "-W", "error", "-m", "pytest", "--junitxml=junit.xml", *args]
    done = subprocess.run(pytest_itself, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 answers" in done.stdout
    assert "3 passed" in done.stdout
    report = folder / "reports" / "local" / "instructblip-tiny"
    records = read_records(report / "records.json")
    assert [record.case.batch_size for record in records] == [1, 2, 4]
    assert all(record.latency is None and record.quality["vqa_accuracy"].value is not None for record in records)
    assert "not timed: quality alone was asked for on a cluster" in (report / "README.md").read_text()
    assert why_unreadable(report / "records.json") is None
    itself = ["compare", "--base", str(report / "records.json"), "--now", str(report / "records.json")]
    assert gate([*itself, "--fail", "quality:0"]) == 0

    again = subprocess.run([*pytest_itself, "--blip-resume"], cwd=folder, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "--blip-resume takes 3 of 3 cases" in again.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "pytest", *args, "--benchmark-compare", "--blip-compare-fail=latency:5%"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 4
    assert "judges what --blip-measure leaves out; add latency to it" in refused.stderr


def test_a_cluster_of_this_machine_alone_and_no_host_in_an_anonymous_run(folder: Path) -> None:
    (folder / "test_it.py").write_text(SWEEP.replace("[1, 2, 4]", "[1]"))
    # Ray writes a token for its clusters to the home folder; others would want it from then on.
    environment = {**os.environ, "HOME": str(folder)}
    environment.pop("OMP_NUM_THREADS", None)
    args = command("--blip-ray=local", "--blip-anonymous", "--blip-measure=latency")
    done = subprocess.run(args, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    report = folder / "reports" / "local" / "instructblip-tiny"
    host = os.uname().nodename
    text = (report / "records.json").read_text() + (report / "README.md").read_text()
    assert f'"{host}"' not in text
    assert f"@{host}" not in text
    (record,) = read_records(report / "records.json")
    through: Any = record.environment["ray"]
    assert any(said.startswith("OMP_NUM_THREADS=") for said in through["undone"])
    assert record.environment["torch_threads"] == psutil.cpu_count(logical=False) or psutil.cpu_count()
    assert "host" not in record.environment


def test_an_address_where_nobody_is(folder: Path) -> None:
    with socket.socket() as taken:
        # Nobody listens: the port is kept from others, and refuses.
        taken.bind(("127.0.0.1", 0))
        done = run(folder, f"--blip-ray=127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 4
    assert "there is no Ray cluster" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
