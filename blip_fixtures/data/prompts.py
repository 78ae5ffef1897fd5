"""Prompt presets: how a sample becomes the text the model reads.

The presets are a table, `prompts.toml` beside this file. The prompt is part of the score, so a record names its
preset and two records with different presets are not compared.
"""

from __future__ import annotations

import string
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blip_fixtures.data.samples import Sample


@dataclass(frozen=True)
class Prompt:
    """The recipe of one preset for one dataset; the fields are explained in `prompts.toml`."""

    parts: tuple[str, ...]
    join: str = " "
    option: str = "({letter}) {text}"
    option_join: str = " "
    ocr_limit: int = 0
    capitalize_question: bool = False

    def render(self, sample: Sample) -> str:
        """The prompt of `sample`. Parts whose fields are empty are left out."""
        question = sample.question.capitalize() if self.capitalize_question else sample.question
        fields = {
            "question": question,
            "context": sample.context,
            "ocr_tokens": ", ".join(sample.ocr_tokens[: self.ocr_limit]),
            "choices": self.option_join.join(
                self.option.format(
                    letter=string.ascii_lowercase[i], LETTER=string.ascii_uppercase[i], index=i, text=choice
                )
                for i, choice in enumerate(sample.choices)
            ),
        }
        return self.join.join(part.format(**fields) for part in self.parts if _has_content(part, fields))


def _has_content(part: str, fields: dict[str, str]) -> bool:
    names = [name for _, name, _, _ in string.Formatter().parse(part) if name]
    return all(fields[name] for name in names)


@cache
def presets() -> dict[str, dict[str, Prompt]]:
    """Every preset as ``{preset: {dataset: Prompt}}``."""
    table = tomllib.loads(files("blip_fixtures.data").joinpath("prompts.toml").read_text(encoding="utf-8"))
    return {
        preset: {name: Prompt(**{**entry, "parts": tuple(entry["parts"])}) for name, entry in datasets.items()}
        for preset, datasets in table.items()
    }


def render_prompt(sample: Sample, dataset: str, preset: str) -> str:
    """The text that `preset` makes of `sample`, a row of `dataset`."""
    return presets()[preset][dataset].render(sample)
