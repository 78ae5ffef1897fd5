"""Write the packaged datasets: `python -m tools.tiny.samples`."""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from datasets import Dataset, Features, Image, List, Value

from tools.tiny.questions import DATASETS, Item, draw_item, draw_scene, is_picture_question

if TYPE_CHECKING:
    from blip_fixtures.data.samples import Sample
    from tools.tiny.world import Scene

ROWS = 64
SEED = 20_000
FOLDER = Path("blip_fixtures/data/samples")
FILES = {
    "textvqa": "validation-00000.parquet",
    "coco": "val-00000.parquet",
    "scienceqa": "test-00000.parquet",
}

_TEXT = Value("string")
_FEATURES = {
    "textvqa": Features(
        {
            "image_id": _TEXT,
            "question_id": Value("int32"),
            "question": _TEXT,
            "image": Image(),
            "answers": List(_TEXT),
            "ocr_tokens": List(_TEXT),
        }
    ),
    "coco": Features(
        {"question_id": _TEXT, "id": Value("int64"), "image": Image(), "question": _TEXT, "answer": List(_TEXT)}
    ),
    "scienceqa": Features(
        {
            "image": Image(),
            "question": _TEXT,
            "choices": List(_TEXT),
            "answer": Value("int8"),
            "hint": _TEXT,
            "task": _TEXT,
            "grade": _TEXT,
            "subject": _TEXT,
            "topic": _TEXT,
            "category": _TEXT,
            "skill": _TEXT,
            "lecture": _TEXT,
            "solution": _TEXT,
        }
    ),
}


def held_out(dataset: str) -> list[Item]:
    """The packaged rows of `dataset`: always the same, all different."""
    for_scenes, for_questions = Random(f"scenes-{SEED}-{dataset}"), Random(f"questions-{SEED}-{dataset}")
    items: dict[Scene, Item] = {}
    while len(items) < ROWS:
        scene = draw_scene(dataset, for_scenes)
        items.setdefault(scene, draw_item(dataset, scene, for_questions, str(len(items))))
    return list(items.values())


def held_out_scenes() -> frozenset[Scene]:
    """Every packaged picture; training must show none of them."""
    return frozenset(item.scene for dataset in DATASETS for item in held_out(dataset))


def _row(dataset: str, item: Item) -> dict[str, Any]:
    sample: Sample = item.sample
    row: dict[str, Any] = {"image": sample.image, "question": sample.question}
    match dataset:
        case "textvqa":
            row |= {"image_id": f"tiny-{int(sample.id):05d}", "question_id": int(sample.id)}
            row |= {"answers": list(sample.references), "ocr_tokens": []}
        case "coco":
            row |= {"question_id": f"tiny-{int(sample.id):05d}.png", "id": int(sample.id)}
            row |= {"answer": list(sample.references)}
        case _:
            row |= {"choices": list(sample.choices), "answer": sample.answer_index, "hint": sample.context}
            row |= {"task": "closed choice", "grade": "grade3", "subject": "natural science", "topic": "physics"}
            row |= {"category": "Materials", "skill": "Find what the context says", "lecture": "", "solution": ""}
            if is_picture_question(item):
                row |= {"category": "Signs and symbols", "skill": "Know what a color or a shape stands for"}
    return row


def write(folder: Path) -> None:
    """Write one parquet file per dataset below `folder`, pictures embedded as PNG."""
    for dataset in DATASETS:
        rows = [_row(dataset, item) for item in held_out(dataset)]
        path = folder / dataset / FILES[dataset]
        path.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_list(rows, features=_FEATURES[dataset]).to_parquet(path)
        print(f"{path}: {len(rows)} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    write(parser.parse_args().out)
