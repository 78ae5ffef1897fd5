"""Whether a sample is answered alike in batches of every size."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures import formats
from blip_fixtures.case import checkpoint_name
from blip_fixtures.quality.intervals import Interval, wilson
from blip_fixtures.report.blocks import Cell, Head, Paragraph, Table
from blip_fixtures.report.footnotes import Remark, notes, sentence
from blip_fixtures.report.sections.cases import case_names, cases_that_ran
from blip_fixtures.report.sections.section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.sections.cases import CaseNames
    from blip_fixtures.report.selection import Selection

# Of an answer: enough to see where two part, mostly.
_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class Compared:
    """The answers of a record beside those of `smallest`, the smallest batch that was measured alike.

    Batches drop what does not fill the last of them, so that the first `samples` are compared. Without any, the two
    did not answer the same ones.
    """

    record: Record
    smallest: Record

    @property
    def samples(self) -> int:
        """How many both answered; 0 where their names say that they are others."""
        count = min(len(self.record.predictions), len(self.smallest.predictions))
        ours, theirs = self.record.sample_ids, self.smallest.sample_ids
        return 0 if ours and theirs and ours[:count] != theirs[:count] else count

    @property
    def differing(self) -> list[int]:
        """The places of the samples that are answered otherwise."""
        pairs = zip(self.smallest.predictions, self.record.predictions, strict=False)
        return [place for place, (before, here) in enumerate(pairs) if before != here]

    @property
    def share(self) -> float:
        """Of those that both answered."""
        return len(self.differing) / self.samples

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the share."""
        return wilson(self.share, self.samples)


def compared(records: Sequence[Record]) -> list[Compared]:
    """Each record with answers whose batches are not the smallest of its kind, in their order."""
    kinds: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        if record.predictions:
            kinds[_kind(record)].append(record)
    smallest = {kind: min(alike, key=lambda record: record.case.batch_size) for kind, alike in kinds.items()}
    pairs = [Compared(record, smallest[_kind(record)]) for record in records if record.predictions]
    return [pair for pair in pairs if pair.record.case.batch_size > pair.smallest.case.batch_size]


def _kind(record: Record) -> tuple[Any, ...]:
    """Equal for two records that differ in their batch size at most, as far as answers go."""
    case, data = record.case, record.data
    samples = None if data is None else (data.source, data.revision, data.samples, data.skipped, data.split)
    return (
        *(checkpoint_name(case.model), case.weights, record.environment.get("checkpoint_revision")),
        *(case.device, case.device_name, case.optimization),
        *(case.dataset, case.image_size, case.sequence_length, case.prompts),
        *(record.generation, samples),
    )


def _body(selection: Selection, prose: Prose) -> list[Block]:
    pairs = compared(cases_that_ran(selection))
    if not pairs:
        return []
    records = [pair.record for pair in pairs]
    names = case_names(records, selection)
    remarks = [
        Remark(names.label(pair.record), "", prose.say("batch_answers_other_samples"), is_gap=True)
        for pair in pairs
        if not pair.samples
    ]
    first = [sentence(_first(pair, names, prose)) for pair in pairs if pair.samples and pair.differing]
    return [
        Paragraph(prose.say("batch_answers_intro")),
        *names.same_in_every_row(prose),
        _table(pairs, names),
        *notes([*names.gathered(remarks, records, prose), *first], prose),
    ]


BATCH_ANSWERS = Section("Answers by batch size", _body)


def _table(pairs: Sequence[Compared], names: CaseNames) -> Table:
    heads = (*names.heads, Head("compared with batch"), Head("answers differing"), Head("samples"))
    return Table(heads, tuple((*names.cells(pair.record), *_cells(pair)) for pair in pairs))


def _cells(pair: Compared) -> list[Cell]:
    size, samples = pair.smallest.case.batch_size, pair.samples
    shown = Cell(formats.MISSING)
    if samples:
        ends = ", ".join(map(formats.percent, pair.interval.ends))
        shown = Cell(f"{formats.share(pair.share)} [{ends}]", pair.share)
    return [Cell(str(size), size), shown, Cell(str(samples), samples)]


def _first(pair: Compared, names: CaseNames, prose: Prose) -> str:
    place = pair.differing[0]
    ids = pair.record.sample_ids or pair.smallest.sample_ids
    is_named = place < len(ids)
    return prose.say(
        "batch_answers_first" if is_named else "batch_answers_first_number",
        row=names.label(pair.record),
        sample=ids[place] if is_named else place,
        smallest=pair.smallest.case.batch_size,
        before=_in_short(pair.smallest.predictions[place]),
        here=_in_short(pair.record.predictions[place]),
    )


def _in_short(answer: str) -> str:
    """A long answer up to a place where no escape is torn."""
    if len(answer) <= _MOST_CHARACTERS:
        return answer
    kept = answer[:_MOST_CHARACTERS]
    torn = (len(kept) - len(kept.rstrip("\\"))) % 2
    return f"{kept[: len(kept) - torn].rstrip()}..."
