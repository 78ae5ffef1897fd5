"""Prompts: what each preset makes of a row."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

from blip_fixtures.case import DATASETS, PRESETS
from blip_fixtures.data.prompts import presets, render_prompt
from blip_fixtures.data.samples import Sample

SAMPLE = Sample(
    id="1",
    open_image=lambda: Image.new("RGB", (8, 8)),
    question="what {is} it?",
    references=("tea",),
    choices=("a cat", "a dog"),
    answer_index=1,
    context="It barks.",
    ocr_tokens=tuple(f"t{i}" for i in range(40)),
)


def test_the_table_holds_every_preset_for_every_dataset() -> None:
    assert {preset: tuple(table) for preset, table in presets().items()} == dict.fromkeys(PRESETS, DATASETS)


@pytest.mark.parametrize(
    ("preset", "dataset", "prompt"),
    [
        ("paper", "coco", "A short image description."),
        (
            "paper",
            "scienceqa",
            "Context: It barks. Question: what {is} it? Options: (a) a cat (b) a dog. Answer:",
        ),
        ("lmms-eval", "textvqa", "What {is} it?\nAnswer the question using a single word or phrase."),
        ("lmms-eval", "coco", "Provide a one-sentence caption for the provided image."),
        (
            "lmms-eval",
            "scienceqa",
            "Context: It barks.\nwhat {is} it?\nA. a cat\nB. a dog\n"
            "Answer with the option's letter from the given choices directly.",
        ),
        ("seed", "textvqa", "what {is} it?"),
        ("seed", "coco", "Describe this image"),
        ("seed", "scienceqa", "what {is} it?\n0. a cat\n1. a dog"),
    ],
)
def test_prompt(preset: str, dataset: str, prompt: str) -> None:
    assert render_prompt(SAMPLE, dataset, preset) == prompt


def test_paper_prompt_names_at_most_30_ocr_tokens() -> None:
    prompt = render_prompt(SAMPLE, "textvqa", "paper")
    assert prompt.startswith("OCR tokens: t0, t1, ")
    assert "t29. Question: what {is} it? Short answer:" in prompt


def test_a_part_without_content_is_left_out() -> None:
    bare = dataclasses.replace(SAMPLE, ocr_tokens=(), context="")
    assert render_prompt(bare, "textvqa", "paper") == "Question: what {is} it? Short answer:"
    assert not render_prompt(bare, "scienceqa", "paper").startswith("Context")
