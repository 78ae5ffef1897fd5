"""The real suite in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blip_fixtures.record import Record, read_records

ROOT = Path(__file__).parents[2]


def pytest_process(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in `cwd` and return what it printed; the environment is the tests' own without pytest's variables.

    Compiling takes most of a minute a row, so there is no compiler: those rows are gaps here.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["CXX"] = "no-such-compiler"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(folder: Path) -> subprocess.CompletedProcess[str]:
    """All five sweeps, with two timed rounds a case on sixteen samples, in batches of four where it is not the axis."""
    quick = ("--blip-limit=16", "--blip-rounds=2", "--blip-warmup-rounds=1", "--blip-baseline=batch_size=4")
    return pytest_process("benchmarks", *quick, "--blip-device=cpu", cwd=folder)


@pytest.fixture(scope="module")
def records(folder: Path, finished: subprocess.CompletedProcess[str]) -> list[Record]:
    found = read_records(folder / "reports" / "local" / "instructblip-tiny" / "records.json")
    return [record for record in found if not record.again]


def test_the_run_is_green_and_prints_its_tables(finished: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for title in ("Device Tests", "Batch Tests", "Image Size Tests", "Sequence Length Tests", "Optimization Tests"):
        assert f"\n{title}\n" in finished.stdout
    assert f"The document: {folder / 'reports/local/instructblip-tiny/README.md'}" in finished.stdout
    assert "[28/28]" in finished.stdout
    assert "no-such-compiler is not on the PATH" in finished.stdout


def test_every_sweep_has_the_cases_of_the_documents_tables(records: list[Record]) -> None:
    def values(sweep: str, axis: str) -> list[object]:
        return list(dict.fromkeys(getattr(record.case, axis) for record in records if sweep in record.sweeps))

    assert values("device", "device") == ["cpu"]
    assert values("batch_size", "batch_size") == [1, 4, 8, 16]
    assert set(values("image_size", "image_size")) == {224, 336, 448}
    assert set(values("sequence_length", "sequence_length")) == {200, 100, 50}
    for sweep in ("image_size", "sequence_length"):
        assert set(values(sweep, "dataset")) == {"textvqa", "coco", "scienceqa"}
    assert values("optimization", "optimization") == [
        "fp16",
        "fp32",
        "bf16",
        "compile",
        "flash_attention_2",
        "fp16+eager",
        "int8",
        "int4",
        "int8_dynamic",
        "bf16+compile+int4+int8_dynamic",
    ]
    assert values("optimization", "dataset") == ["scienceqa"]
    assert len({record.case_id for record in records}) == len(records) == 27


def test_every_axis_reaches_the_model(records: list[Record]) -> None:
    flops = {record.case_id: record.flops.total for record in records if record.status == "ok" and record.flops}

    def of(batch: int, image: int, dataset: str = "coco", sequence: int = 200) -> float:
        total = flops[f"{dataset}-cpu-fp16-batch{batch:02d}-image{image:04d}-seq{sequence:03d}"]
        assert total is not None
        return total

    assert of(4, 224) < of(4, 336) < of(4, 448)
    assert of(1, 224, "textvqa") * 10 < of(16, 224, "textvqa")
    assert of(4, 224, "scienceqa", 50) < of(4, 224, "scienceqa", 100) < of(4, 224, "scienceqa", 200)


def test_the_document_is_the_same_from_files_alone(
    folder: Path, finished: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    run = folder / "reports" / "local" / "instructblip-tiny"
    for name in ("records.json", "journal.jsonl"):
        out = tmp_path / name
        command = [sys.executable, "-m", "blip_fixtures.report", str(run / name), "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        assert (out / "README.md").read_text() == (run / "README.md").read_text()
        assert {path.name for path in (out / "plots").iterdir()} == {path.name for path in (run / "plots").iterdir()}


def test_a_dataset_is_chosen_by_name(folder: Path) -> None:
    chosen = pytest_process(
        "benchmarks", "--blip-device=cpu", "--collect-only", "-q", "-k", "textvqa and batch01", cwd=folder
    )
    lines = [line for line in chosen.stdout.splitlines() if "::" in line]
    assert {line.partition("::")[2].partition("[")[0] for line in lines} == {"test_batch_size", "test_device"}
    nothing = pytest_process("benchmarks", "--blip-device=cpu", "--collect-only", "-q", "-k", "vizwiz", cwd=folder)
    assert nothing.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
