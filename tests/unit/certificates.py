"""Made-up runs of checkpoints that have published scores."""

from __future__ import annotations

from typing import Any

from blip_fixtures.quality.metric import mean_metric, share_metric
from blip_fixtures.record import Record
from tests.unit.records import make_record

XL = "Salesforce/instructblip-flan-t5-xl"
SPLIT = 2017
RIGHT = 1420
RANKED = {"new_tokens": 50, "decoding": "rank"}
# What `published` says of captions by BLIP-2.
CAPTIONS = {
    "new_tokens": 30,
    "decoding": "beam",
    "num_beams": 5,
    "min_new_tokens": 8,
    "prompt_parts": ["a photo of"],
    "ocr_limit": 0,
}


def answered(right: int = RIGHT, samples: int = SPLIT, **overrides: Any) -> Record:
    """ScienceQA by `instructblip-flan-t5-xl` under the published protocol: so many answers right. 1,420 are 70.4 %."""
    quality = {"accuracy": share_metric([True] * right + [False] * (samples - right))}
    data = {"source": "lmms-lab/ScienceQA", "samples": samples, "batches": samples, "split": "test-img"}
    given = {
        "model": XL,
        "dataset": "scienceqa",
        "prompts": "published",
        "quality": quality,
        "data": {**data, **overrides.pop("data", {})},
        "generation": {**RANKED, **overrides.pop("generation", {})},
    }
    return make_record(**{**given, **overrides})


def captioned(cider: float = 1.45, **overrides: Any) -> Record:
    """COCO by a BLIP-2 that is tuned on it, under the published protocol; an image scores 1 more or less than this."""
    quality = {"cider": mean_metric([cider - 1, cider + 1] * 2500, span=(0, 10))}
    data = {"source": "a/folder", "samples": 5000, "batches": 5000, "split": "karpathy-test"}
    given = {
        "model": "Salesforce/blip2-opt-2.7b-coco",
        "dataset": "coco",
        "prompts": "published",
        "image_size": 364,
        "quality": quality,
        "data": {**data, **overrides.pop("data", {})},
        "generation": {**CAPTIONS, **overrides.pop("generation", {})},
    }
    return make_record(**{**given, **overrides})
