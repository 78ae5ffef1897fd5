"""VQA accuracy: the evaluation server's normalisation as a table, and its scores."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.quality.vqa_accuracy import answer_scores, normalize_answer, vqa_accuracy

NORMALIZED = {
    "dont": "don't",
    "hed": "he'd",
    "oclock": "o'clock",
    "couldnt've": "couldn't've",
    "couldn'tve": "couldn't've",
    "thats": "that's",
    "that's": "that 's",
    "somebody'd": "somebodyd",
    "ten": "10",
    "None": "0",
    "zero": "0",
    "twenty-one": "twenty 1",
    "The Dakota": "dakota",
    "a": "",
    "the": "",
    "An": "",
    "": "",
    "1,000": "1000",
    "1,2,3": "123",
    "yes,no": "yesno",
    "yes, no": "yes no",
    "5.": "5",
    "3.5": "3.5",
    ".5": ".5",
    "U.S.A.": "usa",
    "-5": "5",
    "wi-fi": "wi fi",
    "wi - fi": "wi fi",
    "5:41": "5:41",
    "$5": "$5",
    "50%": "50%",
    "one\ntwo": "1 2",
    "tab\there": "tab here",
    "don\u2019t": "don\u2019t",
    "what?": "what",
    "(left)": "left",
    '"quoted"': "quoted",
    "a/b": "b",
    "  spaced   out ": "spaced out",
    "STOP!": "stop",
}


@pytest.mark.parametrize(("answer", "expected"), NORMALIZED.items())
def test_normalisation(answer: str, expected: str) -> None:
    assert normalize_answer(answer) == expected


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_the_more_people_agree_the_better(agreeing: int, score: float) -> None:
    people = ["stop"] * agreeing + [f"other {number}" for number in range(10 - agreeing)]
    metric = vqa_accuracy(["Stop."], [people])
    assert metric.value == pytest.approx(score)
    assert list(metric.per_sample) == [pytest.approx(score)]


@given(st.lists(st.sampled_from(["yes", "no", "Yes.", "maybe", "2", "two"]), min_size=10, max_size=10))
def test_scores_are_the_means_over_the_leave_one_out_sets(people: list[str]) -> None:
    """The definition, written out: for each person left out, how many of the nine others agree."""
    normalized = [normalize_answer(answer) for answer in people]
    for answer, score in answer_scores(people).items():
        nines = itertools.combinations(normalized, 9)
        assert score == pytest.approx(sum(min(1, nine.count(answer) / 3) for nine in nines) / 10)


def test_an_answer_that_nobody_gave() -> None:
    assert vqa_accuracy(["never"], [["stop"] * 10]).value == 0


def test_an_empty_answer_is_right_where_people_said_an_article() -> None:
    assert vqa_accuracy([""], [["the"] * 10]).value == 1


@pytest.mark.parametrize("count", [0, 1, 9, 11])
def test_ten_people_are_needed(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} answers where VQA accuracy needs 10"):
        vqa_accuracy(["yes"], [["yes"] * count])


def test_no_samples_have_no_accuracy() -> None:
    assert vqa_accuracy([], []).value is None
