"""Every bad input of every command, really run: one sentence each, and the published page says which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tools.faults.bad_inputs.given import ROOT, Input
from tools.faults.bad_inputs.page import page
from tools.faults.bad_inputs.running import Outcome, faults_of
from tools.faults.bad_inputs.table import INPUTS

COMMAND = [sys.executable, "-m", "tools.faults.bad_inputs"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """In a process of its own: its forks must not inherit what this one has computed."""
    file = tmp_path_factory.mktemp("outcomes") / "outcomes.jsonl"
    done = subprocess.run([*COMMAND, "--outcomes", str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert file.exists(), done.stderr
    return [msgspec.json.decode(line, type=Outcome) for line in file.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("number", "given"),
    list(enumerate(INPUTS)),
    ids=[ascii(f"{each.command[:60]} {each.where}"[:120]) for each in INPUTS],
)
def test_it_is_refused_in_one_sentence(outcomes: list[Outcome], number: int, given: Input) -> None:
    assert faults_of(given, outcomes[number]) == [], outcomes[number].said


def test_the_page_is_what_was_said(outcomes: list[Outcome]) -> None:
    published = Path(ROOT, "docs", "bad-inputs.md").read_text(encoding="utf-8")
    assert page(list(zip(INPUTS, outcomes, strict=True))) == published, (
        "docs/bad-inputs.md is not what the commands say: write it again with `python -m tools.faults.bad_inputs "
        "--write`, and read the diff"
    )
