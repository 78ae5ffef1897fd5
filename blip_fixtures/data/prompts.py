"""Prompt presets: how a sample becomes the text the model reads, and how its answer is generated.

The presets are a table, `prompts.toml` beside this file; a user's own is a file of the same form. The prompt is part of
the score, so a record names its preset and two records with different presets are not compared.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blip_fixtures.data.columns import IMAGE_TOKEN, MOST_CHARACTERS, MOST_TEXTS, UNSPEAKABLE
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.toml import read_table
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.whole_files import BadFileError

if TYPE_CHECKING:
    from blip_fixtures.data.samples import Sample

_FIELDS = ("question", "context", "ocr_tokens", "choices")
_OPTION_FIELDS = ("letter", "LETTER", "index", "text")
# Far more than anybody asks for: decoding works on as many rows for each sample as there are beams.
_MOST_BEAMS = 64
_MOST_PENALTY = 100
_MOST_PARTS = 100


class PromptsError(ValueError):
    """Prompts that cannot be used; the message says which file and table, why, and what to do."""


@dataclass(frozen=True)
class Prompt:
    """The recipe of one preset for one dataset: plain data. The fields are explained in `prompts.toml`."""

    parts: tuple[str, ...]
    join: str = " "
    option: str = "({letter}) {text}"
    option_join: str = " "
    ocr_limit: int = 0
    capitalize_question: bool = False
    num_beams: int = 1
    length_penalty: float = 1.0

    @property
    def digits_from_zero(self) -> bool:
        """Whether the options are numbered from 0, so that a digit in an answer names one."""
        return "index" in _names(self.option)

    def render(self, sample: Sample) -> str:
        """The prompt of `sample`. Parts whose fields are empty are left out."""
        question = sample.question.capitalize() if self.capitalize_question else sample.question
        values = {
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
        return self.join.join(part.format(**values) for part in self.parts if all(values[n] for n in _names(part)))


@dataclass(frozen=True)
class PromptSet:
    """A preset: its name in records, and its recipe for each dataset it knows."""

    name: str
    prompts: Mapping[str, Prompt]

    def of(self, dataset: str) -> Prompt:
        """The recipe for `dataset`: the table's, else the dataset's own. Raises `PromptsError` where there is none."""
        if dataset in self.prompts:
            return self.prompts[dataset]
        own = find_dataset(dataset).prompts
        if self.name not in own:
            raise PromptsError(
                f"the prompts {self.name} have no table [{dataset}]; add one, or choose other benchmarks with -k"
            )
        try:
            return _prompt(dataset, own[self.name])
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
        prompts = _prompts(table)
    except ValueError as error:
        raise PromptsError(f"the prompts {name}: {error}") from None
    # With numbers as the file writes them, so that a file keeps the name that it had in older releases.
    said = json.dumps(
        {dataset: {**asdict(prompts[dataset]), **entry} for dataset, entry in table.items()}, sort_keys=True
    )
    return PromptSet(f"{path.stem}@{hashlib.sha256(said.encode()).hexdigest()[:8]}", prompts)


@cache
def _presets() -> dict[str, dict[str, Prompt]]:
    import tomllib

    table = tomllib.loads(files("blip_fixtures.data").joinpath("prompts.toml").read_text(encoding="utf-8"))
    return {preset: _prompts(datasets) for preset, datasets in table.items()}


def _prompts(table: dict[str, Any]) -> dict[str, Prompt]:
    """A recipe for each dataset of `table`. Raises `ValueError`."""
    known = dataset_names()
    strange = sorted(table.keys() - set(known))
    if strange or not table:
        found = f"it has {shown(strange[0])}" if strange else "it is empty"
        hint = did_you_mean(strange[0], known) if strange else ""
        raise ValueError(f"{found}; give tables {', '.join(f'[{dataset}]' for dataset in known)}{hint}")
    return {dataset: _prompt(dataset, entry) for dataset, entry in table.items()}


def _prompt(dataset: str, entry: object) -> Prompt:
    known = {field.name: field for field in fields(Prompt)}
    if not isinstance(entry, Mapping):
        raise ValueError(f"{dataset!r} is no table; write [{dataset}] above its settings")  # noqa: TRY004  # bad input
    for name, value in entry.items():
        if name not in known:
            raise ValueError(
                f"[{dataset}] has {shown(name)}; the settings are {', '.join(known)}{did_you_mean(name, known)}"
            )
        problem = _problem(name, value)
        if problem is not None:
            raise ValueError(f"[{dataset}] {name} is {shown(value)}; {problem}")
    if "parts" not in entry:
        raise ValueError(f"[{dataset}] has no parts; give the prompt's parts, such as parts = ['{{question}}']")
    # A whole number in a file is a number all the same: equal prompts are equal as JSON too.
    penalty = float(entry.get("length_penalty", Prompt.length_penalty))
    prompt = Prompt(**{**entry, "parts": tuple(entry["parts"]), "length_penalty": penalty})
    filled = find_dataset(dataset).always_filled
    if all(_names(part) - filled for part in prompt.parts):
        raise ValueError(
            f"[{dataset}] would be an empty prompt for some rows; give a part without fields that a row may lack"
        )
    if prompt.num_beams == 1 and prompt.length_penalty != 1:
        raise ValueError(
            f"[{dataset}] length_penalty changes nothing without beams; set num_beams above 1, or leave it out"
        )
    return prompt


def _problem(name: str, value: Any) -> str | None:
    """What is wrong with a setting's value, and what to give."""
    match name:
        case "parts":
            if not isinstance(value, (list, tuple)) or not value or not all(isinstance(part, str) for part in value):
                return "give a list of texts"
            if len(value) > _MOST_PARTS:
                return f"give at most {_MOST_PARTS} texts"
            return next((problem for part in value if (problem := _bad_text(part, _FIELDS))), None)
        case "option":
            return _bad_text(value, _OPTION_FIELDS) if isinstance(value, str) else "give a text"
        case "join" | "option_join":
            return _bad_text(value, None) if isinstance(value, str) else "give a text"
        case "capitalize_question":
            return None if isinstance(value, bool) else "give true or false"
        case "length_penalty":
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            # Powers of a length: beyond this no float holds them.
            if not is_number or not -_MOST_PENALTY <= value <= _MOST_PENALTY:
                return f"give a number from -{_MOST_PENALTY} to {_MOST_PENALTY}"
            return None
    least, most = (1, _MOST_BEAMS) if name == "num_beams" else (0, MOST_TEXTS)
    if type(value) is int and least <= value <= most:
        return None
    return f"give a whole number of at least {least}" + (f" and at most {most:,}" if _is_above(value, most) else "")


def _is_above(value: Any, most: int) -> bool:
    return type(value) is int and value > most


def _bad_text(text: str, fields: tuple[str, ...] | None) -> str | None:
    """What is wrong with a text of a prompt; `fields` are those that may stand in it, `None` where it has no braces."""
    if len(text) > MOST_CHARACTERS:
        return f"give at most {MOST_CHARACTERS:,} characters"
    if UNSPEAKABLE.search(text):
        return "give it without control characters"
    if IMAGE_TOKEN in text:
        return f"leave {IMAGE_TOKEN} out, the picture comes first in every prompt"
    return None if fields is None else _bad_field(text, fields)


def _bad_field(text: str, known: tuple[str, ...]) -> str | None:
    shown = ", ".join(f"{{{name}}}" for name in known)
    try:
        plain = all(not spec and conversion is None for _, _, spec, conversion in string.Formatter().parse(text))
        names = _names(text)
    except ValueError:
        return f"a brace is not closed; write {{{{ and }}}} for braces, and {shown} for fields"
    return None if plain and names <= set(known) else f"the fields are {shown}, with nothing else in their braces"


def _names(text: str) -> set[str]:
    """The names of the fields in a part; an empty one is a field without a name."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
