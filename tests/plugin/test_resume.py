"""A run that did not come to its end, and one that goes on with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.engine.session import Outcome, Session
from blip_fixtures.job import Job
from blip_fixtures.journal import Journal
from blip_fixtures.record import Record, read_records
from tests.plugin.conftest import Suite

THREE = """
import pytest

@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_batch_size(measure):
    measure()
"""
Fault = Callable[[Job], object]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes of the cases that were measured, in their order."""
    found: list[int] = []
    original = Session.attempt

    def attempt(self: Session, job: Job, **loop: Any) -> Outcome:
        found.append(job.case.batch_size)
        return original(self, job, **loop)

    monkeypatch.setattr(Session, "attempt", attempt)
    return found


def in_second_case(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], object]) -> None:
    """Something happens when the second case is about to be measured, once."""
    original = Session.attempt

    def attempt(self: Session, job: Job, **loop: Any) -> Outcome:
        if job.case.batch_size == 2:
            monkeypatch.setattr(Session, "attempt", original)
            fault()
        return original(self, job, **loop)

    monkeypatch.setattr(Session, "attempt", attempt)


def interrupted(suite: Suite, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGTERM, *args: str) -> Any:
    with monkeypatch.context() as patch:
        in_second_case(patch, lambda: os.kill(os.getpid(), number))
        return suite.run(THREE, *args)


def sizes(records: list[Record]) -> list[int]:
    return [record.case.batch_size for record in records]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_after_the_round_with_everything_written(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    result = interrupted(suite, monkeypatch, number)
    assert result.ret == code
    assert sizes(suite.records()) == sizes(read_records(suite.folder / "journal.jsonl")) == [1]
    assert suite.document()["blip"]["interrupted"] is True
    assert "The run was interrupted: 1 of 3 planned cases came to an end" in (suite.folder / "README.md").read_text()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_after_the_last_round_of_a_case_keeps_the_case(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def appended(self: Journal, record: Record) -> None:
        append(self, record)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", appended)
        assert suite.run(THREE).ret == 143
    assert sizes(suite.records()) == sizes(read_records(suite.folder / "journal.jsonl")) == [1]


def test_finished_cases_are_taken_over_and_the_rest_runs(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, measured: list[int]
) -> None:
    interrupted(suite, monkeypatch)
    (first,) = suite.records()
    measured.clear()
    result = suite.run(THREE, "--blip-resume")
    result.assert_outcomes(passed=3)
    assert measured == [2, 4]
    records = suite.records()
    assert records[0] == first
    assert sizes(records) == sizes(read_records(suite.folder / "journal.jsonl")) == [1, 2, 4]
    result.stdout.fnmatch_lines(
        ["--blip-resume takes 1 of 3 cases from *journal.jsonl", "*batch01*taken over: *ms a batch*"]
    )
    document = suite.document()
    assert document["blip"]["resumed"] == [first.case_id]
    assert "interrupted" not in document["blip"]
    bench = document["benchmarks"][0]
    assert first.latency is not None
    assert bench["stats"]["rounds"] == len(first.latency.rounds_s)
    assert bench["stats"]["median"] == pytest.approx(first.latency.median_s)
    readme = (suite.folder / "README.md").read_text()
    assert "Taken over from an earlier process of the run (`--blip-resume`): 1 of 3 cases." in readme
    assert not (suite.folder / ".run.json").exists()
    measured.clear()
    suite.run(THREE, "--blip-resume").assert_outcomes(passed=3)
    assert measured == [], "a finished run has nothing left to do"


def test_other_conditions_are_measured_again(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, measured: list[int]
) -> None:
    interrupted(suite, monkeypatch)
    measured.clear()
    result = suite.run(THREE, "--blip-resume", "--blip-new-tokens=5")
    assert measured == [1, 2, 4]
    result.stdout.fnmatch_lines(
        ["--blip-resume takes 0 of 3 cases from *journal.jsonl; 1 of its lines belong to other cases or conditions"]
    )


def test_without_the_option_a_run_says_that_it_could_go_on(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(suite, monkeypatch)
    result = suite.run(THREE)
    result.stdout.fnmatch_lines(["an unfinished run of 1 of 3 cases is in *journal.jsonl; *--blip-resume"])
    assert len(list(suite.folder.glob("journal.*.jsonl"))) == 1
    assert "an unfinished run" not in suite.run(THREE).stdout.str(), "this one came to its end"


def test_nothing_to_go_on_with(suite: Suite) -> None:
    result = suite.run(THREE, "--blip-resume", "-k", "batch01")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["--blip-resume takes 0 of 1 cases from *"])


def test_a_damaged_journal_ends_the_run_before_it_begins(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(suite, monkeypatch)
    journal = suite.folder / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content.replace(b'"status":"ok"', b'"status":"no"'))
    result = suite.run(THREE, "--blip-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --blip-resume: *journal.jsonl, line 1 is damaged: *"])
    assert journal.read_bytes() == content.replace(b'"status":"ok"', b'"status":"no"')


def test_a_case_that_ended_its_process_is_recorded_so_and_measured_again_when_asked(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, measured: list[int]
) -> None:
    """What tells how it ended is in tests/unit/test_unfinished.py."""

    def time_out() -> None:
        # As the watchdog leaves things when it ends the process.
        for name in (".run.json", ".last_words.txt"):
            path = suite.folder / name
            kept[path] = path.read_bytes() if path.exists() else b"Timeout (0:00:05)!\nThread 1"
        os.kill(os.getpid(), signal.SIGTERM)

    kept: dict[Path, bytes] = {}
    with monkeypatch.context() as patch:
        in_second_case(patch, time_out)
        suite.run(THREE, "--blip-case-timeout=3600")
    for path, content in kept.items():
        path.write_bytes(content)
    measured.clear()
    result = suite.run(THREE, "--blip-resume")
    assert measured == [4]
    result.assert_outcomes(passed=2, failed=1)
    lost = suite.records()[1]
    assert lost.reason is not None
    assert (lost.status, lost.reason.code, lost.reason.args) == ("failed", "timed_out", {"seconds": 3600})
    assert sizes(suite.records()) == [1, 2, 4]
    result.stdout.fnmatch_lines(["failed in an earlier process: timed out: it had not ended after 3600 s*"])
    measured.clear()
    suite.run(THREE, "--blip-resume").assert_outcomes(passed=2, failed=1)
    assert measured == [], "what is known of it is taken over"
    suite.run(THREE, "--blip-resume", "--blip-retry").assert_outcomes(passed=3)
    assert measured == [2]
    assert [record.status for record in suite.records()] == ["ok"] * 3


def test_a_case_that_exits_is_recorded_and_the_run_goes_on(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    original = Session.workload

    def workload(self: Session, job: Job) -> Any:
        nonlocal calls
        calls += 1
        if job.case.batch_size == 2:
            raise SystemExit(3)
        return original(self, job)

    monkeypatch.setattr(Session, "workload", workload)
    suite.run(THREE).assert_outcomes(passed=2, failed=1)
    assert [record.status for record in suite.records()] == ["ok", "failed", "ok"]
    assert str(suite.records()[1].reason) == "SystemExit: 3"


def test_retrying_needs_a_run_to_go_on_with(suite: Suite) -> None:
    result = suite.run(THREE, "--blip-retry")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --blip-retry changes nothing without --blip-resume; *"])
