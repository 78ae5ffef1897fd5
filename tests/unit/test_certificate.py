"""The certificate: its table, its rule, what gets no verdict, and the section of the document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.data.datasets import dataset_names
from blip_fixtures.quality.certificate import MARGINS, Row, certify, judged
from blip_fixtures.quality.certify import verdict_text
from blip_fixtures.quality.intervals import wilson
from blip_fixtures.quality.published import published_models, scores_of
from blip_fixtures.record import Record
from blip_fixtures.report.document import write_document
from blip_fixtures.words import Certified
from tests.unit.certificates import RIGHT, SPLIT, XL, answered, captioned
from tests.unit.records import make_metric, make_not_run, make_record
from tools.certificate_rates import published, rates, table

SCORES = [score for model in published_models() for score in scores_of(model)]
DOCS = Path(__file__).parents[2] / "docs" / "certificate.md"


def only(records: list[Record], metric: str = "accuracy") -> Row:
    """The one row on this metric."""
    (row,) = [row for row in certify(records) if row.score is not None and row.score.metric == metric]
    return row


def codes(record: Record, metric: str = "accuracy") -> list[str]:
    row = only([record], metric)
    assert row.verdict == Certified.NO_VERDICT
    return [reason.code for reason in row.reasons]


@pytest.mark.parametrize("score", SCORES, ids=lambda score: f"{score.model}-{score.dataset}-{score.metric}")
def test_a_score_has_two_sources_or_is_marked(score: Any) -> None:
    assert (len(score.sources) < 2) == score.is_single
    assert all(source.url.startswith("https://") and source.text for source in score.sources)
    assert score.dataset in dataset_names()
    assert score.metric in MARGINS
    assert 0 < score.value < (10 if score.metric == "cider" else 1)
    assert score.show(score.value) == str(score.score)


def test_the_page_has_every_score_and_the_rates() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert table() in page
    for score in SCORES:
        marked = " (one source)" if score.is_single else ""
        assert f"| {score.model} | {score.dataset} | {score.metric} | {score.show(score.value)}{marked} |" in page


@pytest.mark.parametrize(
    ("right", "verdict", "shown"),
    [
        (RIGHT, Certified.REPRODUCED, "reproduced"),
        (RIGHT - 100, Certified.NOT_REPRODUCED, "not reproduced (-5.0)"),
        (RIGHT + 100, Certified.NOT_REPRODUCED, "not reproduced (+5.0)"),
    ],
)
def test_2017_answers_of_scienceqa(right: int, verdict: Certified, shown: str) -> None:
    row = only([answered(right)])
    assert (row.verdict, verdict_text(row)) == (verdict, shown)
    assert (row.samples, row.reasons, row.notes) == (SPLIT, (), ())


def test_the_rounding_of_a_publication_counts() -> None:
    """65.0 stands for anything up to 65.05, which is the lower end of this interval."""
    score = published(65.0, 5000)
    interval = wilson(0.6634, 5000)
    assert score.value < interval.low < score.value + score.half_unit
    assert judged(score, 0.6634, interval, 5000).verdict == Certified.REPRODUCED


def test_too_few_samples_cannot_tell_and_so_many_would() -> None:
    score = published(70.4, 500)
    found = judged(score, 0.70, wilson(0.70, 500), 500)
    assert found.verdict == Certified.CANNOT_TELL
    assert found.needed is not None
    assert wilson(0.70, found.needed).half_width == pytest.approx(MARGINS["accuracy"], rel=0.01)
    row = Row(answered(), found.verdict, score, 0.7, wilson(0.7, 500), 500, found)
    assert verdict_text(row) == f"cannot tell ({found.needed:,} samples would do)"


@pytest.mark.parametrize("score", [70.4, 60.5])
def test_how_often_the_rule_is_wrong(score: float) -> None:
    assert rates(published(score, SPLIT), 0)[Certified.NOT_REPRODUCED] < 0.05
    assert rates(published(score, SPLIT), -5)[Certified.NOT_REPRODUCED] > 0.99


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": "random", "quality": {}}, "synthetic_weights"),
        ({"prompts": "paper"}, "other_prompts"),
        ({"generation": {"fixed": True}}, "answers_of_fixed_length"),
        ({"image_size": 336}, "other_image_size"),
        ({"generation": {"decoding": "greedy"}}, "other_protocol"),
        ({"data": {"split": "validation"}}, "other_split"),
        ({"data": {"source": "sample", "split": None}, "samples": 64, "right": 45}, "packaged_samples"),
        ({"data": {"samples": 64, "batches": 64}, "samples": 64, "right": 45}, "not_the_whole_split"),
        ({"data": {"samples": 2017, "dropped": 1}, "batch_size": 16, "samples": 2016}, "samples_dropped"),
        ({"data": {"samples": 3000}, "samples": 3000}, "not_the_whole_split"),
        ({"quality": {}, "missing": {"quality": "left out"}}, "verbatim"),
        ({"quality": {}}, "no_such_number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_run_gets_no_verdict_but_the_reason(changes: dict[str, Any], code: str) -> None:
    assert codes(answered(**changes)) == [code]


def test_a_batch_size_that_divides_the_split_is_named() -> None:
    quality = {"cider": make_metric(1.45, per_sample=[1.4, 1.5] * 2496)}
    record = captioned(data={"dropped": 8, "batches": 312}, batch_size=16, quality=quality)
    assert only([record], "cider").reasons[0].args["better"] == 10


def test_all_reasons_are_told_at_once() -> None:
    record = answered(45, 64, prompts="paper", image_size=336, data={"source": "sample", "split": None})
    assert codes(record) == ["other_prompts", "other_image_size", "packaged_samples"]


def test_a_case_that_did_not_run_has_its_own_reason() -> None:
    record = make_not_run(model=XL, dataset="scienceqa", prompts="published", data=None)
    assert codes(record) == ["data_not_recorded", "verbatim"]


def test_older_records_are_known_by_the_number_of_their_samples() -> None:
    """Their source says where a split of as many samples is another one."""
    row = only([answered(data={"split": None})])
    assert row.verdict == Certified.REPRODUCED
    assert [note.code for note in row.notes] == ["split_by_number"]
    older = captioned(data={"split": None, "source": "lmms-lab/COCO-Caption2017"})
    assert codes(older, "cider") == ["other_split"]
    assert only([captioned(data={"split": None})], "cider").verdict == Certified.REPRODUCED


def test_packed_weights_and_a_revision_are_named_beside_the_verdict() -> None:
    row = only([answered(optimization="bf16+int4", environment={"hub_revision": "v2"})])
    assert row.verdict == Certified.REPRODUCED
    assert [note.code for note in row.notes] == ["certified_as_packed", "certified_revision"]


def test_a_score_of_one_place_is_shown_and_not_compared() -> None:
    record = answered(1, model="Salesforce/blip2-flan-t5-xl")
    assert codes(record) == ["published_once"]
    assert only([record]).is_comparable


def test_a_metric_without_an_interval_has_no_verdict() -> None:
    quality = {"bleu4": make_metric(1.0, per_sample=[1.0] * 5000)}
    assert codes(captioned(quality=quality), "bleu4") == ["no_interval_all_alike"]


def test_the_last_record_of_a_case_counts() -> None:
    row = only([answered(1), answered()])
    assert row.verdict == Certified.REPRODUCED


def test_a_folder_with_a_copy_has_the_scores_of_its_checkpoint() -> None:
    assert only([answered(model="/models/instructblip-flan-t5-xl")]).verdict == Certified.REPRODUCED
    assert certify([answered(model="/models/mine")])[0].verdict == Certified.NO_PUBLISHED_SCORE
    assert certify([answered(model="/models/mine")], XL)[0].verdict == Certified.REPRODUCED


def section(tmp_path: Path, *records: Record, lang: str = "en") -> str:
    text = write_document(records, tmp_path, lang=lang).readme.read_text(encoding="utf-8")
    return text.partition("## Certificate\n")[2].partition("\n## ")[0].strip()


def test_the_packaged_checkpoint_has_no_published_score(tmp_path: Path) -> None:
    records = make_record(), make_record(dataset="coco")
    assert section(tmp_path, *records) == "No published score is known for instructblip-tiny on TextVQA, COCO."
    assert {row.verdict for row in certify(records)} == {Certified.NO_PUBLISHED_SCORE}


def test_the_section_has_the_verdict_the_sources_and_why_others_have_none(tmp_path: Path) -> None:
    text = section(tmp_path, answered(RIGHT - 100, optimization="int8"), answered(prompts="paper"))
    assert "| ScienceQA | accuracy | 70.4      | 65.4 [63.3, 67.5] | 2017    | not reproduced (-5.0) |" in text
    assert "at most 2.5 points of 100 (CIDEr: 5)" in text
    assert "- accuracy of ScienceQA: the verdict is on the checkpoint with the weights that int8 packs." in text
    assert "- ScienceQA accuracy 70.4: Dai et al. 2023, InstructBLIP, arXiv 2305.06500v2, table 1" in text
    assert "No verdict:\n- accuracy of ScienceQA: its prompts are paper; the score was published for those of" in text


def test_the_section_of_synthetic_weights_is_the_reason(tmp_path: Path) -> None:
    record = answered(weights="random", quality={}, missing={"quality": "synthetic"})
    said = "No verdict:\n- accuracy of ScienceQA: the weights are synthetic, so the answers mean nothing."
    assert section(tmp_path, record) == said
    assert section(tmp_path, record, lang="ru").startswith("Вывода нет:")


def test_a_reason_of_every_case_names_the_score_alone(tmp_path: Path) -> None:
    """That of some names them."""
    cases = [answered(prompts="paper", batch_size=size, image_size=224 + 112 * (size == 4)) for size in (1, 2, 4)]
    lines = section(tmp_path, *cases).splitlines()[1:]
    assert [line.partition(": ")[0] for line in lines] == ["- accuracy of ScienceQA", "- accuracy of batch 4 336 px"]
