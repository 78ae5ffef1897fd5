"""How a run came to its end, where a reader must know: it was interrupted, or an earlier process began it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report.blocks import Paragraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Document, Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose


@dataclass(frozen=True)
class Course:
    """Of one run: the cases that came to an end and those that were planned, and how many of them were taken over."""

    finished: int
    planned: int
    resumed: int = 0

    @classmethod
    def of(cls, document: Document, records: Sequence[Record]) -> Course:
        """As a file tells it."""
        finished = sum(not record.is_further for record in records)
        planned = document.blip.planned if document.blip.interrupted else None
        return cls(finished, finished if planned is None else planned, len(document.blip.resumed))


def course_blocks(courses: Sequence[Course], prose: Prose) -> list[Block]:
    """A sentence for each fact; nothing of runs that one process measured from beginning to end."""
    said = []
    for course in courses:
        if course.finished < course.planned:
            said.append(prose.say("run_interrupted", finished=course.finished, planned=course.planned))
        if course.resumed:
            said.append(prose.say("run_resumed", resumed=course.resumed, finished=course.finished))
    return [Paragraph(" ".join(said))] if said else []
