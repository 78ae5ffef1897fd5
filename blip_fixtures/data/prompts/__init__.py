"""Prompt presets: how a sample becomes the text the model reads, and how its answer is generated.

A preset has a protocol for each dataset. The presets are a table, `prompts.toml` beside this package; a user's own is a
file of the same form. The protocol is part of the score, so a record names its preset and holds what it says, and two
records with different presets are not compared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.prompts.checking import prompt_of, prompts_of, why_impossible
from blip_fixtures.data.prompts.prompt import OWN_OCR, Prompt, Variant
from blip_fixtures.data.toml import read_table
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.whole_files import BadFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OWN_OCR",
    "Prompt",
    "PromptSet",
    "PromptsError",
    "Variant",
    "find_prompts",
    "preset_names",
    "why_impossible",
]

# The settings that there were when the names of files got their digest.
_FIRST_SETTINGS = (
    "parts",
    "join",
    "option",
    "option_join",
    "ocr_limit",
    "capitalize_question",
    "num_beams",
    "length_penalty",
)


class PromptsError(ValueError):
    """Prompts that cannot be used; the message says which file and table, why, and what to do."""


@dataclass(frozen=True)
class PromptSet:
    """A preset: its name in records, and its protocol for each dataset it knows."""

    name: str
    prompts: Mapping[str, Prompt]

    def of(self, dataset: str) -> Prompt:
        """The protocol for `dataset`: the table's, else the dataset's own. Raises `PromptsError` where none is."""
        if dataset in self.prompts:
            return self.prompts[dataset]
        own = find_dataset(dataset).prompts
        if self.name not in own:
            raise PromptsError(
                f"the prompts {self.name} have no table [{dataset}]; add one, or choose other benchmarks with -k"
            )
        try:
            return prompt_of(dataset, own[self.name])
        except ValueError as error:
            raise PromptsError(f"the prompts {self.name} of {dataset}: {error}") from None


def preset_names() -> tuple[str, ...]:
    """The presets of the package, the default first."""
    return tuple(_presets())


def find_prompts(name: str) -> PromptSet:
    """The preset called `name`, or that of a user's TOML file, whose name ends in a digest of what it says.

    Raises `PromptsError` in one sentence for a file that is missing or says what no preset can.
    """
    presets = _presets()
    if name in presets:
        return PromptSet(name, presets[name])
    path = Path(name)
    if path.suffix != ".toml":
        raise PromptsError(
            f"unknown prompts {shown(name)}; choose one of {', '.join(presets)}, or give a file FILE.toml"
            f"{did_you_mean(name, presets)}"
        )
    try:
        table = read_table(path)
    except OSError as error:
        raise PromptsError(f"cannot read the prompts {shown(name)[1:-1]}: {error.strerror}; give a TOML file") from None
    except BadFileError as error:
        raise PromptsError(f"the prompts {name} are no TOML: {error}; mend the file") from None
    try:
        prompts = prompts_of(table)
    except ValueError as error:
        raise PromptsError(f"the prompts {name}: {error}") from None
    # With numbers as the file writes them, and of later settings those alone that it uses, so that a file keeps the
    # name that it had in older releases.
    first = {dataset: {key: asdict(prompt)[key] for key in _FIRST_SETTINGS} for dataset, prompt in prompts.items()}
    said = json.dumps({dataset: {**first[dataset], **entry} for dataset, entry in table.items()}, sort_keys=True)
    return PromptSet(f"{path.stem}@{hashlib.sha256(said.encode()).hexdigest()[:8]}", prompts)


@cache
def _presets() -> dict[str, dict[str, Prompt]]:
    import tomllib

    table = tomllib.loads(files("blip_fixtures.data").joinpath("prompts.toml").read_text(encoding="utf-8"))
    return {preset: prompts_of(datasets) for preset, datasets in table.items()}
