"""The metrics of each dataset, word error rate, and intervals."""

from __future__ import annotations

import random

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.data.datasets import dataset_names
from blip_fixtures.data.datasets.base import Question
from blip_fixtures.quality import score
from blip_fixtures.quality.metric import mean_metric
from blip_fixtures.quality.word_error_rate import word_error_rate
from blip_fixtures.quality.words import words

SENTENCES = st.lists(st.sampled_from(["a", "red", "square", "above", "blue"]), min_size=1, max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Red  square.", ["a", "red", "square"]),
        ("5:41, wi-fi - don't!", ["5:41", "wi-fi", "don't"]),
        ("“quoted” (text)", ["quoted", "text"]),
        ("non\u00a0breaking\u2003spaces\n", ["non", "breaking", "spaces"]),
        ("$5 STRASSE straße", ["$5", "strasse", "strasse"]),
        (" - ... ", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("prediction", "references", "value"),
    [
        ("a red square", ["A red square."], 0.0),
        ("a blue square", ["a red square"], 1 / 3),
        ("", ["a red square"], 1.0),
        ("one two three four", ["five"], 4.0),
        ("a dog", ["a black cat", "a dog"], 0.0),
        ("a dog", ["a cat", "an old black dog"], 0.5),
        ("", [""], None),
        ("something", ["..."], None),
    ],
)
def test_word_error_rate(prediction: str, references: list[str], value: float | None) -> None:
    assert word_error_rate([prediction], [references]).value == (None if value is None else pytest.approx(value))


def test_word_error_rate_weighs_samples_by_their_words() -> None:
    metric = word_error_rate(["x", "one two three four"], [["a"], ["one two three four"]])
    assert metric.value == pytest.approx(1 / 5)
    assert metric.per_sample == (1.0, 0.0)
    assert metric.higher_is_better is False


def test_edits_against_an_empty_reference_count() -> None:
    metric = word_error_rate(["word", "b"], [[""], ["b"]])
    assert metric.value == 1.0
    assert metric.per_sample == (None, 0.0)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
def test_word_error_rate_with_one_reference_is_jiwers(pairs: list[tuple[str, str]]) -> None:
    predictions, references = [said for said, _ in pairs], [meant for _, meant in pairs]
    ours = word_error_rate(predictions, [[reference] for reference in references])
    assert ours.value == pytest.approx(jiwer.wer(references, predictions))


@given(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=5))
def test_more_references_never_raise_the_rate(prediction: str, references: list[str]) -> None:
    rates = [
        word_error_rate([prediction], [references[:count]]).value or 0.0 for count in range(1, len(references) + 1)
    ]
    assert rates == sorted(rates, reverse=True)


QUESTIONS = {
    "textvqa": (Question(("stop",) * 10), {"wer", "vqa_accuracy"}),
    "coco": (Question(("a red sign", "a sign")), {"wer", "cider", "bleu4", "rouge_l"}),
    "scienceqa": (Question(("stop",), ("go", "stop"), 1), {"wer", "accuracy", "unparsed_share"}),
}


@pytest.mark.parametrize("dataset", dataset_names())
def test_each_dataset_has_its_metrics(dataset: str) -> None:
    question, names = QUESTIONS[dataset]
    metrics = score(dataset, ["stop", "a sign"], [question, question])
    assert metrics.keys() == names
    for metric in metrics.values():
        assert len(metric.per_sample) == 2
        low, high = metric.interval or (1, 0)
        assert low <= (metric.value or 0) <= high


def test_digits_name_options_where_the_prompts_number_them() -> None:
    question = QUESTIONS["scienceqa"][0]
    assert score("scienceqa", ["1"], [question])["accuracy"].value == 0
    assert score("scienceqa", ["1"], [question], digits_from_zero=True)["accuracy"].value == 1


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Datasets of 60 answers, each right with probability 0.7: near 95 % of the intervals hold 0.7."""
    draw = random.Random(0)
    held = 0
    for _ in range(400):
        low, high = mean_metric([float(draw.random() < 0.7) for _ in range(60)]).interval or (1, 0)
        held += low <= 0.7 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_an_interval_is_the_same_every_time() -> None:
    scores = [0.0, 1.0, 0.3, 0.6] * 5
    assert mean_metric(scores).interval == mean_metric(scores).interval


def test_one_sample_has_no_interval() -> None:
    assert mean_metric([1.0]).interval is None


def test_a_missing_prediction_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 samples; give one for each"):
        score("coco", ["a"], [Question(("a",)), Question(("b",))])


def test_a_sample_without_references_is_an_error() -> None:
    with pytest.raises(ValueError, match="a sample has no reference answer"):
        score("coco", ["a"], [Question(())])
