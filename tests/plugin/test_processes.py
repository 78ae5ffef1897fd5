"""`--blip-processes`: every case timed in further processes, whose records stand beside the first one's."""

from __future__ import annotations

import json

from blip_fixtures.gate.__main__ import main as gate
from blip_fixtures.record import read_records
from blip_fixtures.words import Status
from tests.plugin.conftest import OPERATING_POINT, Suite

ROWS = """
import pytest

@pytest.mark.parametrize("batch_size", [1])
@pytest.mark.parametrize("optimization", ["fp32", "{other}"])
def test_optimization(measure):
    measure()
"""
# In a further process it has another name.
DIES_ELSEWHERE = """
import os
from blip_fixtures.optimizations import Entry, register

def apply(loaded):
    if __name__ != "conftest":
        os._exit(7)

register(Entry("mine", label="Mine", dtype="float32", apply=apply, proof=lambda loaded, probe: {"mine": True}))
"""


def test_further_processes_time_every_case(suite: Suite) -> None:
    result = suite.run(ROWS.format(other="bf16"), "--blip-processes=2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*[[]4/5] *fp32* in process 2 *ms a batch*", "*[[]5/5] *bf16* in process 2 *"])
    records = suite.records()
    further = [record for record in records if record.process == 2]
    assert [record.case.optimization for record in further] == ["fp32", "bf16"]
    for record in further:
        assert record.latency is not None
        assert len(record.latency.rounds_s) == 2
        assert (record.quality, record.flops, record.energy) == ({}, None, {})
    document = json.loads((suite.folder / "records.json").read_text())
    assert [record["process"] for record in document["blip"]["processes"]] == [2, 2]
    assert len(document["benchmarks"]) == 2, "pytest-benchmark lists what it timed"
    assert sorted(map(str, read_records(suite.folder / "journal.jsonl"))) == sorted(map(str, records))
    text = (suite.folder / "README.md").read_text()
    assert "Against the first row (fp32), over 2 processes, with 90 % intervals:" in text
    assert "within one process" not in text

    itself = str(suite.folder / "records.json")
    assert gate(["compare", "--base", itself, "--now", itself, "--fail", "latency:100%", "--fail", "flops:0%"]) == 0

    again = suite.run(ROWS.format(other="bf16"), "--blip-processes=2", "--blip-resume")
    again.assert_outcomes(passed=2)
    assert [record.process for record in suite.records()] == [record.process for record in records]
    assert "no rounds" not in again.stdout.str()


def test_a_case_that_ends_a_further_process_costs_that_timing_alone(suite: Suite) -> None:
    suite.pytester.makeconftest(OPERATING_POINT + DIES_ELSEWHERE)
    # What a conftest.py registers stays in its process.
    result = suite.run_in_subprocess(ROWS.format(other="mine"), "--blip-processes=2")
    result.assert_outcomes(passed=2)
    found = {(record.case.optimization, record.process): record for record in suite.records() if not record.again}
    assert {key: record.status for key, record in found.items()} == {
        ("fp32", 1): Status.OK,
        ("mine", 1): Status.OK,
        ("fp32", 2): Status.OK,
        ("mine", 2): Status.FAILED,
    }
    reason = found["mine", 2].reason
    assert reason is not None
    assert reason.code == "died_in_process"
    assert "exit code 7" in str(reason)


def test_a_cluster_and_further_processes_are_no_pair(suite: Suite) -> None:
    result = suite.run(ROWS.format(other="bf16"), "--blip-processes=2", "--blip-ray=local", "--blip-device=every")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --blip-processes times cases in further processes of this machine, and*"])
