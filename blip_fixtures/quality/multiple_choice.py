"""Multiple-choice accuracy: which option does an answer name?"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from blip_fixtures.quality.metric import share_metric
from blip_fixtures.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric

# "(A)", "A.", "A)", "A:", "A" and nothing else; the same with a digit.
_LONE = re.compile(r"\(?([A-Za-z]|\d)[).:]?")
# "B. text", "(b) text", "B) text", "B: text": a mark tells the letter from an article that begins a sentence.
_LEADING = re.compile(r"(?:\(([A-Za-z]|\d)\)|([A-Za-z]|\d)[.):])\s+(\S.*)")
_MARKED = re.compile(r"\(([A-Za-z])\)|\b([A-Z])[.):](?=\s|$)")
# "The answer is B", "answer: (b)", "option C". A bare small letter counts where no word follows it only.
_NAMED = re.compile(
    r"\b(?i:answer|option|choice)(?i:\s+is)?\s*:?\s*(?:\(([A-Za-z])\)|([A-Z])(?![\w'-])|([a-z])(?=\s*[.,;:!?]|\s*$))"
)


def parse_choice(answer: str, choices: Sequence[str], *, digits_from_zero: bool = False) -> int | None:
    """The 0-based option that `answer` names, or `None` where it names none, or more than one.

    The option's own words come first, so that a numeric option is its text and not a number of an option; then a letter
    alone or before its option; then "the answer is B". Digits count options, from 0, with `digits_from_zero` only: the
    ``seed`` prompts number them so.
    """
    text = " ".join(answer.split())
    by_words = _by_words(text, choices)
    if by_words is not None:
        return by_words
    number = _number(text, choices, digits_from_zero=digits_from_zero)
    return number if number is not None and number < len(choices) else None


def _by_words(text: str, choices: Sequence[str]) -> int | None:
    """The one option whose words are the answer's; of equal options the first."""
    said = words(text)
    if not said:
        return None
    return next((number for number, choice in enumerate(choices) if words(choice) == said), None)


def _number(text: str, choices: Sequence[str], *, digits_from_zero: bool) -> int | None:
    if lone := _LONE.fullmatch(text):
        return _index(lone[1], digits_from_zero=digits_from_zero)
    if leading := _LEADING.fullmatch(text):
        number = _index(leading[1] or leading[2], digits_from_zero=digits_from_zero)
        if number is not None and number < len(choices) and words(choices[number]) == words(leading[3]):
            return number
        return None if _letters(_MARKED, leading[3]) - {number} else number
    named = _letters(_NAMED, text)
    return named.pop() if len(named) == 1 else None


def _letters(pattern: re.Pattern[str], text: str) -> set[int]:
    """The options whose letters `pattern` finds."""
    found = ("".join(match.groups(default="")) for match in pattern.finditer(text))
    return {string.ascii_lowercase.index(letter.lower()) for letter in found}


def _index(sign: str, *, digits_from_zero: bool) -> int | None:
    if sign.isdigit():
        return int(sign) if digits_from_zero else None
    return string.ascii_lowercase.index(sign.lower())


def choice_metrics(
    predictions: Sequence[str],
    choices: Sequence[Sequence[str]],
    answers: Sequence[int],
    *,
    digits_from_zero: bool = False,
) -> dict[str, Metric]:
    """`accuracy` in 0..1, an answer that names no option being wrong, and `unparsed_share`, the share of those.

    Options that are spelled alike are one: whichever of them is right, naming either is.
    """
    parsed = [
        parse_choice(prediction, options, digits_from_zero=digits_from_zero)
        for prediction, options in zip(predictions, choices, strict=True)
    ]
    right = [
        found is not None and words(options[found]) == words(options[answer])
        for found, options, answer in zip(parsed, choices, answers, strict=True)
    ]
    return {
        "accuracy": share_metric(right),
        "unparsed_share": share_metric([found is None for found in parsed], higher_is_better=False),
    }
