"""VQA accuracy: an answer is right when people gave it, and the more of them the better.

The rules are those of the VQA challenge's evaluation server (EvalAI), as MMF's evaluator for TextVQA applies them: both
sides are normalised alike, and the score of an answer is the mean over the ten leave-one-out sets of people of
``min(1, agreeing / 3)``. https://visualqa.org/evaluation.html
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from blip_fixtures.data.columns import PEOPLE
from blip_fixtures.quality.intervals import SPANS
from blip_fixtures.quality.metric import mean_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric

_ENOUGH = 3

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_ARTICLES = frozenset({"a", "an", "the"})
# Each is removed where it stands beside a blank, or where the text groups digits by commas; else it becomes a blank.
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_WITH_COMMAS = re.compile(r"(?<=\d),+(?=\d)")
_FULL_STOP = re.compile(r"\.(?!\d)")
# The server's pattern is called with a flag where a count belongs, so it stops after so many full stops.
_FULL_STOPS = 32
_SPELLED_RIGHT = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
    needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
    somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've
    weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll
    why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _misspelled(contraction: str) -> list[str]:
    """The contraction with one apostrophe missing, whichever."""
    places = [place for place, letter in enumerate(contraction) if letter == "'"]
    return [contraction[:place] + contraction[place + 1 :] for place in places]


# The one entry of the published table that goes the other way stands last.
_SPELLED = {wrong: right for right in _SPELLED_RIGHT.split() for wrong in _misspelled(right)} | {
    "somebody'd": "somebodyd"
}


def normalize_answer(answer: str) -> str:
    """`answer` as the evaluation server compares it: lower case, small numbers as digits, no articles or marks."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    text = text.strip().replace("\n", " ").replace("\t", " ").strip()
    words = [_WORDS.get(word, word) for word in _without_punctuation(text).lower().split()]
    return " ".join(_SPELLED.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    has_grouped_digits = _DIGITS_WITH_COMMAS.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        beside_a_blank = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_a_blank or has_grouped_digits else " ")
    return _FULL_STOP.sub("", cleaned, count=_FULL_STOPS)


def answer_scores(answers: Sequence[str]) -> dict[str, float]:
    """The score in 0..1 of every normalised answer that people gave. Raises `ValueError` unless there are ten."""
    if len(answers) != PEOPLE:
        raise ValueError(f"{len(answers)} answers where VQA accuracy needs {PEOPLE}")
    counts = Counter(normalize_answer(answer) for answer in answers)
    return {answer: _leave_one_out(agreeing) for answer, agreeing in counts.items()}


def _leave_one_out(agreeing: int) -> float:
    """The mean over ten sets of nine people; `agreeing` of the sets lack one who agrees."""
    without = min(1.0, (agreeing - 1) / _ENOUGH)
    whole = min(1.0, agreeing / _ENOUGH)
    return (agreeing * without + (PEOPLE - agreeing) * whole) / PEOPLE


def vqa_accuracy(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Metric:
    """VQA accuracy in 0..1, the mean over the samples. Raises `ValueError` for a sample without ten answers."""
    return mean_metric(
        [
            answer_scores(people).get(normalize_answer(prediction), 0.0)
            for prediction, people in zip(predictions, references, strict=True)
        ],
        span=SPANS["vqa_accuracy"],
    )
