"""The packaged checkpoint answers its held-out samples, and its quality reacts to what the sweeps vary."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch

from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel, load_model
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, resolve_checkpoint
from blip_fixtures.data.datasets.base import Question
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.inference import BatchMaker, generate, read, to_device
from blip_fixtures.quality import score

CHECKPOINT = resolve_checkpoint(PACKAGED)
BATCH_SIZE = 16
# Words and numbers that a sign may show; guessing one of them is right this often at the most.
READING_CHANCE = 1 / 20


@functools.cache
def maker() -> BatchMaker:
    return BatchMaker(load_processor(CHECKPOINT), CHECKPOINT)


@functools.cache
def model(dtype: str) -> LoadedModel:
    return load_model(CHECKPOINT, "cpu", dtype, dtype)


def answer(loaded: LoadedModel, dataset: str, image_size: int = 224, text_limit: int = 200) -> dict[str, float]:
    """Every metric of the packaged samples, as plain numbers."""
    samples, prompt = load_samples(dataset, "sample"), find_prompts("paper").of(dataset)
    texts: list[str] = []
    for index in range(len(samples) // BATCH_SIZE):
        batch = maker().batch(
            samples, index, batch_size=BATCH_SIZE, image_size=image_size, text_limit=text_limit, prompt=prompt
        )
        inputs = to_device(batch, "cpu", loaded.pixel_dtype)
        token_ids = generate(loaded.runner, inputs, NewTokens(50))
        texts += read(load_processor_once(), loaded, token_ids[:, loaded.family.answer(inputs)]).texts
    questions = [Question(sample.references, sample.choices, sample.answer_index) for sample in samples]
    metrics = score(dataset, texts, questions)
    return {name: metric.value for name, metric in metrics.items() if metric.value is not None}


@functools.cache
def load_processor_once() -> Any:
    return load_processor(CHECKPOINT)


@functools.cache
def fp16(dataset: str, image_size: int = 224, text_limit: int = 200) -> dict[str, float]:
    return answer(model("float16"), dataset, image_size, text_limit)


ACCURACY = {"textvqa": "vqa_accuracy", "scienceqa": "accuracy"}


def standard_error(share: float, count: int = 64) -> float:
    return math.sqrt(share * (1 - share) / count)


def scienceqa_chance() -> float:
    samples = load_samples("scienceqa", "sample")
    return sum(1 / len(sample.choices) for sample in samples) / len(samples)


def test_reading() -> None:
    assert fp16("textvqa")["vqa_accuracy"] >= 0.80


def test_captions() -> None:
    assert fp16("coco")["wer"] <= 0.35


def test_science() -> None:
    assert fp16("scienceqa")["accuracy"] >= scienceqa_chance() + 0.20


@pytest.mark.parametrize("image_size", [336, 448])
@pytest.mark.parametrize("dataset", ["textvqa", "scienceqa"])
def test_other_resolutions_stay_clearly_above_chance(dataset: str, image_size: int) -> None:
    chance = READING_CHANCE if dataset == "textvqa" else scienceqa_chance()
    assert fp16(dataset, image_size)[ACCURACY[dataset]] >= chance + 3 * standard_error(chance)


def test_cut_prompts_lower_science() -> None:
    whole, cut = fp16("scienceqa")["accuracy"], fp16("scienceqa", text_limit=50)["accuracy"]
    assert cut <= whole - 2 * standard_error(whole)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtypes_agree(dtype: str) -> None:
    assert answer(model(dtype), "textvqa")["vqa_accuracy"] >= 0.80


@pytest.mark.parametrize("dataset", ["textvqa", "coco", "scienceqa"])
def test_damaged_weights_show(dataset: str) -> None:
    damaged = load_model(CHECKPOINT, "cpu", "damaged", "float32")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in damaged.model.parameters():
            if parameter.ndim > 1:
                parameter += 0.5 * parameter.std() * torch.randn(parameter.shape, generator=generator)
    metric = ACCURACY.get(dataset, "wer")
    sign = 1 if metric == "wer" else -1
    assert sign * answer(damaged, dataset)[metric] >= sign * fp16(dataset)[metric] + 0.2
