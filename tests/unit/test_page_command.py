"""The command that measures a case again: it selects that case, and nothing in it is the shell's."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.report.page.commands import again_command
from tests.unit.records import make_latency, make_record

ROOT = Path(__file__).parents[2]
# Collects what each line of commands selects, all in one process: loading pytest takes longer than collecting.
COLLECTING = """
import contextlib, io, json, sys
import pytest

class Seen:
    def pytest_collection_finish(self, session):
        self.items = [[item.nodeid, dict(item.callspec.params)] for item in session.items]

for line in json.load(sys.stdin):
    seen, said = Seen(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*line, "--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[seen])
    print(json.dumps([code, getattr(seen, "items", []), said.getvalue()[-400:] if code else ""]))
"""


def collected(commands: list[str]) -> list[list[list[Any]]]:
    """What each command selects in the repository: (node id, parameters) of its tests."""
    for command in commands:
        assert shlex.split(command)[:2] == ["pytest", "benchmarks"]
    lines = json.dumps([shlex.split(command)[1:] for command in commands])
    process = [sys.executable, "-c", COLLECTING]
    found = subprocess.run(process, input=lines, capture_output=True, text=True, cwd=ROOT, check=True)
    results = [json.loads(line) for line in found.stdout.splitlines()]
    assert [said for code, _, said in results if code] == []
    return [items for _, items, _ in results]


def default_suite(device: str) -> list[list[Any]]:
    (items,) = collected([f"pytest benchmarks --blip-device {device}"])
    return items


def record_of(node_id: str, params: dict[str, Any]) -> Any:
    """A record of the case that a test of the suite measures."""
    sweep = node_id.partition("::test_")[2].partition("[")[0]
    return make_record(sweeps=[sweep], **params)


@pytest.mark.parametrize(("device", "tests"), [("cuda", 36), ("cpu", 33)])
def test_each_case_of_the_suite_is_selected_by_its_command_alone(device: str, tests: int) -> None:
    suite = default_suite(device)
    assert len(suite) == tests
    commands = [again_command(record_of(*item)) for item in suite]
    for command, (node_id, params), found in zip(commands, suite, collected(commands), strict=True):
        assert [params for _, params in found] == [params], command
        assert found[0][0].partition("[")[0] == node_id.partition("[")[0], command


def test_other_cases_are_selected_too() -> None:
    cases: list[dict[str, Any]] = [
        # Held otherwise than conftest.py holds it.
        {"sweeps": ["batch_size"], "optimization": "bf16", "batch_size": 4, "image_size": 448, "sequence_length": 13},
        # Values that only --blip-also gave the sweep.
        {"sweeps": ["batch_size"], "batch_size": 64},
        {"sweeps": ["optimization"], "dataset": "scienceqa", "optimization": "bf16+compile", "batch_size": 2},
        # A sweep that is not the suite's, and none at all.
        {"sweeps": ["fastest"], "dataset": "scienceqa", "optimization": "bf16+compile", "batch_size": 1},
        {"sweeps": [], "dataset": "coco", "image_size": 300},
        {"sweeps": ["device"], "device": "cuda:0+cuda:1"},
    ]
    records = [make_record(**case) for case in cases]
    for record, found in zip(records, collected(list(map(again_command, records))), strict=True):
        ((_, params),) = found
        assert params == {name: getattr(record.case, name) for name in params}
        assert len(params) == 6


def options_of(**overrides: Any) -> dict[str, str]:
    """The options of a record's command that have one value."""
    words = shlex.split(again_command(make_record(sweeps=["device"], **overrides)))
    return {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}


def test_conditions_that_are_not_the_default_are_options() -> None:
    found = options_of(
        model="Salesforce/instructblip-flan-t5-xl",
        prompts="published",
        latency=make_latency([0.1] * 12, warmup_rounds=1),
        data={"source": "sample", "samples": 16, "dropped": 0, "batches": 16},
        generation={"new_tokens": 20, "fixed": True},
    )
    assert found["--blip-model"] == "Salesforce/instructblip-flan-t5-xl"
    assert found["--blip-prompts"] == "published"
    assert found["--blip-rounds"] == "12"
    assert found["--blip-warmup-rounds"] == "1"
    assert found["--blip-limit"] == "16"
    assert found["--blip-new-tokens"] == "fixed:20"


def test_conditions_of_the_default_are_none() -> None:
    rounds = make_latency([0.1] * 64)
    found = options_of(latency=rounds, data={"source": "sample", "samples": 64, "dropped": 0, "batches": 64})
    assert set(found) == {"--blip-device", "--blip-baseline"}


def test_synthetic_weights_generate_a_fixed_number_anyway() -> None:
    found = options_of(weights="random", generation={"new_tokens": 50, "fixed": True})
    assert found["--blip-weights"] == "random"
    assert "--blip-new-tokens" not in found


def test_data_of_the_hub_is_named_with_its_commit_and_split() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    data = {"source": "lmms-lab/textvqa", "revision": commit, "split": "validation", "samples": 5000}
    found = options_of(data={**data, "split_samples": 5000, "batches": 5000})
    assert found["--blip-dataset"] == f"textvqa=lmms-lab/textvqa@{commit}:validation"
    assert "--blip-limit" not in found
    assert options_of(data={"source": "my data", "revision": "0123456789ab", "samples": 5})["--blip-data"] == "my data"


@pytest.mark.parametrize(
    "evil", ["x; rm -rf ~", "$(id)", "`id`", "a'b\"c", "line\nbreak", "\x1b[2J", "-p evil", "--help"]
)
def test_nothing_of_a_record_is_the_shells(evil: str) -> None:
    data = {"source": evil, "samples": 3}
    record = make_record(model=evil, dataset=evil, prompts=evil, device=evil, optimization=evil, data=data)
    command = again_command(record)
    assert command.isprintable()
    words = shlex.split(command)
    quoted = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert quoted.stdout.splitlines() == words
    # A word that begins as an option is one of the suite's own.
    assert all(word.startswith("--blip-") or word == "-k" for word in words if word.startswith("-"))
