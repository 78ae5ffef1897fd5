"""Multiple choice: which option an answer names, as a table."""

from __future__ import annotations

import pytest

from blip_fixtures.quality.multiple_choice import choice_metrics, parse_choice

PLANETS = ("Mars", "Venus", "the Moon")
CASES = [
    ("A", PLANETS, 0),
    ("c", PLANETS, 2),
    ("(A)", PLANETS, 0),
    ("(b)", PLANETS, 1),
    ("A.", PLANETS, 0),
    ("A)", PLANETS, 0),
    ("b.", PLANETS, 1),
    (" B:\n", PLANETS, 1),
    ("B. Venus", PLANETS, 1),
    ("(b) venus", PLANETS, 1),
    ("B. text", PLANETS, 1),
    ("C) because of the tides", PLANETS, 2),
    ("The answer is B", PLANETS, 1),
    ("The answer is B.", PLANETS, 1),
    ("the answer is (c).", PLANETS, 2),
    ("Answer: b", PLANETS, 1),
    ("It must be option C, since it glows.", PLANETS, 2),
    ("The answer is A because it is red", PLANETS, 0),
    ("VENUS", PLANETS, 1),
    ("the moon.", PLANETS, 2),
    ("  The   Moon ", PLANETS, 2),
    # A digit is no option, but a numeric option is its own text.
    ("1", PLANETS, None),
    ("4", ("3", "4", "5"), 1),
    ("3", ("1", "2", "3", "4"), 2),
    # An article, not a letter.
    ("A planet is what it shows.", PLANETS, None),
    ("the answer is a planet", PLANETS, None),
    ("A dog", ("a cat", "a dog"), 1),
    # Two letters name none.
    ("A or B", PLANETS, None),
    ("(A) or (B)", PLANETS, None),
    ("A. B. C.", PLANETS, None),
    ("The answer is A. No, the answer is B.", PLANETS, None),
    ("The answer is B. Yes, the answer is B.", PLANETS, 1),
    # Out of range.
    ("D", PLANETS, None),
    ("(e)", PLANETS, None),
    ("C", ("yes", "no"), None),
    ("E", ("1", "2", "3", "4", "5"), 4),
    # Options that are spelled alike, and one that begins another.
    ("red", ("blue", "red", "red"), 1),
    ("sun", ("sun light", "sun"), 1),
    ("sun light", ("sun", "sun light"), 1),
    ("", PLANETS, None),
    ("   ", PLANETS, None),
    ("...", PLANETS, None),
    ("I do not know", PLANETS, None),
]


@pytest.mark.parametrize(("answer", "choices", "expected"), CASES)
def test_parse(answer: str, choices: tuple[str, ...], expected: int | None) -> None:
    assert parse_choice(answer, choices) == expected


@pytest.mark.parametrize(
    ("answer", "choices", "expected"),
    [
        ("0", PLANETS, 0),
        ("2.", PLANETS, 2),
        ("(1)", PLANETS, 1),
        ("1. Venus", PLANETS, 1),
        ("3", PLANETS, None),
        ("4", ("3", "4", "5"), 1),
        ("A", PLANETS, 0),
    ],
)
def test_digits_count_options_from_zero_under_the_seeds_prompts(
    answer: str, choices: tuple[str, ...], expected: int | None
) -> None:
    assert parse_choice(answer, choices, digits_from_zero=True) == expected


def test_accuracy_and_the_share_that_names_no_option() -> None:
    metrics = choice_metrics(["A", "Venus", "no idea", "C"], [PLANETS] * 4, [0, 1, 2, 0])
    assert metrics["accuracy"].value == 0.5
    assert metrics["accuracy"].per_sample == (1, 1, 0, 0)
    assert metrics["unparsed_share"].value == 0.25
    assert metrics["unparsed_share"].higher_is_better is False


def test_of_options_spelled_alike_either_is_right() -> None:
    assert choice_metrics(["red"], [("blue", "red", "Red.")], [2])["accuracy"].value == 1
