"""Caption metrics against pycocoevalcap, on random corpora and on the edges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from blip_fixtures.quality.captions import bleu4, caption_metrics, cider_d, rouge_l

TOKENS = st.lists(st.sampled_from(["a", "red", "dog", "runs", "on", "grass", "two", "cats"]), max_size=9)
FILLED = st.lists(st.sampled_from(["a", "red", "dog", "runs", "on", "grass", "two", "cats"]), min_size=1, max_size=9)
IMAGES = st.lists(st.tuples(TOKENS, st.lists(FILLED, min_size=1, max_size=7)), min_size=1, max_size=6)


def reference(scorer: Any, images: Any, **settings: Any) -> tuple[Any, Any]:
    meant = {number: [" ".join(tokens) for tokens in accepted] for number, (_, accepted) in enumerate(images)}
    said = {number: [" ".join(tokens)] for number, (tokens, _) in enumerate(images)}
    found: tuple[Any, Any] = scorer.compute_score(meant, said, **settings)
    return found


def split(images: Any) -> tuple[list[tuple[str, ...]], list[list[tuple[str, ...]]]]:
    said = [tuple(tokens) for tokens, _ in images]
    return said, [[tuple(tokens) for tokens in accepted] for _, accepted in images]


@settings(max_examples=200, deadline=None)
@given(IMAGES)
def test_equal_to_the_reference_implementation(images: Any) -> None:
    said, meant = split(images)
    value, each = reference(Cider(), images)
    assert cider_d(said, meant).value == pytest.approx(value, abs=1e-9)
    assert cider_d(said, meant).per_sample == pytest.approx(list(each), abs=1e-9)
    value, each = reference(Bleu(4), images, verbose=0)
    assert bleu4(said, meant).value == pytest.approx(value[3], abs=1e-9)
    assert bleu4(said, meant).per_sample == pytest.approx(each[3], abs=1e-9)
    value, each = reference(Rouge(), images)
    assert rouge_l(said, meant).value == pytest.approx(value, abs=1e-9)
    assert rouge_l(said, meant).per_sample == pytest.approx(list(each), abs=1e-9)


def test_a_perfect_caption() -> None:
    captions = ["a red dog runs on the grass", "two cats sit beside an old chair"]
    metrics = caption_metrics(captions, [[caption] for caption in captions])
    assert metrics["cider"].value == pytest.approx(10)
    assert metrics["bleu4"].value == pytest.approx(1)
    assert metrics["rouge_l"].value == 1


def test_one_image_has_no_cider() -> None:
    assert caption_metrics(["a dog"], [["a dog", "the dog"]])["cider"].value == 0


def test_an_empty_prediction_scores_nothing() -> None:
    metrics = caption_metrics(["", "a dog"], [["a cat sits"], ["a dog"]])
    assert [metrics[name].per_sample[0] for name in ("cider", "rouge_l")] == [0, 0]
    assert metrics["bleu4"].per_sample[0] == pytest.approx(0, abs=1e-6)


def test_case_and_punctuation_do_not_count() -> None:
    metrics = caption_metrics(["A dog, on \u201cgrass\u201d!", "x"], [["a dog on grass"], ["x"]])
    assert metrics["rouge_l"].per_sample[0] == 1
