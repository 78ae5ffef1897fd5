"""Families: what is true of one architecture, behind one interface. Adding one is one module and one entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.families.family import Family, InputError, Step, TokenizedPrompts, Vocabulary, Walk
from blip_fixtures.families.instructblip_t5 import InstructBlipT5

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAMILIES", "Family", "InputError", "Step", "TokenizedPrompts", "Vocabulary", "Walk", "family_of"]

FAMILIES: tuple[Family, ...] = (InstructBlipT5(),)


def family_of(config: Mapping[str, Any], named: str = "this checkpoint") -> Family:
    """The family that takes the checkpoint of a ``config.json``.

    Raises `ValueError` where none does, with a sentence that calls the checkpoint `named`.
    """
    refusals = []
    for family in FAMILIES:
        refusal = family.why_not(config, named)
        if refusal is None:
            return family
        refusals.append(refusal)
    raise ValueError(refusals[0])
