"""What a record says of its prompts and its decoding, held against the preset `published`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blip_fixtures.quality.published import Score
    from blip_fixtures.record import Generation, Record

PUBLISHED_PROMPTS = "published"
_NUMBERS = ("num_beams", "length_penalty", "repetition_penalty", "min_new_tokens")


def why_another_protocol(record: Record, score: Score) -> list[Reason]:
    """A reason for each setting that is not as the preset has it for the checkpoint's family.

    Of another preset its name is the reason. A record that names no decoding is of an older release, and is taken at
    its preset's name.
    """
    said = record.generation
    prompts = record.case.prompts
    if prompts != PUBLISHED_PROMPTS:
        reasons = [Reason.of("other_prompts", prompts=prompts or "-", published=PUBLISHED_PROMPTS)]
    elif said is None or said.decoding is None:
        reasons = []
    else:
        reasons = [
            Reason.of("other_protocol", setting=setting, value=value, published=PUBLISHED_PROMPTS, theirs=theirs)
            for setting, value, theirs in _differences(said, score)
        ]
    if said is not None and said.fixed:
        reasons.append(Reason.of("answers_of_fixed_length", tokens=said.new_tokens))
    return reasons


def is_taken_at_its_name(record: Record) -> bool:
    """Whether nothing but the preset's name says how the answers came about."""
    return record.generation is None or record.generation.decoding is None


def _differences(said: Generation, score: Score) -> Iterator[tuple[str, str, str]]:
    """Each setting with its value in the record and in the preset. Settings that follow from the decoding, or do
    nothing with it, are not named beside it.
    """
    theirs = find_prompts(PUBLISHED_PROMPTS).of(score.dataset).of_family(score.kinds)
    if said.prompt_parts is not None and said.prompt_parts != theirs.parts:
        yield "prompt", f'"{" ".join(said.prompt_parts)}"', f'"{" ".join(theirs.parts)}"'
    if said.ocr_limit is not None and said.ocr_limit != theirs.ocr_limit:
        yield "ocr_limit", str(said.ocr_limit), str(theirs.ocr_limit)
    if said.decoding != theirs.decoding:
        yield "decoding", str(said.decoding), str(theirs.decoding)
        return
    if theirs.decoding == Decoding.RANK:
        return
    for name in _NUMBERS:
        ours, published = getattr(said, name), getattr(theirs, name)
        if ours != published:
            yield name, f"{ours:g}", f"{published:g}"
    if not said.fixed and theirs.max_new_tokens is not None and said.new_tokens != theirs.max_new_tokens:
        yield "max_new_tokens", str(said.new_tokens), str(theirs.max_new_tokens)
