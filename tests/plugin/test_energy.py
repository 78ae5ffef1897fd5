"""Energy in a run: with a powercap tree that advances, with none, and with counters that fail on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from blip_fixtures.record import Energy, Record
from blip_fixtures.words import Domain
from tests.advancing_tree import advancing_tree
from tests.plugin.conftest import TWO_SWEEPS, Suite

NO_TREE = "--blip-rapl-root=no-tree"
ONE_CASE = "import pytest\n@pytest.mark.parametrize('batch_size', [1])\ndef test_device(measure):\n    measure()\n"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def energies(record: Record) -> dict[str, tuple[str, bool]]:
    """By domain, the status and whether there is a number."""
    return {domain: (entry.status, entry.joules_per_sample is not None) for domain, entry in record.energy.items()}


def test_without_a_meter_every_cell_has_a_reason_and_the_run_is_green(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, NO_TREE)
    assert result.ret == pytest.ExitCode.OK
    for record in suite.records():
        assert energies(record) == {"cpu_package": ("unsupported", False), "dram": ("unsupported", False)}
    lines = [line for line in result.outlines if line.startswith("No energy of ")]
    assert lines == ["No energy of cpu_package, dram: see [1]"]
    assert sum("there is no powercap tree at" in line for line in result.outlines) == 1
    document = (suite.folder / "README.md").read_text()
    assert "`-` for Energy of CPU: not supported; there is no powercap tree at no-tree" in document


def test_no_meter_no_wait(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is measured where no meter is open")

    monkeypatch.setattr("blip_fixtures.engine.tools.measure_idle_watts", refuse)
    monkeypatch.setattr("blip_fixtures.engine.passes.energy.energy_pass", refuse)
    suite.run(ONE_CASE, NO_TREE).assert_outcomes(passed=1)


def test_required_meters_that_are_missing_end_the_run_before_a_model_loads(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blip_fixtures.engine.workload.load_model", lambda *_: pytest.fail("a model was loaded"))
    result = suite.run(TWO_SWEEPS, NO_TREE, "--blip-energy=require")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert error.startswith("ERROR: --blip-energy=require, and energy meters are missing: cpu_package (unsupported): ")
    assert "dram (unsupported): " in error
    assert not suite.folder.exists() or not list(suite.folder.rglob("journal.jsonl"))


def test_switched_off_is_a_reason_of_its_own(suite: Suite) -> None:
    result = suite.run(ONE_CASE, "--blip-energy=off", "--blip-rapl-root=no-tree")
    (record,) = suite.records()
    assert energies(record) == {"cpu_package": ("disabled", False)}
    result.stdout.no_fnmatch_line("No energy of*")
    assert "switched off; measured with --blip-energy=off" in (suite.folder / "README.md").read_text()


def test_a_bad_mode_is_refused(suite: Suite) -> None:
    result = suite.run(ONE_CASE, "--blip-energy=maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --blip-energy cannot be 'maybe': choose one of auto, require, off"])


def test_disabled_benchmarks_wait_for_no_meter(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.engine.stock.find_meters", lambda *_: pytest.fail("a meter was asked for"))
    suite.run(ONE_CASE, "--benchmark-disable").assert_outcomes(passed=1)


def test_a_counter_that_stands_still_is_lost_and_the_rest_stands(suite: Suite) -> None:
    zone = Path("tree/intel-rapl:0")
    zone.mkdir(parents=True)
    for name, text in {"name": "package-0", "energy_uj": "1000", "max_energy_range_uj": "262143328850"}.items():
        (zone / name).write_text(text)
    result = suite.run(ONE_CASE, "--blip-rapl-root=tree")
    assert result.ret == pytest.ExitCode.OK
    (record,) = suite.records()
    assert energies(record) == {"cpu_package": ("lost", False), "dram": ("unsupported", False)}
    assert record.status == "ok"
    assert record.latency is not None


VANISHING = """
import pathlib
import pytest

@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size(measure):
    measure()
    pathlib.Path("{tree}/intel-rapl:0:0").unlink(missing_ok=True)
"""


def test_a_counter_that_vanishes_midway_costs_its_own_domain_only(suite: Suite) -> None:
    here = suite.pytester.path
    tree = here / "tree"
    tree.mkdir()
    with (
        advancing_tree(here / "package", {"package-0": 40.0}) as package,
        advancing_tree(here / "memory", {"dram": 5.0}) as memory,
    ):
        (tree / "intel-rapl:0").symlink_to(package / "intel-rapl:0")
        (tree / "intel-rapl:0:0").symlink_to(memory / "intel-rapl:0")
        result = suite.run(VANISHING.format(tree=tree), f"--blip-rapl-root={tree}")
    assert result.ret == pytest.ExitCode.OK
    first, second, third = suite.records()
    assert energies(first)["dram"][1]
    assert energies(second)["dram"] == energies(third)["dram"] == ("lost", False)
    for record in (first, second, third):
        entry = record.energy[Domain.CPU_PACKAGE]
        assert watts(entry) == pytest.approx(40.0, rel=bound(entry))
        assert record.latency is not None
        assert record.quality
    result.stdout.fnmatch_lines(["No energy of dram: meter lost; *"])


def watts(entry: Energy) -> float:
    assert entry.joules is not None
    assert entry.window_s is not None
    return entry.joules / entry.window_s


def bound(entry: Energy) -> float:
    """The error bound as a share of the figure."""
    assert entry.joules is not None
    assert entry.error_bound_j is not None
    return entry.error_bound_j / entry.joules
