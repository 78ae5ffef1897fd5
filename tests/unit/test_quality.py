"""Word error rate and exact match."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.quality import score
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
    assert word_error_rate([prediction], [references])["value"] == (None if value is None else pytest.approx(value))


def test_word_error_rate_weighs_samples_by_their_words() -> None:
    metric = word_error_rate(["x", "one two three four"], [["a"], ["one two three four"]])
    assert metric == {"value": pytest.approx(1 / 5), "per_sample": [1.0, 0.0], "higher_is_better": False}


def test_edits_against_an_empty_reference_count() -> None:
    metric = word_error_rate(["word", "b"], [[""], ["b"]])
    assert metric["value"] == 1.0
    assert metric["per_sample"] == [None, 0.0]


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
def test_word_error_rate_with_one_reference_is_jiwers(pairs: list[tuple[str, str]]) -> None:
    predictions, references = [said for said, _ in pairs], [meant for _, meant in pairs]
    ours = word_error_rate(predictions, [[reference] for reference in references])
    assert ours["value"] == pytest.approx(jiwer.wer(references, predictions))


@given(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=5))
def test_more_references_never_raise_the_rate(prediction: str, references: list[str]) -> None:
    rates = [
        word_error_rate([prediction], [references[:count]])["value"] or 0.0 for count in range(1, len(references) + 1)
    ]
    assert rates == sorted(rates, reverse=True)


def test_exact_match_ignores_case_and_edge_punctuation() -> None:
    metrics = score(["Tea.", "coffee", "a dog"], [["tea"], ["tea", "cocoa"], ["dog", "A dog!"]])
    assert metrics["exact_match"] == {
        "value": pytest.approx(2 / 3),
        "per_sample": [1.0, 0.0, 1.0],
        "higher_is_better": True,
    }


def test_a_missing_prediction_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 samples; give one for each"):
        score(["a"], [["a"], ["b"]])


def test_a_sample_without_references_is_an_error() -> None:
    with pytest.raises(ValueError, match="a sample has no reference answer"):
        score(["a"], [[]])
