"""What is believed of a table of prompts: each setting's value, and whether they make a protocol together."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from blip_fixtures.bounds import MOST_NEW_TOKENS
from blip_fixtures.data.columns import IMAGE_TOKEN, MOST_CHARACTERS, MOST_TEXTS, UNSPEAKABLE
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.prompts.prompt import Prompt, Setting, Variant, names_in
from blip_fixtures.spelling import did_you_mean, shown
from blip_fixtures.words import Decoding, FamilyKind

_FIELDS = ("question", "context", "ocr_tokens", "choices")
_OPTION_FIELDS = ("letter", "LETTER", "index", "text")
# Far more than anybody asks for: decoding works on as many rows for each sample as there are beams.
_MOST_BEAMS = 64
_MOST_PENALTY = 100
_MOST_PARTS = 100
_MOST_OF_SOURCE = 200
_WHOLE_NUMBERS = {
    "num_beams": (1, _MOST_BEAMS),
    "ocr_limit": (0, MOST_TEXTS),
    "min_new_tokens": (0, MOST_NEW_TOKENS),
    "max_new_tokens": (1, MOST_NEW_TOKENS),
}
SETTINGS = tuple(field.name for field in fields(Prompt) if field.name != "variants")
# The families that there are: a protocol must hold for each.
_FAMILIES = [
    (joined, language)
    for joined in (FamilyKind.INSTRUCTBLIP, FamilyKind.BLIP2)
    for language in (FamilyKind.ENCODER_DECODER, FamilyKind.DECODER_ONLY)
]


def prompts_of(table: dict[str, Any]) -> dict[str, Prompt]:
    """A protocol for each dataset of `table`. Raises `ValueError`."""
    known = dataset_names()
    strange = sorted(table.keys() - set(known))
    if strange or not table:
        found = f"it has {shown(strange[0])}" if strange else "it is empty"
        hint = did_you_mean(strange[0], known) if strange else ""
        raise ValueError(f"{found}; give tables {', '.join(f'[{dataset}]' for dataset in known)}{hint}")
    return {dataset: prompt_of(dataset, entry) for dataset, entry in table.items()}


def prompt_of(dataset: str, entry: object) -> Prompt:
    """The protocol of one table. Raises `ValueError`."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{dataset!r} is no table; write [{dataset}] above its settings")  # noqa: TRY004  # bad input
    settings = _settings(dataset, entry)
    if "parts" not in settings:
        raise ValueError(f"[{dataset}] has no parts; give the prompt's parts, such as parts = ['{{question}}']")
    # The more kinds a variant names, the later it applies; of those that name as many the order is the file's.
    variants = tuple(sorted(_variants(dataset, entry, ()), key=lambda variant: len(variant.kinds)))
    prompt = Prompt(**{**settings, "variants": variants})
    problem = why_impossible(prompt, dataset)
    if problem is not None:
        raise ValueError(f"[{dataset}] {problem}")
    return prompt


def why_impossible(prompt: Prompt, dataset: str) -> str | None:
    """What contradicts itself in a protocol, or cannot be done with the dataset, and what to do; `None` where nothing.

    It is asked of the protocol of every family.
    """
    problem = _contradiction(prompt, dataset)
    if problem is not None or not prompt.variants:
        return problem
    found = ((kinds, _contradiction(prompt.of_family(kinds), dataset)) for kinds in _FAMILIES)
    return next((f"with {' and '.join(kinds)}: {problem}" for kinds, problem in found if problem), None)


def _settings(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a table, of the types that a `Prompt` has. Raises `ValueError`."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        if name in list(FamilyKind):
            continue
        if name not in SETTINGS and isinstance(value, Mapping):
            raise ValueError(
                f"[{where}] has the table {shown(name)}; one in it is called by a kind of family, "
                f"{', '.join(FamilyKind)}{did_you_mean(name, FamilyKind)}"
            )
        if name not in SETTINGS:
            raise ValueError(
                f"[{where}] has {shown(name)}; the settings are {', '.join(SETTINGS)}{did_you_mean(name, SETTINGS)}"
            )
        problem = _problem(name, value)
        if problem is not None:
            raise ValueError(f"[{where}] {name} is {shown(value)}; {problem}")
        found[name] = _typed(name, value)
    return found


def _typed(name: str, value: Any) -> Setting:
    """A whole number in a file is a number all the same: equal prompts are equal as JSON too."""
    if name == "parts":
        return tuple(value)
    if name == "decoding":
        return Decoding(value)
    typed: Setting = float(value) if name in ("length_penalty", "repetition_penalty") else value
    return typed


def _variants(where: str, entry: Mapping[str, Any], kinds: tuple[str, ...]) -> Iterator[Variant]:
    """Those of a table, and of the tables in them: what stands in two applies to a family of both kinds."""
    for kind in (name for name in entry if name in list(FamilyKind)):
        inner, place = entry[kind], f"{where}.{kind}"
        if not isinstance(inner, Mapping):
            raise ValueError(f"[{where}] {kind} is {shown(inner)}; write [{place}] above what differs")  # noqa: TRY004  # bad input
        both = (*kinds, str(kind))
        settings = _settings(place, inner)
        if settings:
            yield Variant(both, tuple(settings.items()))
        yield from _variants(place, inner, both)


def _contradiction(prompt: Prompt, dataset: str) -> str | None:
    filled = find_dataset(dataset).always_filled
    if all(names_in(part) - filled for part in prompt.parts):
        return "would be an empty prompt for some rows; give a part without fields that a row may lack"
    if prompt.decoding == Decoding.RANK:
        return _why_not_ranked(prompt, dataset)
    if prompt.decoding == Decoding.BEAM and prompt.num_beams == 1:
        return "decoding is beam and there is one beam; set num_beams above 1, or leave decoding out"
    if prompt.decoding == Decoding.GREEDY and prompt.num_beams > 1:
        return f"decoding is greedy and num_beams is {prompt.num_beams}; leave one of them out"
    if prompt.num_beams == 1 and prompt.length_penalty != 1:
        return "length_penalty changes nothing without beams; set num_beams above 1, or leave it out"
    if prompt.max_new_tokens is not None and prompt.min_new_tokens > prompt.max_new_tokens:
        return (
            f"min_new_tokens is {prompt.min_new_tokens} and max_new_tokens is {prompt.max_new_tokens}; give a minimum "
            "that is no more than the maximum"
        )
    return None


def _why_not_ranked(prompt: Prompt, dataset: str) -> str | None:
    if not find_dataset(dataset).has_options:
        return f"decoding is rank and {dataset} has no options to rank; choose greedy or beam"
    plain = Prompt(prompt.parts)
    names = ("num_beams", "length_penalty", "repetition_penalty", "min_new_tokens", "max_new_tokens")
    idle = next((name for name in names if getattr(prompt, name) != getattr(plain, name)), None)
    return f"{idle} changes nothing where options are ranked; leave it out" if idle else None


def _problem(name: str, value: Any) -> str | None:
    """What is wrong with a setting's value, and what to give."""
    if name in _WHOLE_NUMBERS:
        least, most = _WHOLE_NUMBERS[name]
        if type(value) is int and least <= value <= most:
            return None
        return f"give a whole number of at least {least}" + (f" and at most {most:,}" if _is_above(value, most) else "")
    match name:
        case "parts":
            return _bad_parts(value)
        case "capitalize_question":
            return None if isinstance(value, bool) else "give true or false"
        case "decoding":
            known = isinstance(value, str) and value in list(Decoding)
            hint = did_you_mean(value, Decoding) if isinstance(value, str) else ""
            return None if known else f"choose one of {', '.join(Decoding)}{hint}"
        case "length_penalty" | "repetition_penalty":
            return _bad_penalty(value, above_zero=name == "repetition_penalty")
    if not isinstance(value, str):
        return "give a text"
    if name == "ocr_source" and (not value.strip() or len(value) > _MOST_OF_SOURCE):
        return f"say in at most {_MOST_OF_SOURCE} characters where the OCR tokens come from"
    return _bad_text(value, _OPTION_FIELDS if name == "option" else None)


def _bad_parts(value: Any) -> str | None:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(part, str) for part in value):
        return "give a list of texts"
    if len(value) > _MOST_PARTS:
        return f"give at most {_MOST_PARTS} texts"
    return next((problem for part in value if (problem := _bad_text(part, _FIELDS))), None)


def _bad_penalty(value: Any, *, above_zero: bool) -> str | None:
    """Powers of a length, or what a score is divided by: beyond the bounds no float holds them."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if above_zero:
        return None if is_number and 0 < value <= _MOST_PENALTY else f"give a number above 0 and up to {_MOST_PENALTY}"
    within = is_number and -_MOST_PENALTY <= value <= _MOST_PENALTY
    return None if within else f"give a number from -{_MOST_PENALTY} to {_MOST_PENALTY}"


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
        names = names_in(text)
    except ValueError:
        return f"a brace is not closed; write {{{{ and }}}} for braces, and {shown} for fields"
    return None if plain and names <= set(known) else f"the fields are {shown}, with nothing else in their braces"
