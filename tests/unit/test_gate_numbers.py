"""Every number of a record as 0 and as null, on either side, by every rule: no traceback, and nothing passes for it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from blip_fixtures.gate import statistics
from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.expressions import MOST_NESTED, matches
from blip_fixtures.gate.findings import Judgement, Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.metrics import metric_names
from blip_fixtures.gate.rules import MOST_CHARACTERS, RuleError, parse_rule
from blip_fixtures.gate.sides import Process, Refusal
from blip_fixtures.record import Record, as_plain
from blip_fixtures.words import EnergyStatus
from tests.unit.records import make_energy
from tests.unit.sides import noisy_record, write_run

DATASETS = ("textvqa", "scienceqa", "coco")
LIMITS = {"flops": "0%", "memory": "5%", "quality": "1"}
RULES = {name: parse_rule(f"{name}:{LIMITS.get(name, '10%')}") for name in metric_names()}
# The field that a metric reads; where it is 0 no share can be taken of it.
READS = {
    "latency.median_s": "latency",
    "latency.rounds_s": "latency",
    "latency.p90_s": "latency_p90",
    "phases.time_to_first_token_s": "time_to_first_token",
    "energy.cpu_package.joules_per_sample": "energy",
    "flops.total": "flops",
    "memory.weights_bytes": "memory (weights)",
    "memory.peak_bytes": "memory (peak)",
    "quality.vqa_accuracy.value": "quality (vqa_accuracy)",
    "model_load_s": "model_load",
}
EXACT = {"flops", "memory (weights)", "quality (vqa_accuracy)"}


def sides(count: int) -> tuple[list[Process], list[Process]]:
    """Two sides of unchanged code with every number that the gate reads."""
    energy = {"cpu_package": make_energy(status=EnergyStatus.OK)}
    found = []
    for first in (0, 50):
        found.append(
            [
                Process.of(
                    f"run-{first + number}",
                    [
                        noisy_record(
                            np.random.default_rng(first + number), dataset=dataset, energy=energy, model_load_s=3.0
                        )
                        for dataset in DATASETS
                    ],
                )
                for number in range(count)
            ]
        )
    return found[0], found[1]


def numbers_of(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of numbers, and of lists of them as a whole."""
    if isinstance(part, dict):
        return [found for name, value in part.items() for found in numbers_of(value, (*path, name))]
    if isinstance(part, list) and part and all(isinstance(value, float) for value in part):
        return [path]
    return [path] if isinstance(part, (int, float)) and not isinstance(part, bool) else []


def changed(side: list[Process], path: tuple[Any, ...], value: Any) -> list[Process] | None:
    """With one number of every record changed; `None` where no record may have that."""
    processes = []
    for process in side:
        records = []
        for record in process.records.values():
            plain = copy.deepcopy(as_plain(record))
            part: Any = plain
            for name in path[:-1]:
                part = part[name]
            old = part[path[-1]]
            part[path[-1]] = [value] * len(old) if isinstance(old, list) and value is not None else value
            if isinstance(old, list) and value is None:
                part[path[-1]] = []
            try:
                records.append(msgspec.convert(plain, Record))
            except msgspec.ValidationError:
                return None
        processes.append(Process.of(process.source, records))
    return processes


def verdicts(base: list[Process], now: list[Process], name: str, **options: Any) -> Judgement | None:
    try:
        return judge(base, now, [RULES[name]], **options)
    except Refusal:
        return None


PLACES = numbers_of(as_plain(noisy_record(np.random.default_rng(0), energy={"cpu_package": make_energy()})))


@pytest.mark.parametrize("value", [0, None])
@pytest.mark.parametrize("path", [*PLACES, ("model_load_s",)], ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("count", [1, 2])
def test_no_number_ends_the_gate_and_none_that_is_missing_passes(
    path: tuple[Any, ...], value: float | None, count: int
) -> None:
    base, now = sides(count)
    of = READS.get(".".join(map(str, path)))
    for was, became in ((changed(base, path, value), now), (base, changed(now, path, value))):
        if was is None or became is None:
            continue
        for name in metric_names():
            judgement = verdicts(was, became, name, history=base if count == 1 else ())
            if judgement is None or of is None or of.partition(" ")[0] != name:
                continue
            judged = [finding for finding in judgement.findings if finding.name == of]
            if value is None or of not in EXACT:
                assert Verdict.PASS not in {finding.verdict for finding in judged}


@pytest.mark.parametrize("count", [1, 3])
def test_rounds_with_reference_products_are_not_compared_with_rounds_without(count: int) -> None:
    base, now = sides(count)
    for value in (None, 0.0):
        for was, became in (
            (changed(base, ("latency", "reference_s"), value), now),
            (base, changed(now, ("latency", "reference_s"), value)),
        ):
            assert was is not None
            assert became is not None
            with pytest.raises(Refusal, match="only some of the records have a reference product"):
                judge(was, became, [RULES["latency"]], history=base)


def test_a_score_without_that_of_each_sample_is_not_judged() -> None:
    base, now = sides(1)
    scores = [1.0, None] * 16
    lacking = changed(now, ("quality", "vqa_accuracy", "per_sample"), 0.5)
    assert lacking is not None
    (record,) = [record for record in now[0].records.values() if record.case.dataset == "textvqa"]
    metric = msgspec.structs.replace(record.quality["vqa_accuracy"], per_sample=tuple(scores))
    now = [Process.of("now", [msgspec.structs.replace(record, quality={"vqa_accuracy": metric})])]
    with pytest.raises(Refusal, match="scores of different samples, or none"):
        judge(base, now, [RULES["quality"]])


def test_more_batches_than_rounds_cost_nothing() -> None:
    found = []
    for side in sides(2):
        processes = []
        for process in side:
            many = {}
            for key, record in process.records.items():
                assert record.data is not None
                data = msgspec.structs.replace(record.data, batches=1_000_000)
                many[key] = msgspec.structs.replace(record, data=data)
            processes.append(Process.of(process.source, many.values()))
        found.append(processes)
    assert judge(found[0], found[1], [RULES["latency"]]).findings


def test_many_batches_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base, now = rng.normal(size=(3, 7)), rng.normal(0.1, size=(3, 7))
    at_once = statistics.over_processes(base, now)
    monkeypatch.setattr(statistics, "_MOST_AT_ONCE", 7 * 1000)
    in_parts = statistics.over_processes(base, now)
    assert in_parts.low == pytest.approx(at_once.low, abs=0.05)
    assert len(in_parts.draws) == len(at_once.draws)


def test_differences_beyond_any_number_are_shown() -> None:
    estimate = statistics.Estimate(1e6, np.array([1e6]), 1e300)
    assert statistics.processes_needed(estimate, 1e6 - 1e-300) is None
    assert statistics.change_of(1e6) > 1e299


@pytest.mark.parametrize(
    "expression",
    ["(" * 10_000 + "a" + ")" * 10_000, "not " * 10_000 + "a", "(" * 400 + "a" + ")" * 400, "not " * 200 + "a"],
    ids=["brackets", "nots", "short brackets", "short nots"],
)
def test_an_expression_without_end_is_refused_in_one_sentence(expression: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule(f"latency:5%@{expression}")
    assert len(str(raised.value)) < 300
    with pytest.raises(SyntaxError, match=f"more than {MOST_NESTED} parentheses and nots"):
        matches(expression, ["a"])


def test_a_rule_has_a_longest_text() -> None:
    words = " or ".join(["a"] * MOST_CHARACTERS)
    with pytest.raises(RuleError, match=f"a rule has at most {MOST_CHARACTERS}"):
        parse_rule(f"latency:5%@{words}")
    assert matches(words, ["a"])
    assert matches("(" * MOST_NESTED + "a" + ")" * MOST_NESTED, ["a"])


def test_a_crash_is_no_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "records.json", [noisy_record(np.random.default_rng(0))])

    def crash(*_arguments: Any, **_options: Any) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("blip_fixtures.gate.__main__.judge", crash)
    assert main(["compare", "--base", str(path), "--now", str(path), "--fail=flops:0%"]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the gate itself failed, so nothing was judged: ZeroDivisionError: division by zero")


@pytest.mark.parametrize("command", [[], ["compare"], ["ab"]])
def test_the_help_tells_the_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    assert "70 the gate itself failed" in " ".join(capsys.readouterr().out.split())


def test_an_interrupted_baseline_is_refused_or_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [noisy_record(np.random.default_rng(0), dataset=dataset) for dataset in ("textvqa", "coco")]
    base = write_run(tmp_path / "base.json", records[:1], {"interrupted": True})
    now = write_run(tmp_path / "now.json", records)
    arguments = ["compare", "--base", str(base), "--now", str(now), "--fail=flops:0%"]
    assert main(arguments) == 4
    assert "base.json was interrupted and lacks cases; give a run that came to its end" in capsys.readouterr().err
    assert main([*arguments, "--allow=interrupted"]) == 0
    printed = capsys.readouterr().out
    assert "Not judged, the interrupted baseline lacks them: coco-" in printed
    assert "New" not in printed
    # The other way round its cases are lost, as those of any run.
    assert main(["compare", "--base", str(now), "--now", str(base), "--fail=flops:0%"]) == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("place", ["flops.total", "quality.vqa_accuracy.value"])
def test_what_is_no_number_does_not_pass(
    tmp_path: Path, number: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_run(tmp_path / "good.json", [noisy_record(np.random.default_rng(0))])
    document = json.loads(good.read_text())
    part = document["benchmarks"][0]["extra_info"]["blip"]
    *path, last = place.split(".")
    for name in path:
        part = part[name]
    part[last] = "HERE"
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(document).replace('"HERE"', number))
    for base, now in ((good, bad), (bad, good)):
        code = main(["compare", "--base", str(base), "--now", str(now), "--fail=flops:0%", "--fail=quality:1"])
        assert code == 4
        assert "bad.json cannot be used: it is no JSON" in capsys.readouterr().err
