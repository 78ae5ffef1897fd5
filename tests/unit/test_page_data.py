from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from blip_fixtures.record import Record
from blip_fixtures.report.page.data import content
from blip_fixtures.report.page.history import History
from blip_fixtures.report.page.points import MOST_ROUNDS
from blip_fixtures.report.prose import load_prose
from tests.unit.records import make_energy, make_latency, make_metric, make_not_run, make_record

PROSE = load_prose("en")


def points(*records: Record) -> dict[str, Any]:
    found = content(records, PROSE).data["points"]
    for point in found:
        point["beaten"] = {chart: [found[place]["id"] for place in places] for chart, places in point["beaten"].items()}
    return {point["id"]: point for point in found}


def point(record: Record) -> Any:
    (found,) = content([record], PROSE).data["points"]
    return found


def optimized(name: str, seconds: float, quality: float, **overrides: Any) -> Record:
    return make_record(
        optimization=name,
        sweeps=["optimization"],
        latency=make_latency([seconds, 1.01 * seconds, 0.99 * seconds]),
        quality={"accuracy": make_metric(quality)},
        **overrides,
    )


def test_a_point_has_the_documents_figures_in_the_pages_unit() -> None:
    found = point(make_record(latency=make_latency([0.2, 0.21, 0.19, 0.2])))["figures"]
    assert found["latency"] == {"text": "200.0 [197.5, 202.5] ms", "value": 200.0, "low": 197.5, "high": 202.5}
    assert found["quality"]["text"] == "46.6 %"
    assert found["energy"] == {"text": "3.500 ± 0.047 J", "value": 3.5, "low": 3.4531, "high": 3.5469}
    assert found["memory"]["text"] == "100.0 MiB"


def test_long_latencies_are_in_seconds() -> None:
    found = content([make_record(latency=make_latency([20.0, 21.0, 22.0]))], PROSE).data
    assert (found["unit"], found["points"][0]["figures"]["latency"]["value"]) == ("s", 21.0)


def test_what_is_missing_has_its_reason() -> None:
    record = make_record(
        memory=None,
        missing={"memory": "nobody looked"},
        energy={"cpu_package": make_energy(None, status="lost", reason="gone")},
    )
    found = content([record], PROSE).data
    figures = found["points"][0]["figures"]
    assert "value" not in figures["memory"]
    assert found["texts"][figures["memory"]["reason"]] == "nobody looked"
    assert found["texts"][figures["energy"]["reason"]] == "meter lost; gone"
    said = {path: found["texts"][why] for path, why in found["points"][0]["reasons"]}
    assert said == {"memory": "nobody looked", "energy.cpu_package": "meter lost; gone"}


def test_a_case_that_did_not_run_is_a_point_without_figures() -> None:
    found = point(make_not_run("out_of_memory", "8 GiB are too few"))
    assert not found["ok"]
    assert found["status"] == "out of memory; 8 GiB are too few"
    assert not any("value" in figure for figure in found["figures"].values())


def test_the_metric_of_a_dataset_is_the_first_of_which_more_is_better() -> None:
    quality = {"wer": make_metric(0.1, higher_is_better=False), "cider": make_metric(1.5), "bleu4": make_metric(0.3)}
    assert point(make_record(quality=quality))["metric"] == "cider"
    only_errors = {"wer": make_metric(0.1, higher_is_better=False)}
    assert (point(make_record(quality=only_errors))["metric"], point(make_record(quality=only_errors))["higher"]) == (
        "wer",
        False,
    )


def test_dominated_cases_know_by_whom() -> None:
    fast, slow, good = optimized("bf16", 0.1, 0.9), optimized("fp32", 0.2, 0.9), optimized("fp16", 0.3, 0.95)
    found = points(fast, slow, good)
    assert found[slow.case_id]["beaten"]["latency_quality"] == [fast.case_id]
    assert found[good.case_id]["beaten"]["latency_quality"] == []
    assert found[fast.case_id]["beaten"]["latency_quality"] == []


def test_less_is_better_of_a_rate_of_errors() -> None:
    def of(name: str, errors: float) -> Record:
        quality = {"wer": make_metric(errors, higher_is_better=False)}
        return replace(optimized(name, 0.1, 0.5), quality=quality)

    few, many = of("bf16", 0.1), of("fp32", 0.4)
    found = points(few, many)
    assert found[many.case_id]["beaten"]["latency_quality"] == [few.case_id]
    assert found[few.case_id]["beaten"]["latency_quality"] == []


def test_batches_of_another_size_are_no_rivals() -> None:
    small, large = optimized("bf16", 0.1, 0.9, batch_size=1), optimized("bf16", 0.5, 0.8, batch_size=16)
    assert points(small, large)[large.case_id]["beaten"]["latency_quality"] == []


def test_a_finer_image_may_be_worth_its_time_but_not_its_memory() -> None:
    coarse, fine = optimized("bf16", 0.1, 0.9, image_size=224), optimized("bf16", 0.5, 0.8, image_size=448)
    found = points(coarse, fine)[fine.case_id]["beaten"]
    assert found["latency_quality"] == [coarse.case_id]
    assert found["latency_memory"] == []


def test_the_same_case_on_two_machines_is_two_points() -> None:
    records = [make_record(device="cuda:0", device_name=name) for name in ("NVIDIA H100", "NVIDIA H200")]
    first, second = points(*records)
    assert second == f"{first}~2"


def test_further_measurements_of_a_case_are_rounds_of_the_same_point() -> None:
    first, second = (make_record(latency=make_latency([seconds] * 3)) for seconds in (0.1, 0.2))
    (found,) = points(first, replace(second, process=2)).values()
    assert [(each["process"], each["rounds"]) for each in found["rounds"]] == [(1, [100.0] * 3), (2, [200.0] * 3)]
    assert found["figures"]["latency"]["value"] == 150.0


def test_many_rounds_are_thinned_and_the_page_knows() -> None:
    (found,) = point(make_record(latency=make_latency([0.1] * 1000)))["rounds"]
    assert len(found["rounds"]) <= MOST_ROUNDS
    assert (found["count"], found["step"]) == (1000, 4)


def test_decoding_of_an_older_record_is_the_rest_of_the_call() -> None:
    found = point(make_record(phases={"time_to_first_token_s": 0.06, "sum_s": 0.2}))["phases"]
    assert found == {"vision": 20.0, "qformer": 10.0, "prefill": 30.0, "decode": 140.0}


def test_phases_that_are_not_all_known_are_no_bar() -> None:
    assert point(make_record(phases={"sum_s": None}, missing={"phases.sum_s": "x"}))["phases"] is None


def test_a_record_stands_in_full_but_for_long_lists() -> None:
    record = make_record(predictions=["a", "b"], quality={"wer": make_metric(0.5, per_sample=[1, 0])})
    found = content([record], PROSE).data
    shown = found["points"][0]["record"]
    assert shown["case"]["optimization"] == "fp32"
    assert (shown["predictions"], shown["quality"]["wer"]["per_sample"]) == ("[2]", "[2]")
    assert found["environments"][found["points"][0]["environment"]]["cpu_model"].startswith("Intel")


def test_what_points_share_stands_once() -> None:
    found = content([make_record(batch_size=size) for size in (1, 4, 8)], PROSE).data
    assert len(found["machines"]) == len(found["environments"]) == 1


def test_views_begin_with_optimizations_and_filters_have_the_documents_names() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=1),
        make_record(sweeps=["batch_size"], batch_size=16),
        make_record(sweeps=["optimization"], optimization="bf16", dataset="coco"),
        make_record(sweeps=["optimization"], optimization="fp16", dataset="coco"),
    ]
    found = content(records, PROSE).data
    assert [name for name, _ in found["views"]] == ["optimization", "batch_size", "all"]
    filters = {each["axis"]: each["values"] for each in found["filters"]}
    assert filters["dataset"] == ["TextVQA", "COCO"]
    assert filters["batch_size"] == ["1", "16"]


def test_at_a_glance() -> None:
    records = [
        optimized("fp16", 0.4, 0.9, batch_size=16),
        optimized("bf16", 0.1, 0.9, batch_size=16),
        optimized("compile", 0.1001, 0.9, batch_size=16),
        make_record(sweeps=["batch_size"], batch_size=1, throughput={"samples_per_s": 10.0, "tokens_per_s": 20.0}),
        make_record(sweeps=["batch_size"], batch_size=4, throughput={"samples_per_s": 30.0, "tokens_per_s": 60.0}),
    ]
    fastest, batch = content(records, PROSE).glance
    assert fastest["answer"] == "bf16"
    assert "4.00 times as fast as fp16" in fastest["details"]
    assert "cannot be told from: Compile" in fastest["details"]
    assert batch["answer"] == "4"
    assert batch["details"] == ["30.00 samples a second", "other batch sizes: 10.00 with 1"]


def test_a_fast_optimization_with_worse_answers_is_said_to_have_them() -> None:
    good, bad = (optimized(name, seconds, 0.9) for name, seconds in (("fp16", 0.4), ("int4", 0.1)))
    bad = replace(bad, quality={"accuracy": make_metric(0.2, interval=(0.1, 0.3))})
    good = replace(good, quality={"accuracy": make_metric(0.9, interval=(0.8, 0.95))})
    (card,) = content([good, bad], PROSE).glance
    assert card["answer"] == "int4"
    assert "its answers are clearly worse than those of fp16" in card["details"]


def test_batches_that_cannot_be_told_apart_share_the_place() -> None:
    sizes = {8: (0.1, 80.0), 16: (0.199, 80.4)}
    records = [
        make_record(
            sweeps=["batch_size"],
            batch_size=size,
            latency=make_latency([seconds, 1.02 * seconds, 0.98 * seconds]),
            throughput={"samples_per_s": rate, "tokens_per_s": rate},
        )
        for size, (seconds, rate) in sizes.items()
    ]
    (card,) = content(records, PROSE).glance
    assert card["answer"] == "16"
    assert "cannot be told from: 8" in card["details"]


def test_of_one_case_nothing_is_chosen() -> None:
    assert content([optimized("fp16", 0.4, 0.9)], PROSE).glance == ()


def test_without_a_storage_the_page_says_how_to_have_one() -> None:
    assert "--benchmark-autosave" in content([make_record()], PROSE).data["history"]["sentence"]
    none_yet = content([make_record()], PROSE, history=History()).data["history"]
    assert "no stored run of this machine yet" in none_yet["sentence"]


def test_a_second_timing_is_no_point_and_a_note() -> None:
    record = make_record()
    (found,) = points(record, replace(record, again=True)).values()
    assert len(found["rounds"]) == 1
    assert found["notes"]
