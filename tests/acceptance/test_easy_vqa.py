"""Questions of one's own, end to end: the PyPI package `easy-vqa` becomes a folder, and the folder is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from blip_fixtures.record import read_records
from tests.acceptance.test_main_job import pytest_process

COUNT = 24


def easy_vqa() -> Path:
    """The package's test split: 64 x 64 pixels of one shape, and questions about it."""
    spec = find_spec("easy_vqa")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / "test"


def test_a_folder_of_ones_own(folder: Path, tmp_path: Path) -> None:
    rows = json.loads((easy_vqa() / "questions.json").read_text())[:COUNT]
    entries = [{"image": f"{image}.png", "question": question, "answer": answer} for question, answer, image in rows]
    (tmp_path / "questions.json").write_text(json.dumps(entries))
    command = [sys.executable, "-m", "blip_fixtures.data", "make-folder", "--dataset", "textvqa"]
    where = ["--images", easy_vqa() / "images", "--questions", tmp_path / "questions.json", "--out", tmp_path / "mine"]
    made = subprocess.run([*command, *map(str, where)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    quick = ("--blip-rounds=2", "--blip-warmup-rounds=1", "--blip-device=cpu", "--blip-energy=off")
    reports = tmp_path / "reports"
    done = pytest_process(
        *("benchmarks", "-k", "test_batch_size and batch08", f"--blip-data={tmp_path / 'mine'}"),
        *(*quick, "--blip-data-errors=convert", f"--blip-report-dir={reports}"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = read_records(reports / "instructblip-tiny" / "records.json")
    assert record.data is not None
    assert (record.data.samples, record.data.skipped) == (COUNT, 0)
    assert len(record.quality["vqa_accuracy"].per_sample) == COUNT
    assert len(record.predictions) == COUNT
