"""The suite as a user starts it, on counters that advance at a known power: the document must show that power."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from blip_fixtures.record import Energy, Record, read_records
from blip_fixtures.words import Domain
from tests.advancing_tree import advancing_tree
from tests.nvml import library as fake_nvml

ROOT = Path(__file__).parents[2]
CHOICE = "test_device or test_batch_size and (batch01 or batch16) or test_optimization and (fp16 or fp32) and not eager"
QUICK = ("--blip-limit=16", "--blip-rounds=2", "--blip-warmup-rounds=0", "--blip-measure=energy")
PACKAGE_W, MEMORY_W, GPU_W, OTHER_GPU_W = 80.0, 12.0, 310.0, 55.0
GPU, OTHER_GPU = "GPU-5a1e0000-0000-4000-8000-00000000000b", "GPU-0b5e0000-0000-4000-8000-00000000000a"


def measured(folder: Path, out: str, environment: dict[str, str], *args: str) -> Path:
    """A run with the advancing tree of two sockets; returns where its files lie."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PYTEST")}
    sockets = {"package-0": 0.75 * PACKAGE_W, "package-1": 0.25 * PACKAGE_W, "dram": MEMORY_W, "core": 30.0}
    with advancing_tree(folder / f"tree of {out}", sockets) as tree:
        command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", "-k", CHOICE, *QUICK]
        options = [f"--blip-rapl-root={tree}", f"--blip-report-dir={out}", "--blip-energy=require", *args]
        done = subprocess.run(
            [*command, *options], cwd=folder, env=kept, capture_output=True, text=True, timeout=400, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / out / "instructblip-tiny"


@pytest.fixture(scope="module")
def on_cpu(folder: Path) -> Path:
    return measured(folder, "cpu", dict(os.environ), "--blip-device=cpu")


@pytest.fixture(scope="module")
def on_gpu(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPU that NVML lists behind another one, though it is CUDA's first."""
    if fake_nvml.compiler() is None:
        pytest.skip("no C compiler builds the stand-in for NVML")
    made = tmp_path_factory.mktemp("nvml")
    script = fake_nvml.write_script(
        made,
        "clock real",
        f"device {OTHER_GPU} power_w {OTHER_GPU_W}",
        f"device {GPU} power_w {GPU_W} period_ms 20",
        "process self",
    )
    environment = {
        **fake_nvml.environment(fake_nvml.build(made), script),
        "STAND_IN_UUID": GPU.removeprefix("GPU-"),
        "PYTHONPATH": str(ROOT),
    }
    return measured(folder, "gpu", environment, "-p", "tests.acceptance.cuda_stand_in")


def check(entry: Energy, watts: float) -> None:
    """Every window lies within its own bound of the truth, and the rest follows from the windows."""
    assert entry.windows
    for window in entry.windows:
        assert abs(window.joules - watts * window.window_s) <= window.error_bound_j
        assert window.error_bound_j < 0.2 * window.joules
    assert entry.joules is not None
    assert entry.samples
    assert entry.joules_per_sample == pytest.approx(entry.joules / entry.samples)
    assert entry.idle_watts == pytest.approx(watts, rel=0.05)


def energy_cells(document: Path, title: str, column: str) -> list[str]:
    text = document.read_text()
    block = text[text.index(f"## {title}") :]
    header, _, *rows = re.findall(r"^\|(.*)\|$", block[: block.index("\n\n", block.index("|---"))], re.MULTILINE)
    place = [cell.strip() for cell in header.split("|")].index(column)
    return [row.split("|")[place].strip() for row in rows]


def of(records: list[Record], sweep: str, domain: Domain) -> list[float]:
    shown = [record for record in records if sweep in record.sweeps and not record.again]
    found = [record.energy[domain].joules_per_sample for record in shown]
    return [joules for joules in found if joules is not None]


def test_processor_energy_is_the_trees_power(on_cpu: Path) -> None:
    records = [record for record in read_records(on_cpu / "records.json") if record.status == "ok" and not record.again]
    assert len(records) == 4
    for record in records:
        check(record.energy[Domain.CPU_PACKAGE], PACKAGE_W)
        check(record.energy[Domain.DRAM], MEMORY_W)


def test_the_tables_show_it_with_its_source(on_cpu: Path) -> None:
    records = read_records(on_cpu / "records.json")
    document = on_cpu / "README.md"
    for title, column, sweep, form in (
        ("Device Tests", "Energy", "device", "{:.3f}"),
        ("Optimization Tests", "Energy", "optimization", "{:.3f}"),
    ):
        cells = energy_cells(document, title, column)
        assert cells == [form.format(joules) for joules in of(records, sweep, Domain.CPU_PACKAGE)]
    batch = [float(cell) for cell in energy_cells(document, "Batch Tests", "Energy (per sample)")]
    assert batch == pytest.approx(of(records, "batch_size", Domain.CPU_PACKAGE), rel=0.05)
    shares = energy_cells(document, "Optimization Tests", "% of original Energy")
    assert shares[0] == "100"
    assert float(shares[1]) > 0
    assert "comes from powercap, scope machine, with an error bound of up to" in document.read_text()


def test_each_row_shows_its_own_device(on_gpu: Path) -> None:
    records = [record for record in read_records(on_gpu / "records.json") if record.status == "ok" and not record.again]
    gpu = [record for record in records if record.case.device == "cuda:0"]
    (cpu,) = [record for record in records if record.case.device == "cpu"]
    assert len(gpu) == 4
    assert set(cpu.energy) == {"cpu_package", "dram"}
    check(cpu.energy[Domain.CPU_PACKAGE], PACKAGE_W)
    for record in gpu:
        entry = record.energy[Domain.GPU]
        check(entry, GPU_W)
        assert (entry.source, entry.scope, entry.status) in {
            ("nvml", "board", "ok"),
            ("nvml", "board", "degraded"),
        }
        assert all(window.window_s >= 5 for window in entry.windows)
        check(record.energy[Domain.CPU_PACKAGE], PACKAGE_W)
        assert entry.conditions[0]["temperature_c"] == 45
        assert record.latency is not None
        assert [facts["temperature_c"] for facts in record.latency.conditions] == [45] * len(record.latency.rounds_s)
        assert {"clocks_in_rounds", "attention_backends"} <= {note.code for note in record.notes}
    document = (on_gpu / "README.md").read_text()
    assert "just after the timed rounds the GPU's SM clock was" in document
    assert "attention ran on the backends vision: flash" in document
    cells = energy_cells(on_gpu / "README.md", "Device Tests", "Energy")
    joules = [of([record], "device", domain) for record, domain in ((gpu[0], Domain.GPU), (cpu, Domain.CPU_PACKAGE))]
    assert sorted(map(float, cells)) == pytest.approx(sorted(value for (value,) in joules), abs=5.1e-4)
    optimization = energy_cells(on_gpu / "README.md", "Optimization Tests", "Energy")
    # A document rounds halves up, a format to the even digit.
    assert [float(cell) for cell in optimization] == pytest.approx(of(records, "optimization", Domain.GPU), abs=5.1e-4)
    batch = [float(cell) for cell in energy_cells(on_gpu / "README.md", "Batch Tests", "Energy (per sample)")]
    assert batch == pytest.approx(of(records, "batch_size", Domain.GPU), rel=0.05)
