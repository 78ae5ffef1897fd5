"""The packaged checkpoint runs whatever is wrong with the home folder, and nothing is left where it was told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blip_fixtures.record import read_records

ONE_CASE = (
    *("benchmarks/test_batch_size.py", "-k", "batch01 and textvqa", "--blip-device=cpu", "--blip-limit=1"),
    *("--blip-rounds=1", "--blip-warmup-rounds=0", "--blip-new-tokens=1", "--blip-measure=latency"),
)


def run(folder: Path, reports: Path, variables: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """One case in a process without variables of pytest or of the libraries' caches but these."""
    ours = ("PYTEST", "HF_", "XDG_", "MPL", "TRITON_", "HOME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *ONE_CASE, f"--blip-report-dir={reports}"]
    return subprocess.run([*command, *more], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["missing", "a file", "not writable", "empty"])
def test_a_broken_home_costs_a_line(kind: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    # Nobody can make a folder in /proc or /sys, root neither.
    homes = {"missing": "/proc/none", "not writable": "/sys", "a file": str(tmp_path / "file"), "empty": ""}
    before = set(folder.iterdir())
    done = run(folder, tmp_path, {"HOME": homes[kind]})
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if " takes no files (" in line]
    assert len(told) == 1
    caches = Path(told[0].partition("caches of this run are in ")[2].partition(",")[0])
    assert caches.is_absolute()
    assert not caches.exists()
    assert {path.name for path in folder.iterdir()} - {path.name for path in before} <= {".benchmarks", "__pycache__"}
    (record,) = read_records(tmp_path / "instructblip-tiny" / "records.json")
    assert record.status == "ok"


def test_a_cache_of_ones_own_that_takes_no_files_is_refused(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path, {"HOME": str(tmp_path), "HF_DATASETS_CACHE": "/dev/null/rows"})
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert error.startswith(
        "ERROR: datasets cannot keep rows in /dev/null/rows (not a directory); set HF_DATASETS_CACHE"
    )
    assert "INTERNALERROR" not in done.stdout
