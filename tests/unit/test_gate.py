"""The gate: what is a regression, what is noise, and what cannot be judged."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from blip_fixtures.gate import show, statistics
from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.ab import order
from blip_fixtures.gate.findings import Finding, Judgement, Verdict
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.rules import Missing, parse_rules
from blip_fixtures.gate.sides import Process, Refusal, Selected, case_key, check_comparable, read_process
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record
from tests.unit.records import make_again, make_energy, make_latency, make_metric, make_not_run, make_record
from tests.unit.sides import (
    DATASETS,
    SAMPLES,
    as_first_schema,
    noisy_process,
    noisy_record,
    noisy_side,
    write_plain,
    write_run,
)

REGRESSION, INCONCLUSIVE, NOT_JUDGED, PASS = Verdict
LATENCY = parse_rules(["latency:10%"])


def judged(base: list[Process], now: list[Process], *rules: str, **options: Any) -> Judgement:
    return judge(base, now, parse_rules(rules or ["latency:10%"]), **options)


def verdicts(judgement: Judgement) -> list[Verdict]:
    return [finding.verdict for finding in judgement.findings]


def the_finding(judgement: Judgement) -> Finding:
    (finding,) = judgement.findings
    return finding


class TestLatency:
    def test_unchanged_code_passes(self) -> None:
        judgement = judged(noisy_side(0), noisy_side(10))
        assert verdicts(judgement) == [PASS, PASS]
        assert not judgement.regressed

    def test_a_slowdown_beyond_the_limit_is_a_regression(self) -> None:
        judgement = judged(noisy_side(0), noisy_side(10, slower=1.3))
        assert verdicts(judgement) == [REGRESSION, REGRESSION]
        assert judgement.regressed
        for finding in judgement.findings:
            assert finding.low is not None
            assert finding.high is not None
            assert 0.1 < finding.low < finding.high < 0.5

    def test_a_faster_run_passes(self) -> None:
        assert verdicts(judged(noisy_side(0), noisy_side(10, slower=0.7))) == [PASS, PASS]

    def test_what_straddles_the_limit_is_not_settled_and_says_what_would(self) -> None:
        judgement = judged(noisy_side(0), noisy_side(10, slower=1.08))
        assert REGRESSION not in verdicts(judgement)
        assert INCONCLUSIVE in verdicts(judgement)
        finding = judgement.findings[0]
        assert finding.needed is not None
        assert finding.reason == Reason.of("interval_holds_limit", needed=finding.needed)
        assert not judgement.regressed

    def test_what_the_machine_does_to_both_is_no_change(self) -> None:
        assert verdicts(judged(noisy_side(0), noisy_side(10, machine=1.5))) == [PASS, PASS]

    def test_rare_false_alarms(self) -> None:
        judgements = [judged(noisy_side(20 * draw), noisy_side(20 * draw + 10)) for draw in range(100)]
        assert sum(judgement.regressed for judgement in judgements) <= 1

    def test_an_absolute_limit(self) -> None:
        now = noisy_side(10, slower=1.3)
        assert verdicts(judged(noisy_side(0), now, "latency:200ms")) == [PASS, PASS]
        assert verdicts(judged(noisy_side(0), now, "latency:20ms")) == [REGRESSION, REGRESSION]

    def test_a_rule_for_some_cases(self) -> None:
        judgement = judged(noisy_side(0), noisy_side(10, slower=1.3), "latency:10%@scienceqa")
        assert [finding.case_id.split("-")[0] for finding in judgement.findings] == ["scienceqa"]

    def test_percentiles_and_first_token_and_load(self) -> None:
        base = noisy_side(0, model_load_s=1.0)
        now = noisy_side(10, slower=1.4, model_load_s=1.5, phases={"time_to_first_token_s": 0.09})
        judgement = judged(base, now, "latency_p90:10%", "time_to_first_token:10%", "model_load:10%")
        assert {finding.metric for finding in judgement.findings if finding.verdict == REGRESSION} == {
            "latency_p90",
            "time_to_first_token",
            "model_load",
        }
        loads = [finding for finding in judgement.findings if finding.metric == "model_load"]
        assert len(loads) == 1, "both cases had one model"

    def test_batches_are_compared_with_themselves(self) -> None:
        """Batch 1 is ten times batch 0: with an odd number of rounds a plain median would see another batch."""
        rounds = [0.1, 1.0]
        base = make_record(latency=make_latency(rounds * 5 + [0.1]), data={"batches": 2})
        now = make_record(latency=make_latency(rounds * 5 + [0.1, 1.0, 1.0]), data={"batches": 2})
        found = the_finding(judged([Process.of("a", [base])] * 3, [Process.of("b", [now])] * 3))
        assert found.verdict == PASS
        assert found.change == pytest.approx(0.0, abs=1e-9)


class TestOneProcess:
    def test_nothing_is_known_of_its_spread(self) -> None:
        judgement = judged(noisy_side(0, 1), noisy_side(10, 1, slower=1.3))
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]
        assert judgement.findings[0].reason == Reason.of("one_process_a_side")

    def test_a_change_beyond_any_spread_is_a_regression(self) -> None:
        assert verdicts(judged(noisy_side(0, 1), noisy_side(10, 1, slower=2.2))) == [REGRESSION, REGRESSION]

    def test_stored_runs_tell_the_spread(self) -> None:
        history = noisy_side(50, 8)
        slow = judged(noisy_side(0, 1), noisy_side(10, 1, slower=1.5), history=history)
        assert verdicts(slow) == [REGRESSION, REGRESSION]

    def test_runs_of_another_machine_tell_nothing(self) -> None:
        history = noisy_side(50, 8, environment={"cpu_model": "another"})
        judgement = judged(noisy_side(0, 1), noisy_side(10, 1, slower=1.3), history=history)
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]

    def test_several_baselines_tell_the_spread_too(self) -> None:
        assert verdicts(judged(noisy_side(0, 6), noisy_side(10, 1, slower=1.5))) == [REGRESSION, REGRESSION]


class TestExact:
    @pytest.mark.parametrize(
        ("field", "change", "rule", "part"),
        [
            ("flops", {"total": 4.0e9 * 1.001}, "flops:0%", "flops"),
            ("flops", {"total": 4.0e9 + 3e9}, "flops:2G", "flops"),
            ("memory", {"weights_bytes": int(8 * 2**20 * 1.05)}, "memory:4%", "memory (weights)"),
            ("memory", {"weights_bytes": 8 * 2**20 + 300_000}, "memory:200kB", "memory (weights)"),
        ],
    )
    def test_from_one_process(self, field: str, change: dict[str, Any], rule: str, part: str) -> None:
        base, now = noisy_side(0, 1), noisy_side(10, 1, **{field: change})
        judgement = judged(base, now, rule)
        assert {finding.name for finding in judgement.findings if finding.verdict == REGRESSION} == {part}
        assert judgement.regressed
        assert not judged(base, noisy_side(10, 1), rule).regressed

    def test_the_allocator_of_cuda_is_exact(self) -> None:
        def side(peak_bytes: int) -> list[Process]:
            return noisy_side(0, 1, device="cuda:0", memory={"peak_bytes": peak_bytes, "kind": "cuda_allocator"})

        judgement = judged(side(100 * 2**20), side(120 * 2**20), "memory:5%")
        assert {finding.name: finding.verdict for finding in judgement.findings} == {
            "memory (weights)": PASS,
            "memory (peak)": REGRESSION,
        }

    def test_the_resident_set_is_judged_by_processes(self) -> None:
        base = [noisy_process(seed, memory={"peak_bytes": (100 + seed) * 2**20}) for seed in range(3)]
        now = [noisy_process(seed, memory={"peak_bytes": (160 + seed) * 2**20}) for seed in range(3)]
        peaks = [finding for finding in judged(base, now, "memory:10%").findings if finding.part == "peak"]
        assert {finding.verdict for finding in peaks} == {REGRESSION}


class TestQuality:
    def test_damaged_answers_are_caught_from_one_process(self) -> None:
        judgement = judged(noisy_side(0, 1), noisy_side(10, 1, scores=[0.0] * 32), "quality:1")
        assert verdicts(judgement) == [REGRESSION, REGRESSION]
        assert show.change(judgement.findings[0]).startswith("-50.0 points [")

    def test_equal_answers_pass(self) -> None:
        assert verdicts(judged(noisy_side(0, 1), noisy_side(10, 1), "quality:0")) == [PASS, PASS]

    def test_equal_answers_do_not_dilute_what_else_is_tested(self) -> None:
        rules = ("latency:10%", "quality:1")
        assert judged(noisy_side(0), noisy_side(10), *rules).hypotheses == 2
        assert judged(noisy_side(0), noisy_side(10, scores=[1.0] * SAMPLES), *rules).hypotheses == 4

    def test_one_answer_of_many_is_not_settled(self) -> None:
        scores = [1.0, 0.0] * 16
        scores[0] = 0.0
        judgement = judged(noisy_side(0, 1), noisy_side(10, 1, scores=scores), "quality:1")
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]
        assert judgement.findings[0].reason == Reason.of("interval_of_samples_holds_limit", samples=32)

    def test_an_error_rate_is_worse_where_it_is_higher(self) -> None:
        def side(rate: float) -> list[Process]:
            metric = make_metric(rate, higher_is_better=False, per_sample=[rate] * 32)
            return noisy_side(0, 1, quality={"unparsed_share": metric})

        assert judged(side(0.1), side(0.5), "quality:1").regressed
        assert not judged(side(0.5), side(0.1), "quality:1").regressed

    def test_figures_of_a_corpus_are_not_judged_by_their_samples(self) -> None:
        quality = {
            "wer": make_metric(0.4, higher_is_better=False, per_sample=[1.0] * 32),
            "vqa_accuracy": make_metric(0.5, per_sample=[1.0, 0.0] * 16),
        }
        judgement = judged(noisy_side(0, 1, quality=quality), noisy_side(10, 1, quality=quality), "quality:1")
        assert {finding.part for finding in judgement.findings} == {"vqa_accuracy"}


class TestEnergy:
    def side(self, joules: float, bound: float = 1.0, **overrides: Any) -> list[Process]:
        energy = {"cpu_package": make_energy(joules, error_bound_j=bound, **overrides)}
        return noisy_side(0, energy=energy)

    def test_beyond_the_limit_and_both_bounds(self) -> None:
        assert verdicts(judged(self.side(3.0), self.side(4.0), "energy:10%")) == [REGRESSION, REGRESSION]

    def test_within_the_bounds_it_is_not_settled(self) -> None:
        judgement = judged(self.side(3.0, bound=10.0), self.side(3.6, bound=10.0), "energy:10%")
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]

    def test_a_contended_counter_is_named(self) -> None:
        busy = self.side(4.0, status="contended", reason=Reason.of("others_took_processor_time", percent=30))
        finding = judged(self.side(3.0), busy, "energy:10%").findings[0]
        assert finding.verdict == INCONCLUSIVE
        assert finding.reason is not None
        assert finding.reason.code == "side_flagged_in_some"
        assert str(finding.reason).startswith("the run is contended: other processes took 30 %")

    def test_a_number_that_is_gone_is_not_judged_and_says_why(self) -> None:
        missing = make_energy(None, status="permission", reason="permission denied")
        gone = [
            *noisy_side(0, datasets=["textvqa"], energy={"cpu_package": missing}),
            *noisy_side(0, datasets=["scienceqa"], energy={"cpu_package": make_energy(4.0)}),
        ]
        judgement = judged(self.side(3.0), gone, "energy:10%")
        assert {finding.case_id.split("-")[0]: finding.verdict for finding in judgement.findings} == {
            "textvqa": NOT_JUDGED,
            "scienceqa": REGRESSION,
        }
        assert "permission denied" in show.as_text(judgement)

    def test_a_rule_that_nothing_can_be_judged_by_is_refused(self) -> None:
        off = make_energy(None, status="disabled", reason="measured with --blip-energy=off")
        with pytest.raises(Refusal, match=r"energy:10% can be judged in no case: .*--blip-energy=off"):
            judged(self.side(3.0), noisy_side(0, energy={"cpu_package": off}), "energy:10%")


class TestDoubts:
    def test_a_contended_side_is_not_judged(self) -> None:
        busy = [
            Process.of(process.source, [_among_other_work(record) for record in process.records.values()])
            for process in noisy_side(10, slower=1.4)
        ]
        judgement = judged(noisy_side(0), busy)
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]
        reason = judgement.findings[0].reason
        assert reason is not None
        assert reason.code == "side_disturbed_in_some"
        assert str(reason).startswith("the run is contended: the fixed matrix product")

    def test_half_of_the_processes_must_be_in_doubt(self) -> None:
        now = noisy_side(10)
        one = Process.of("busy", [_among_other_work(record) for record in now[0].records.values()])
        assert verdicts(judged(noisy_side(0), [one, *now[1:]])) == [PASS, PASS]

    def test_another_sentence_on_the_gpu_is_no_doubt(self) -> None:
        """The clocks of a GPU are told by code: a caveat of its meter says nothing of the latency."""
        polled = {"gpu": make_energy(4.0, status="degraded", reason=Reason.of("polled_power"))}
        now = noisy_side(10, device="cuda:0", energy=polled, slower=1.4)
        assert verdicts(judged(noisy_side(0, device="cuda:0"), now)) == [REGRESSION, REGRESSION]

    @pytest.mark.parametrize(
        "sentence",
        [
            "the hardware slowed the GPU's clocks down",
            "the driver slowed the GPU's clocks down because it was hot",
            "the hardware slowed the GPU's clocks down because it was hot",
            "the power supply made the GPU slow its clocks down",
        ],
    )
    def test_a_file_of_the_first_schema(self, sentence: str, tmp_path: Path) -> None:
        """It holds what an older release's meter said, perhaps behind another sentence."""
        base = noisy_side(0, device="cuda:0", energy={"gpu": make_energy(4.0)})
        now = noisy_side(10, device="cuda:0", energy={"gpu": make_energy(4.0)}, slower=1.4)
        for number, process in enumerate(now):
            said = f"this GPU has no energy counter, so its polled power was integrated; {sentence}"
            plain = [as_first_schema(record, energy_reason=said) for record in process.records.values()]
            path = write_plain(tmp_path / f"{number}.json", plain)
            now[number] = read_process(path)
        judgement = judged(base, now)
        assert verdicts(judgement) == [INCONCLUSIVE, INCONCLUSIVE]
        reason = judgement.findings[0].reason
        assert str(reason) == f"the run is throttled: {sentence} in 3 of 3 processes"


def _among_other_work(record: Record) -> Record:
    """Every second reference product took five times as long."""
    latency = record.latency
    assert latency is not None
    slow = tuple(value * (5 if place % 2 else 1) for place, value in enumerate(latency.reference_s))
    return replace(record, latency=replace(latency, reference_s=slow))


class TestFamily:
    def test_holm(self) -> None:
        assert statistics.holm([0.01, 0.04, 0.03, 0.005], level=0.05) == [True, False, False, True]
        assert statistics.holm([]) == []

    def test_many_comparisons_are_tested_together(self) -> None:
        base = [
            Process.of("a", [noisy_record(np.random.default_rng(seed), batch_size=16 + place) for place in range(30)])
            for seed in range(3)
        ]
        now = [
            Process.of(
                "b", [noisy_record(np.random.default_rng(9 + seed), batch_size=16 + place) for place in range(30)]
            )
            for seed in range(3)
        ]
        judgement = judged(base, now)
        assert judgement.hypotheses == 31, "each case, and all of them as one"
        assert "31 comparisons were tested together" in show.as_text(judgement)
        assert "not the quotient of the two medians" in show.as_text(judgement)


class TestCases:
    def test_lost_and_new(self) -> None:
        base = noisy_side(0, 1)
        now = noisy_side(10, 1, datasets=["textvqa", "coco"])
        judgement = judged(base, now, "flops:0%")
        assert [(lost.case_id.split("-")[0], lost.reason.code) for lost in judgement.lost] == [
            ("scienceqa", "gone_or_renamed")
        ]
        assert [case_id.split("-")[0] for case_id in judgement.new] == ["coco"]
        assert judgement.regressed
        assert not judged(base, now, "flops:0%", missing=Missing.WARN).regressed

    @pytest.mark.parametrize("status", ["unavailable", "failed", "out_of_memory"])
    def test_a_case_that_no_longer_runs_is_lost(self, status: str) -> None:
        (kept, other) = noisy_process(0).records.values()
        gone = make_not_run(status, "no such thing", dataset=other.case.dataset, batch_size=16)
        judgement = judged(noisy_side(0, 1), [Process.of("now", [kept, gone])], "flops:0%")
        assert [str(lost.reason) for lost in judgement.lost] == [f"{status}: no such thing"]
        assert judgement.regressed

    def test_what_the_run_did_not_ask_for_is_not_missed(self, tmp_path: Path) -> None:
        records = list(noisy_process(0).records.values())
        base = read_process(write_run(tmp_path / "base.json", records))

        def lost(**selected: Any) -> int:
            said = {"arguments": ["benchmarks"], "keyword": "", "marks": "", **selected}
            now = read_process(write_run(tmp_path / "now.json", records[:1], {"selected": said}))
            return len(judged([base], [now], "flops:0%").lost)

        assert lost() == 1
        assert lost(keyword="textvqa") == 0
        assert lost(keyword="not textvqa") == 1
        assert lost(arguments=["benchmarks/test_other.py"]) == 0
        assert lost(arguments=["benchmarks/test_it.py::test_it"]) == 1
        assert lost(marks="slow") == 0

    def test_a_second_timing_is_no_case(self, tmp_path: Path) -> None:
        records = list(noisy_process(0).records.values())
        slow = make_again(records[0], make_latency([9.0] * 15))
        for process in (
            Process.of("memory", [*records, slow]),
            read_process(write_run(tmp_path / "records.json", [*records, slow])),
        ):
            assert [record.latency for record in process.records.values()] == [record.latency for record in records]

    def test_paths(self) -> None:
        node_id = "benchmarks/test_it.py::test_it[x]"
        for argument in (".", "benchmarks", "./benchmarks/", "benchmarks/test_it.py", node_id):
            assert Selected((argument,)).has(node_id), argument
        for argument in ("bench", "benchmarks/test_i", "tests"):
            assert not Selected((argument,)).has(node_id), argument


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "name", "message"),
        [
            ({"environment": {"cpu_model": "another"}}, "machine", "another machine than in the baseline"),
            ({"environment": {"torch_threads": 2}}, "threads", "another number of threads"),
            ({"environment": {"versions": {"torch": "9.9"}}}, "torch", "another torch than in the baseline: 9.9"),
            ({"prompts": "seed"}, "prompts", "other prompts than in the baseline: seed"),
            ({"generation": {"repetition_penalty": 1.5}}, "prompts", "greedy, repetition_penalty 1.5 instead of"),
            ({"generation": {"min_new_tokens": 2}}, "prompts", "greedy, min_new_tokens 2 instead of"),
            ({"generation": {"decoding": "rank"}}, "prompts", "rank instead of"),
            ({"data": {"revision": "abc"}}, "data", "other data than in the baseline"),
            ({"generation": {"new_tokens": 5}}, "new-tokens", "another limit on new tokens than in the baseline: 5"),
        ],
    )
    def test_other_conditions(self, change: dict[str, Any], name: str, message: str) -> None:
        base, now = noisy_side(0), noisy_side(10, **change)
        with pytest.raises(Refusal) as raised:
            judge(base, now, LATENCY)
        assert message in str(raised.value)
        assert f"--blip-allow {name}" in str(raised.value)
        assert message in judge(base, now, LATENCY, allowed=[name]).notes[0]

    def test_a_record_from_before_decoding_was_said_compares(self) -> None:
        for beams, decoding in ((1, "greedy"), (5, "beam")):
            before = noisy_side(0, generation={"num_beams": beams})
            now = noisy_side(10, generation={"num_beams": beams, "decoding": decoding, "ocr_limit": 30})
            assert check_comparable(before, now) == []

    def test_another_driver_concerns_the_gpu_alone(self) -> None:
        def side(device: str, driver: str) -> list[Process]:
            return noisy_side(0, device=device, environment={"gpu_driver": driver})

        with pytest.raises(Refusal, match="another GPU driver than in the baseline: 600 instead of 550"):
            check_comparable(side("cuda:0", "550"), side("cuda:0", "600"))
        assert check_comparable(side("cpu", "550"), side("cpu", "600")) == []

    def test_no_case_in_common(self) -> None:
        with pytest.raises(Refusal, match="has no case in common with this run; save one from the same benchmarks"):
            judge(noisy_side(0, datasets=["coco"]), noisy_side(1), LATENCY)

    def test_another_checkpoint_is_what_is_compared(self) -> None:
        assert case_key(make_record(model="one")) == case_key(make_record(model="another/checkpoint"))
        assert not judged(noisy_side(0), noisy_side(1, model="/another")).regressed


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> dict[str, list[str]]:
        def write(name: str, slower: float, first: int) -> list[str]:
            sides = noisy_side(first, slower=slower)
            return [
                str(write_run(tmp_path / name / f"{place}.json", list(side.records.values())))
                for place, side in enumerate(sides)
            ]

        return {"base": write("base", 1, 0), "same": write("same", 1, 10), "slow": write("slow", 1.4, 10)}

    def test_exit_codes_and_files(self, runs: dict[str, list[str]], tmp_path: Path, capsys: Any) -> None:
        out = tmp_path / "out"
        args = ["compare", "--base", *runs["base"], "--fail", "latency:10%", "--fail", "flops:0%", "--out", str(out)]
        assert main([*args, "--now", *runs["same"]]) == 0
        assert "pass: 4 pass (3 baseline processes against 3)" in capsys.readouterr().out
        assert main([*args, "--now", *runs["slow"]]) == 1
        said = capsys.readouterr().out
        assert "FAIL: 2 regression, 2 pass" in said
        rows = [line for line in said.splitlines() if line.startswith(DATASETS)]
        assert [row.split()[-1] for row in rows] == ["regression", "regression", "pass", "pass"]
        assert (out / "gate.md").read_text().startswith("# Gate\n\n**FAIL: 2 regression")
        found = json.loads((out / "gate.json").read_text())
        assert found["regressed"] is True
        assert {(entry["reason"], entry["reason_code"]) for entry in found["findings"]} == {(None, None)}
        assert {entry["rule"] for entry in found["findings"]} == {"latency:10%", "flops:0%"}

    def test_a_reason_stands_beside_its_code(self, runs: dict[str, list[str]], tmp_path: Path) -> None:
        gone = write_run(tmp_path / "gone.json", list(noisy_process(0, datasets=["textvqa"]).records.values()))
        args = ["compare", "--base", runs["base"][0], "--now", str(gone), "--fail", "latency:10%", "--fail", "flops:0%"]
        assert main([*args, "--out", str(tmp_path)]) == 1
        found = json.loads((tmp_path / "gate.json").read_text())
        assert [(entry["verdict"], entry["reason_code"]) for entry in found["findings"]] == [
            ("inconclusive", "one_process_a_side"),
            ("pass", None),
        ]
        assert found["findings"][0]["reason"] == str(Reason.of("one_process_a_side"))
        (lost,) = found["lost"]
        assert (lost["reason"], lost["reason_code"]) == (str(Reason.of("gone_or_renamed")), "gone_or_renamed")

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (["--allow", "machine,trasnformers"], "interrupted; did you mean transformers?"),
            (["--allow", "weather"], "unknown 'weather'; choose of machine, threads, torch"),
            (["--missing", "wran"], "argument --missing: unknown 'wran'; choose of fail, warn; did you mean warn?"),
            (["--missing", "ignore"], "argument --missing: unknown 'ignore'; choose of fail, warn\n"),
            (["--fail", "enery:5%"], "--fail: unknown metric 'enery'; choose one of latency, "),
            (["--fail", "enery:5%"], "model_load; did you mean energy?"),
        ],
    )
    def test_a_misspelt_word(
        self, wrong: list[str], message: str, runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        sides = ["compare", "--base", *runs["base"], "--now", *runs["same"], "--fail", "latency:10%"]
        try:
            code: int | str | None = main([*sides, *wrong])
        except SystemExit as raised:
            code = raised.code
        assert code == 4
        assert message in capsys.readouterr().err

    def test_a_lost_case_may_be_a_warning(self, runs: dict[str, list[str]], tmp_path: Path, capsys: Any) -> None:
        gone = write_run(tmp_path / "gone.json", list(noisy_process(0, datasets=["textvqa"]).records.values()))
        args = ["compare", "--base", runs["base"][0], "--now", str(gone), "--fail", "flops:0%", "--missing", "warn"]
        assert main(args) == 0
        assert "Lost (a warning, as was asked for): scienceqa" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "it is no JSON"),
            ('{"benchmarks": [{"na', "it is no JSON"),
            ("[]", "is not a pytest-benchmark file"),
            ('{"benchmarks": []}', "holds no blip records"),
            ('{"benchmarks": [{"fullname": "test_x", "extra_info": {}, "stats": {}}]}', "holds no blip records"),
            (
                '{"benchmarks": [{"extra_info": {"blip": {"schema_version": 0}}}]}',
                "schema version 0 where this release reads 1",
            ),
        ],
    )
    def test_a_baseline_that_is_no_use(
        self, content: str, message: str, runs: dict[str, list[str]], tmp_path: Path, capsys: Any
    ) -> None:
        broken = tmp_path / "broken.json"
        broken.write_text(content)
        assert main(["compare", "--base", str(broken), "--now", *runs["same"], "--fail", "latency:10%"]) == 4
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert len(error.splitlines()) == 1

    def test_a_missing_file(self, runs: dict[str, list[str]], capsys: Any) -> None:
        assert main(["compare", "--base", "nowhere.json", "--now", *runs["same"], "--fail", "latency:10%"]) == 4
        assert "nowhere.json does not exist" in capsys.readouterr().err

    def test_bad_arguments_exit_with_4_too(self, runs: dict[str, list[str]], capsys: Any) -> None:
        sides = ["--base", *runs["base"], "--now", *runs["same"]]
        assert main(["compare", *sides, "--fail", "speed:10%"]) == 4
        assert "error: --fail: unknown metric 'speed'" in capsys.readouterr().err
        assert main(["compare", *sides]) == 4
        assert "error: there is no rule; give --fail" in capsys.readouterr().err
        for wrong in (["compare", *sides, "--fail", "latency:10%", "--allow", "weather"], []):
            with pytest.raises(SystemExit) as raised:
                main(wrong)
            assert raised.value.code == 4

    def test_on_github(
        self, runs: dict[str, list[str]], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        summary = tmp_path / "summary.md"
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        main(["compare", "--base", *runs["base"], "--now", *runs["slow"], "--fail", "latency:10%"])
        errors = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error title=")]
        assert len(errors) == 2
        assert "%25 [" in errors[0]
        assert "| regression |" in " ".join(summary.read_text().split())

    def test_ab_runs_both_in_turn_and_judges(self, tmp_path: Path, capsys: Any) -> None:
        """Each command stands for a pytest run: it takes the folder from PYTEST_ADDOPTS and leaves records there."""
        script = tmp_path / "run.py"
        script.write_text(
            "import os, pathlib, sys\n"
            "from tests.unit.sides import noisy_process, write_run\n"
            "into = pathlib.Path(os.environ['PYTEST_ADDOPTS'].rpartition('=')[2])\n"
            "log = pathlib.Path(sys.argv[1]); said = log.read_text() if log.exists() else ''\n"
            "log.write_text(said + sys.argv[2] + '\\n')\n"
            "process = noisy_process(len(said.splitlines()), slower=float(sys.argv[2]))\n"
            "write_run(into / 'instructblip-tiny' / 'records.json', list(process.records.values()))\n"
        )
        root = Path(__file__).parents[2]
        log = tmp_path / "log"
        command = f"cd {shlex.quote(str(root))} && PYTHONPATH=. {sys.executable} {script} {log}"
        args = ["ab", "--base", f"{command} 1.0", "--fail", "latency:10%", "--runs", "3"]
        assert main([*args, "--now", f"{command} 1.4", "--out", str(tmp_path / "out")]) == 1
        assert log.read_text().split() == ["1.0", "1.4", "1.4", "1.0", "1.0", "1.4"]
        said = capsys.readouterr().out
        assert "[1/6] base 1 of 3" in said
        assert "FAIL: 2 regression (3 baseline processes against 3)" in said
        assert (tmp_path / "out" / "now-3" / "instructblip-tiny" / "records.json").exists()

    def test_a_command_without_records(self, tmp_path: Path, capsys: Any) -> None:
        args = ["ab", "--base", "echo what happened; exit 3", "--now", "true", "--fail", "latency:10%"]
        assert main([*args, "--out", str(tmp_path / "out")]) == 4
        error = capsys.readouterr().err
        assert "exited with 3 and left no records" in error
        assert error.rstrip().endswith("what happened")

    def test_the_end_of_a_commands_output_tells_no_secret(
        self, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "planted-in-a-variable")
        monkeypatch.setenv("HOME", "/home/someone")
        command = "echo $HF_TOKEN in $HOME/x; : --hub-token planted-by-flag; exit 3"
        args = ["ab", "--base", command, "--now", "true", "--fail", "latency:10%", "--out", str(tmp_path / "out")]
        assert main(args) == 4
        error = capsys.readouterr().err
        assert "planted" not in error
        assert error.rstrip().endswith("*** in ~/x")


def test_order_of_runs() -> None:
    assert [side for side, _ in order(3)] == ["base", "now", "now", "base", "base", "now"]
