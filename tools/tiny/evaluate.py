"""Score a checkpoint on the packaged rows: `python -m tools.tiny.evaluate`."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import torch
from datasets import Dataset
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from blip_fixtures.case import PRESETS
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.samples import Sample
from tools.tiny import samples
from tools.tiny.model import FOLDER, IMAGE_SIZES
from tools.tiny.questions import DATASETS

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
LIMITS = (50, 100, 200)
BATCH_SIZE = 16


@dataclass(frozen=True)
class Score:
    """One metric over the rows of a dataset; `chance` is what guessing gets."""

    name: str
    value: float
    stderr: float
    chance: float | None = None


def read_samples(dataset: str, folder: Path = samples.FOLDER) -> list[Sample]:
    """The packaged rows as samples."""
    table = Dataset.from_parquet(str(folder / dataset / samples.FILES[dataset]))
    return [_sample(dataset, index, row) for index, row in enumerate(table)]


def _sample(dataset: str, index: int, row: dict[str, Any]) -> Sample:
    known = {"id": str(index), "open_image": partial(row["image"].convert, "RGB"), "question": row["question"]}
    if dataset == "scienceqa":
        choices, answer = tuple(row["choices"]), row["answer"]
        return Sample(**known, references=(choices[answer],), choices=choices, answer_index=answer, context=row["hint"])
    return Sample(**known, references=tuple(row["answers" if dataset == "textvqa" else "answer"]))


@torch.inference_mode()
def predict(
    model: InstructBlipForConditionalGeneration,
    processor: InstructBlipProcessor,
    rows: list[Sample],
    prompts: list[str],
    *,
    image_size: int,
    limit: int,
) -> list[str]:
    """Greedy answers; `limit` counts text tokens, for Q-Former and language model alike."""
    tokenizer, qformer_tokenizer = processor.tokenizer, processor.qformer_tokenizer  # type: ignore[attr-defined]
    answers: list[str] = []
    for start in range(0, len(rows), BATCH_SIZE):
        texts = prompts[start : start + BATCH_SIZE]
        text_options: dict[str, Any] = {"padding": "longest", "truncation": True, "return_tensors": "pt"}
        inputs = processor(
            images=[row.image for row in rows[start : start + BATCH_SIZE]],
            text=texts,
            size={"height": image_size, "width": image_size},
            max_length=limit + processor.num_query_tokens,
            **text_options,
        )
        for_qformer = qformer_tokenizer(texts, max_length=limit, **text_options)
        inputs["qformer_input_ids"] = for_qformer["input_ids"]
        inputs["qformer_attention_mask"] = for_qformer["attention_mask"]
        tokens = model.generate(
            **inputs.to(model.device, model.language_projection.weight.dtype),
            interpolate_pos_encoding=True,
            do_sample=False,
            max_new_tokens=50,
        )
        answers += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return answers


def score(dataset: str, rows: list[Sample], answers: list[str]) -> Score:
    """Exact answers for TextVQA and ScienceQA; for COCO the word error rate against the closest reference."""
    if dataset == "coco":
        closest = [
            min(row.references, key=partial(jiwer.wer, hypothesis=answer))
            for row, answer in zip(rows, answers, strict=True)
        ]
        errors = [jiwer.wer(reference, answer) for reference, answer in zip(closest, answers, strict=True)]
        return Score("word error rate", jiwer.wer(closest, answers), _stderr(errors))
    right = [
        float(answer == max(row.references, key=row.references.count))
        for row, answer in zip(rows, answers, strict=True)
    ]
    chance = 1 / 40 if dataset == "textvqa" else sum(1 / len(row.choices) for row in rows) / len(rows)
    return Score("accuracy", sum(right) / len(right), _stderr(right), chance)


def _stderr(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) / max(len(values) - 1, 1))


def add_noise(model: InstructBlipForConditionalGeneration, share: float, seed: int = 0) -> None:
    """Damage every weight by noise of `share` of its tensor's standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.numel() > 1:
                noise = torch.randn(weight.shape, generator=generator).to(weight.dtype)
                weight.add_(noise * weight.float().std() * share)


def main() -> None:
    """Print one line of a markdown table per combination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--dtype", nargs="+", default=["fp16"], choices=DTYPES)
    parser.add_argument("--image-size", nargs="+", type=int, default=IMAGE_SIZES)
    parser.add_argument("--limit", nargs="+", type=int, default=[200])
    parser.add_argument("--preset", nargs="+", default=["paper"], choices=PRESETS)
    parser.add_argument("--dataset", nargs="+", default=DATASETS, choices=DATASETS)
    parser.add_argument("--noise", type=float, default=0.0, help="damage the weights: share of the standard deviation")
    parser.add_argument("--show", type=int, default=0, help="print this many answers per line")
    options = parser.parse_args()
    # A folder that `tools.tiny.train` wrote; nothing is fetched.
    processor = InstructBlipProcessor.from_pretrained(options.folder, local_files_only=True)  # nosec B615
    print("| dataset | preset | dtype | image size | limit | metric | value | standard error | chance |")
    print("|---|---|---|---|---|---|---|---|---|")
    for dtype in options.dtype:
        model = InstructBlipForConditionalGeneration.from_pretrained(  # nosec B615  # as above
            options.folder, dtype=DTYPES[dtype], local_files_only=True
        )
        if options.noise:
            add_noise(model, options.noise)
        for dataset in options.dataset:
            rows = read_samples(dataset)
            for preset in options.preset:
                prompts = [find_prompts(preset).of(dataset).render(row) for row in rows]
                for image_size in options.image_size:
                    for limit in options.limit:
                        answers = predict(model, processor, rows, prompts, image_size=image_size, limit=limit)
                        result = score(dataset, rows, answers)
                        chance = "" if result.chance is None else f"{result.chance:.3f}"
                        print(
                            f"| {dataset} | {preset} | {dtype} | {image_size} | {limit} | {result.name} "
                            f"| {result.value:.3f} | {result.stderr:.3f} | {chance} |",
                            flush=True,
                        )
                        for row, answer in list(zip(rows, answers, strict=True))[: options.show]:
                            print(f"  {row.question!r}: {answer!r}, expected {row.references[0]!r}")


if __name__ == "__main__":
    main()
