"""Hostile lines of predictions, prompts and rows of data: each is used or refused in one sentence, never a traceback.

``python -m tools.faults.hostile_lines --count 20000 --seed 17`` prints how many of each kind were used and refused, and
every distinct traceback with the input of its first. Inputs depend on the seed alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.datasets.base import Question, RowContext
from blip_fixtures.data.prompts import PromptsError, find_prompts, preset_names
from blip_fixtures.quality import score
from blip_fixtures.quality.__main__ import EXIT_BAD_INPUT
from blip_fixtures.quality.__main__ import main as quality
from tools.faults import facts
from tools.faults.hostile_values import VALUES, damaged, damaged_json, mutated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

# A sentence fits into a few lines of a terminal.
_MOST_CHARACTERS = 1_000
PREDICTIONS: dict[str, dict[str, Any]] = {
    "textvqa": {"prediction": "Stop.", "answers": ["stop"] * 10},
    "coco": {"prediction": "a red dog", "answer": ["a red dog", "the dog is red"]},
    "scienceqa": {"prediction": "(b)", "choices": ["Mars", "Venus"], "answer": 1},
}
PROMPTS = """[textvqa]
parts = ["Question: {question}", "Text: {ocr_tokens}", 'Answer:']
join = "\\n"
ocr_limit = 30
num_beams = 3
length_penalty = -1.0
capitalize_question = true

[scienceqa]
parts = ["{question}", "{choices}"]
option = "({letter}) {text}"
option_join = " "
"""
_HOSTILE_TOML = (
    *(
        "nan",
        "inf",
        "-inf",
        "0x" + "f" * 5_000,
        "9" * 5_000,
        "true",
        "1e400",
        "2026-13-45",
        "2026-01-01",
        "''",
        "[[[[]]]]",
    ),
    *(
        "[" * 2_000,
        "{a=" * 2_000,
        "'{question.__class__}'",
        "'{0}'",
        "'{'",
        "'<image>'",
        '"\\ud800"',
        '"\\u0000"',
        "1_0",
    ),
    *(
        "a" + ".a" * 100_000 + " = 1",
        "[a" + ".a" * 5_000 + "]",
        "\nnum_beams = 1" * 2,
        '"""',
        "'''",
        "#" * 9_999,
        "64",
        "65",
    ),
)


@dataclass
class Outcomes:
    """How often each kind of input was used, refused, refused in more than a sentence, or ended in a traceback."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    tracebacks: dict[str, bytes] = field(default_factory=dict)

    def note(self, kind: str, content: bytes, reader: Callable[[], str | None]) -> None:
        """Let `reader` have the input; what comes back is the sentence that refuses it, or `None`."""
        try:
            said = reader()
        except Exception:  # noqa: BLE001  # finding any is what this is for
            frames = traceback.format_exc(limit=-2)
            self.tracebacks.setdefault(f"{kind}: {frames}", content)
            self.counts[kind, "traceback"] += 1
            return
        is_clear = said is None or (said.isprintable() and len(said) <= _MOST_CHARACTERS)
        if not is_clear:
            self.tracebacks.setdefault(f"{kind}: unclear: {said!r:.300}", content)
        self.counts[kind, "used" if said is None else "refused" if is_clear else "unclear"] += 1

    @property
    def bad(self) -> int:
        """How many were neither used nor refused in a sentence."""
        return sum(count for (_, outcome), count in self.counts.items() if outcome in ("traceback", "unclear"))


def hostile_predictions(count: int, seed: int, outcomes: Outcomes) -> None:
    """Files of predictions, each of a line."""
    draw = random.Random(f"predictions {seed}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        for _ in range(count):
            dataset = draw.choice(list(PREDICTIONS))
            content = damaged_json(PREDICTIONS[dataset], draw)
            path.write_bytes(content)
            outcomes.note("predictions", content, lambda dataset=dataset: _quality(dataset, path))  # type: ignore[misc]


def hostile_prompts(count: int, seed: int, outcomes: Outcomes) -> None:
    """Files of prompts; what is accepted renders a row."""
    draw = random.Random(f"prompts {seed}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.toml"
        for _ in range(count):
            content = _damaged_toml(draw)
            path.write_bytes(content)
            outcomes.note("prompts", content, lambda: _prompts(path))


def hostile_rows(count: int, seed: int, outcomes: Outcomes, ask: Callable[[str], object] | None = None) -> None:
    """Rows of data; what is accepted is asked with every preset, by `ask`, and scored."""
    draw = random.Random(f"rows {seed}")
    rows = _rows()
    for _ in range(count):
        dataset = draw.choice(list(rows))
        row = mutated(rows[dataset], draw)
        if not isinstance(row, dict):
            continue
        content = repr(row).encode("utf-8", "backslashreplace")
        outcomes.note("rows", content, lambda dataset=dataset, row=row: _row(dataset, row, ask))  # type: ignore[misc]


def _quality(dataset: str, path: Path) -> str | None:
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        code = quality([dataset, str(path)])
    if code == EXIT_BAD_INPUT:
        return said.getvalue().removesuffix("\n")
    json.loads(printed.getvalue())
    return None


def _prompts(path: Path) -> str | None:
    try:
        prompts = find_prompts(str(path))
        for dataset in prompts.prompts:
            prompts.of(dataset).render(find_dataset(dataset).sample(_rows()[dataset], RowContext(0, path.parent)))
    except PromptsError as error:
        return str(error)
    return None


def _row(dataset: str, row: dict[str, Any], ask: Callable[[str], object] | None) -> str | None:
    if find_dataset(dataset).missing(row):
        return "a column is missing, which is told of the whole file"
    try:
        sample = find_dataset(dataset).sample(row, RowContext(0, Path()))
        sample.image.close()
    except ValueError as error:
        return str(error)
    for preset in preset_names():
        prompt = find_prompts(preset).of(dataset).render(sample)
        if ask is not None:
            ask(prompt)
    score(dataset, ["Stop."], [Question.of(sample)])
    json.dumps(sample.id).encode()
    return None


def _damaged_toml(draw: Random) -> bytes:
    lines = PROMPTS.splitlines()
    for _ in range(draw.randint(1, 2)):
        place, action = draw.randrange(len(lines)), draw.random()
        name, sign, _ = lines[place].partition("=")
        if action < 0.6:
            value = draw.choice([*_HOSTILE_TOML, *(repr(value) for value in VALUES)])
            lines[place] = f"{name}{sign} {value}"
        elif action < 0.8:
            lines.insert(place, draw.choice(_HOSTILE_TOML))
        else:
            del lines[place]
        if not lines:
            break
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged(content, draw) if draw.random() < 0.3 else content


def _rows() -> dict[str, dict[str, Any]]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    image = {"bytes": buffer.getvalue(), "path": None}
    return {
        "textvqa": {
            "question_id": 1,
            "question": "q?",
            "image": image,
            "answers": ["a"] * 10,
            "ocr_tokens": ["a", "b"],
        },
        "coco": {"id": 1, "question": "", "image": image, "answer": ["a dog", "the dog"]},
        "scienceqa": {"id": "1", "question": "q?", "image": image, "choices": ["a", "b"], "answer": 1, "hint": "h"},
    }


def _tokenizer() -> Callable[[str], object]:
    """Tokenizes a prompt as a case does, with the packaged checkpoint."""
    from blip_fixtures.checkpoints.processor import load_processor
    from blip_fixtures.checkpoints.resolve import PACKAGED, find_architecture

    checkpoint = find_architecture(PACKAGED)
    processor = load_processor(checkpoint)
    return lambda prompt: checkpoint.family.tokenize(checkpoint.config, processor, [prompt], 64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where an input was neither used nor refused in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults.hostile_lines", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=17, metavar="S", help="another seed, other inputs")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="gets what was found")
    options = parser.parse_args(arguments)
    outcomes = Outcomes()
    hostile_predictions(options.count, options.seed, outcomes)
    hostile_prompts(options.count, options.seed, outcomes)
    hostile_rows(options.count, options.seed, outcomes, _tokenizer())
    for (kind, outcome), count in sorted(outcomes.counts.items()):
        print(f"{kind:<12} {outcome:<10} {count:>8,}")
    for frames, content in outcomes.tracebacks.items():
        print(f"\n{frames}\ninput: {content[:300]!r}")
    print(f"seed {options.seed}: {outcomes.bad} neither used nor refused in a sentence")
    counts = {f"{kind}, {outcome}": count for (kind, outcome), count in sorted(outcomes.counts.items())}
    found = {"inputs": sum(counts.values()), "outcomes": counts, "wrong": [*outcomes.tracebacks]}
    facts.write({**found, "seed": options.seed}, "tools.faults.hostile_lines", options.out)
    return 1 if outcomes.bad else 0


if __name__ == "__main__":
    sys.exit(main())
