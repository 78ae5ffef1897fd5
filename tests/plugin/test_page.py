"""The page of a run: written beside the document, with the history of pytest-benchmark's storage."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.plugin.conftest import TWO_SWEEPS, Suite

ONE = """
import pytest

@pytest.mark.parametrize("batch_size", [1])
def test_batch_size(measure):
    measure()
"""


def data_of(suite: Suite) -> Any:
    text = (suite.folder / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_run_writes_a_page_and_says_where_it_is(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS)
    result.stdout.fnmatch_lines(["As one page with charts: */reports/local/instructblip-tiny/index.html"])
    found = data_of(suite)
    assert [point["id"] for point in found["points"]] == [record.case_id for record in suite.records()]
    assert "no stored run of this machine" in found["history"]["sentence"]


def test_stored_runs_are_its_history(suite: Suite) -> None:
    suite.run(ONE, "--benchmark-save=first")
    suite.run(ONE, "--benchmark-save=second")
    history = data_of(suite)["history"]
    assert [run["name"] for run in history["runs"]] == ["0001_first", "this run"]
    (series,) = history["series"].values()
    assert len(series["latency"]["values"]) == 2
    (pair,) = history["pairs"]
    assert {row[1] for row in pair["rows"]} >= {"latency", "flops"}


def test_a_torn_file_in_the_storage_is_named_on_the_page_and_ends_nothing(suite: Suite) -> None:
    suite.run(ONE, "--benchmark-save=first")
    (stored,) = suite.pytester.path.glob(".benchmarks/*/0001_first.json")
    stored.write_text("{")
    result = suite.run(ONE)
    assert result.ret == 0
    (said,) = data_of(suite)["history"]["unread"]
    assert "0001_first.json" in said


def test_an_anonymous_run_says_nothing_of_the_commits_of_others(suite: Suite) -> None:
    suite.run(ONE, "--benchmark-autosave")
    suite.run(ONE, "--blip-anonymous")
    text = (suite.folder / "index.html").read_text(encoding="utf-8")
    runs = data_of(suite)["history"]["runs"]
    assert [(run["name"], run["commit"]) for run in runs] == [("0001", ""), ("this run", "")]
    assert str(suite.pytester.path) not in text


def test_a_page_that_fails_costs_the_run_nothing_else(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no such chart")

    monkeypatch.setattr("blip_fixtures.report.page.page.page", fail)
    result = suite.run(ONE)
    assert (suite.folder / "README.md").exists()
    assert not (suite.folder / "index.html").exists()
    result.stdout.fnmatch_lines(["error: */index.html is missing, the page failed: ValueError: no such chart"])
    assert result.ret == 1
