"""What a certificate believes of a record: the samples' own scores, their number, and the settings that it names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.families import family_of
from blip_fixtures.quality.certificate import Row, certify
from blip_fixtures.quality.metric import mean_metric, share_metric
from blip_fixtures.quality.published import published_models, scores_of
from blip_fixtures.quality.scored import scored
from blip_fixtures.record import Metric, Record
from blip_fixtures.words import Certified, IntervalMethod
from tests.unit.certificates import CAPTIONS, RIGHT, SPLIT, answered, captioned
from tests.unit.records import make_metric

WHOLE = [1.0] * RIGHT + [0.0] * (SPLIT - RIGHT)


def of_metric(record: Record, metric: str = "accuracy") -> Row:
    """The one row on this metric."""
    (row,) = [row for row in certify([record]) if row.score is not None and row.score.metric == metric]
    return row


def without(record: Record, *fields: str) -> Record:
    """The record as if it had never been said."""
    return msgspec.structs.replace(record, **dict.fromkeys(fields))


def note_codes(row: Row) -> list[str]:
    return [note.code for note in row.notes]


@pytest.mark.parametrize("model", published_models())
def test_the_kinds_are_those_of_the_family(model: str) -> None:
    assert scores_of(model)[0].kinds == tuple(family_of(CATALOG[model]).kinds)


@pytest.mark.parametrize(
    ("record", "notes"),
    [
        (answered(data={"samples": 64, "batches": 4, "dropped": 3}, batch_size=16), []),
        (answered(data={"source": "sample", "samples": 64, "split": None}, batch_size=16), ["split_by_number"]),
        (answered(data={"split": "test"}), []),
        (without(answered(), "data"), ["split_by_number"]),
        (without(answered(), "generation"), ["protocol_by_name"]),
        (answered(generation={"decoding": None}), ["protocol_by_name"]),
        (answered(tokens={"truncated_share": 0.25}), ["prompts_cut"]),
        (without(answered(), "tokens"), []),
        (answered(quality={"accuracy": make_metric(0.94, per_sample=WHOLE)}), ["value_of_samples"]),
        (answered(quality={"accuracy": make_metric(70.4, per_sample=WHOLE)}), ["value_of_samples"]),
        (answered(quality={"accuracy": make_metric(0.704, per_sample=WHOLE, interval=(0.5, 0.9))}), []),
        (answered(quality={"accuracy": make_metric(0.704, per_sample=[0.704] * SPLIT)}), []),
        (answered(quality={"accuracy": make_metric(0.704)}), []),
    ],
    ids=lambda value: "" if isinstance(value, Record) else "-".join(value),
)
def test_2017_answers_are_judged_whatever_stands_beside_them(record: Record, notes: list[str]) -> None:
    row = of_metric(record)
    assert (row.verdict, row.samples, row.reasons) == (Certified.REPRODUCED, SPLIT, ())
    assert row.interval is not None
    assert row.interval.ends == pytest.approx((0.6837, 0.7235), abs=1e-3)
    assert note_codes(row) == notes


def test_a_sample_without_a_score_is_no_answer() -> None:
    quality = {"accuracy": make_metric(0.704, per_sample=[*WHOLE[:-1], None])}
    assert [reason.code for reason in of_metric(answered(quality=quality)).reasons] == ["not_the_whole_split"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decoding": "greedy", "num_beams": 1}, "decoding is greedy in its record, and beam in the protocol"),
        ({"num_beams": 3}, "num_beams is 3 in its record, and 5 in the protocol"),
        ({"length_penalty": -1}, "length_penalty is -1 in its record, and 1 in the protocol"),
        ({"repetition_penalty": 1.5}, "repetition_penalty is 1.5 in its record, and 1 in the protocol"),
        ({"min_new_tokens": 10}, "min_new_tokens is 10 in its record, and 8 in the protocol"),
        ({"new_tokens": 50}, "max_new_tokens is 50 in its record, and 30 in the protocol"),
        (
            {"prompt_parts": ["a picture of"]},
            'prompt is "a picture of" in its record, and "a photo of" in the protocol',
        ),
        ({"ocr_limit": 30}, "ocr_limit is 30 in its record, and 0 in the protocol"),
    ],
)
def test_a_setting_that_is_not_the_preset_s_is_named(changed: dict[str, Any], said: str) -> None:
    assert of_metric(captioned(), "cider").verdict == Certified.REPRODUCED
    row = of_metric(captioned(generation=changed), "cider")
    (reason,) = row.reasons
    assert (row.verdict, reason.code) == (Certified.NO_VERDICT, "other_protocol")
    assert reason.say().startswith(f"{said} of the published score (--blip-prompts published)")


@pytest.mark.parametrize(("model", "penalty"), [("flan-t5-xl", -1), ("vicuna-7b", 0)])
def test_the_protocol_is_that_of_the_family(model: str, penalty: float) -> None:
    parts = ["OCR tokens: {ocr_tokens}.", "Question: {question}", "Short answer:"]
    generation = {**CAPTIONS, "prompt_parts": parts, "ocr_limit": 30, "repetition_penalty": 1.5, "min_new_tokens": 1}
    for said in (-1, 0):
        record = captioned(
            model=f"Salesforce/instructblip-{model}",
            dataset="textvqa",
            image_size=224,
            quality={"vqa_accuracy": mean_metric([0.0, 1.0] * 2500, span=(0, 1))},
            generation={**generation, "new_tokens": 10, "length_penalty": said},
            data={"split": "validation"},
        )
        row = of_metric(record, "vqa_accuracy")
        assert [reason.args["setting"] for reason in row.reasons] == ([] if said == penalty else ["length_penalty"])


def test_a_figure_on_another_scale_is_refused() -> None:
    quality = {"cider": make_metric(144.5, per_sample=[144.5] * 5000), "bleu4": make_metric(42.4)}
    record = captioned(quality=quality)
    for metric in quality:
        row = of_metric(record, metric)
        assert (row.value, row.reasons[-1].code) == (None, "impossible_score")


def test_an_interval_that_is_of_other_samples_is_made_again() -> None:
    scores = [0.5, 2.4] * 2500
    right = mean_metric(scores, span=(0, 10))
    assert right.interval is not None
    for stale in (None, (0.5, 2.4), (1.4499, 1.4501)):
        found = scored("cider", make_metric(1.45, per_sample=scores, interval=stale), 0)
        assert found is not None
        assert found.interval is not None
        assert found.interval.ends == right.interval
    kept = scored("cider", right, 0)
    assert kept is not None
    assert kept.interval is not None
    assert kept.interval.method == IntervalMethod.BOOTSTRAP


@pytest.mark.parametrize(
    ("metric", "code"),
    [
        (make_metric(0.4, per_sample=[0.1, 0.7] * 2500), "interval_not_recorded"),
        (make_metric(0.4, per_sample=[0.1, 0.7] * 2500, interval=(0.5, 0.9)), "interval_not_recorded"),
        (make_metric(1.0, per_sample=[1.0] * 5000), "no_interval_all_alike"),
    ],
)
def test_a_corpus_figure_needs_the_interval_that_was_measured(metric: Metric, code: str) -> None:
    row = of_metric(captioned(quality={"bleu4": metric}), "bleu4")
    assert [reason.code for reason in row.reasons] == [code]


def test_one_answer_has_no_interval() -> None:
    row = of_metric(answered(quality={"accuracy": share_metric([True])}))
    assert [reason.code for reason in row.reasons] == ["not_the_whole_split", "no_interval_of_one_sample"]
