"""Families: what is true of one architecture, behind one interface. Adding one is one entry here.

A family is two halves: `bridges/` has the vision encoder with the Q-Former that bridges it to a language model,
`languages/` the language models. `blip.py` makes one family of two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.families.blip import Blip
from blip_fixtures.families.bridges.blip2 import Blip2
from blip_fixtures.families.bridges.instructblip import InstructBlip
from blip_fixtures.families.family import Family, InputError, PromptRoom, Step, TokenizedPrompts, Vocabulary, Walk
from blip_fixtures.families.languages.llama import Llama
from blip_fixtures.families.languages.opt import Opt
from blip_fixtures.families.languages.t5 import T5
from blip_fixtures.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FAMILIES",
    "Family",
    "InputError",
    "PromptRoom",
    "Step",
    "TokenizedPrompts",
    "Vocabulary",
    "Walk",
    "family_of",
]

FAMILIES: tuple[Family, ...] = (
    Blip(InstructBlip(), T5()),
    Blip(InstructBlip(), Llama()),
    Blip(Blip2(), T5()),
    Blip(Blip2(), Opt()),
)


def family_of(config: Mapping[str, Any], named: str = "this checkpoint") -> Family:
    """The family that takes the checkpoint of a ``config.json``.

    Raises `ValueError` where none does, with a sentence that calls the checkpoint `named`.
    """
    for family in FAMILIES:
        if family.is_of(config):
            refusal = family.why_not(config, named)
            if refusal is not None:
                raise ValueError(refusal)
            return family
    raise ValueError(_unknown(config, named))


def _unknown(config: Mapping[str, Any], named: str) -> str:
    """Why no family takes it: by its own type, or by that of its language model."""
    known: dict[str, list[str]] = {}
    for family in FAMILIES:
        if isinstance(family, Blip):
            known.setdefault(family.bridge.model_type, []).append(family.language.model_type)
    found = config.get("model_type")
    if not isinstance(found, str) or found not in known:
        measured = " and ".join(repr(name) for name in known)
        return (
            f"{named} is of model type {shown(found)} and the suite measures {measured}; "
            "give an InstructBLIP or BLIP-2 checkpoint"
        )
    text = config.get("text_config")
    if not isinstance(text, dict):
        return f"the config.json of {named} has no text_config; give a folder that save_pretrained wrote"
    measured = " and ".join(repr(name) for name in known[found])
    return (
        f"the language model of {named} is of type {shown(text.get('model_type'))} and the suite measures {measured} "
        f"with {found}; give a checkpoint with one of these"
    )
