"""The table of docs/reliability.md is made of what the campaign found."""

from __future__ import annotations

from tools.faults.table import FOUND, PAGE, ROWS, page


def test_the_page_has_the_published_findings() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "write it again with python -m tools.faults.table"


def test_every_finding_has_a_row() -> None:
    assert {path.stem for path in FOUND.glob("*.json")} <= set(ROWS)
