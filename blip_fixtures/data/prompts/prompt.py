"""Prompt: the protocol of one preset for one dataset, as plain data."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from collections.abc import Collection

    from blip_fixtures.data.samples import Sample

# What the OCR tokens are unless a table says otherwise.
OWN_OCR = "dataset"
Setting = str | bool | int | float | tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """The settings that differ for families that are of every one of these kinds."""

    kinds: tuple[str, ...]
    settings: tuple[tuple[str, Setting], ...]


@dataclass(frozen=True)
class Prompt:
    """How a sample becomes a prompt, and how its answer is decoded. The fields are explained in `prompts.toml`.

    `decoding` of `None` follows from the beams: greedy with one, beam search with more. `max_new_tokens` of `None` is
    as many as everybody else has. `variants` stand in the order in which they apply.
    """

    parts: tuple[str, ...]
    join: str = " "
    option: str = "({letter}) {text}"
    option_join: str = " "
    ocr_limit: int = 0
    capitalize_question: bool = False
    num_beams: int = 1
    length_penalty: float = 1.0
    decoding: Decoding | None = None
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    max_new_tokens: int | None = None
    ocr_source: str = OWN_OCR
    variants: tuple[Variant, ...] = ()

    @property
    def digits_from_zero(self) -> bool:
        """Whether the options are numbered from 0, so that a digit in an answer names one."""
        return "index" in names_in(self.option)

    def of_family(self, kinds: Collection[str]) -> Prompt:
        """The protocol for a family of these kinds: no variants are left, and the decoding is said."""
        values: dict[str, Any] = {}
        for variant in self.variants:
            if set(variant.kinds) <= set(kinds):
                values |= dict(variant.settings)
        resolved = replace(self, **{**values, "variants": ()})
        follows = Decoding.BEAM if resolved.num_beams > 1 else Decoding.GREEDY
        return replace(resolved, decoding=Decoding(resolved.decoding or follows))

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
        return self.join.join(part.format(**values) for part in self.parts if all(values[n] for n in names_in(part)))


def names_in(text: str) -> set[str]:
    """The names of the fields in a part; an empty one is a field without a name."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
