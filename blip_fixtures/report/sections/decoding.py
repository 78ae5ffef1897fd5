"""How the answers of each dataset came about, where that is not the plain way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Bullets, Paragraph
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.sections.cases import cases_that_ran
from blip_fixtures.report.sections.section import Section
from blip_fixtures.report.tables.comparability import PLAIN, decoding_of
from blip_fixtures.words import Decoding

if TYPE_CHECKING:
    from blip_fixtures.record import Generation
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def _body(selection: Selection, prose: Prose) -> list[Block]:
    cases = cases_that_ran(selection)
    lines = dict.fromkeys(
        prose.say("decoding_line", dataset=dataset_label(record.case.dataset), how=_how(record.generation, prose))
        for record in cases
        if record.generation is not None and decoding_of(record.generation) != PLAIN
    )
    return [Paragraph(prose.say("decoding_intro")), Bullets(tuple(lines))] if lines else []


DECODING = Section("Decoding", _body)


def _how(said: Generation, prose: Prose) -> str:
    """``beam search with 5 beams, length penalty 1, ...``: all that is not as everybody has it, and the tokens."""
    decoding = decoding_of(said).decoding
    if decoding == Decoding.RANK:
        return prose.say("decoding_rank")
    parts = [
        prose.say(f"decoding_{decoding}", beams=said.num_beams, penalty=said.length_penalty),
        *([prose.say("decoding_repetition", penalty=said.repetition_penalty)] * (said.repetition_penalty != 1)),
    ]
    kind = "exactly" if said.fixed else "from" if said.min_new_tokens else "most"
    return ", ".join([*parts, prose.say(f"decoding_{kind}", least=said.min_new_tokens, most=said.new_tokens)])
