"""`python -m tools.audit`: what it says, and that it can fail."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.audit import CONSTRAINTS, main

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
WEAK = {"name": "pillow", "version": "13.0.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["13.0.1"]}]}
UNMENDED = {"name": "pyarrow", "version": "26.0.1", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}


def finds(*packages: dict[str, Any]) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    return ends(json.dumps({"dependencies": packages}))


def ends(output: str, error: str = "") -> Callable[[Path], subprocess.CompletedProcess[str]]:
    return lambda _: subprocess.CompletedProcess([], 1, output, error)


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "1 of 1 pinned versions audited, 0 known vulnerabilities"),
        ([SOUND, UNKNOWN], 0, "not audited: torch: Dependency not found on PyPI\n1 of 2 pinned versions audited"),
        ([SOUND, WEAK], 1, "pillow 13.0.0: PYSEC-1, mended in 13.0.1\n2 of 2 pinned versions audited, 1 known"),
        ([UNMENDED], 1, "pyarrow 26.0.1: PYSEC-2, mended in no release yet"),
        ([UNKNOWN], 1, "0 of 1 pinned versions audited"),
        ([], 1, "0 of 0 pinned versions audited"),
    ],
)
def test_where_the_database_answers(
    packages: list[dict[str, Any]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], answers=lambda: True, audit=finds(*packages)) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("output", ["", "no JSON", "[]", "null", "{}"])
def test_an_audit_without_a_result_fails(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], answers=lambda: True, audit=ends(output, "a traceback")) == 1
    assert "a traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--required"], 1)])
def test_where_it_does_not(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, answers=lambda: False, audit=lambda _: pytest.fail("nobody was to be asked")) == code
    assert capsys.readouterr().out.startswith("not audited: https://pypi.org/")


def test_the_pins_are_there() -> None:
    assert "torch==" in CONSTRAINTS.read_text()
