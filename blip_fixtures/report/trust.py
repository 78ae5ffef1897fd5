"""How the rows of a table stand to its first one: marks, changes and reasons as the document shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.gate.trust import compared
from blip_fixtures.report.footnotes import Footnote, sentence
from blip_fixtures.report.selection import case_key
from blip_fixtures.report.sweeps import sweeps_of
from blip_fixtures.words import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.gate.trust import Trust
    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Key, Selection

    Trusts = Mapping[Key, Trust]


def trusts_of(group: Group, selection: Selection) -> Trusts:
    """Of every row but the first of its dataset, by the key of its case. A row without a latency has none."""
    found: dict[Key, Trust] = {}
    for dataset in dict.fromkeys(record.case.dataset for record in group.records):
        first, *others = (record for record in group.records if record.case.dataset == dataset)
        trusts = compared(selection.timings(first), [selection.timings(other) for other in others])
        found |= {case_key(other): trust for other, trust in zip(others, trusts, strict=True) if trust is not None}
    return found


def change(trust: Trust, number: Callable[[str], str] = str) -> str:
    """``-86.8 %``, with its interval where processes know one: ``-86.8 % [-87.4, -86.1]``.

    `number` writes a number as the language has it; in tables it stands as it is.
    """
    shown, low, high = (number(formats.signed_percent(share)) for share in (trust.change, trust.low, trust.high))
    return f"{shown} %" if trust.low is None or trust.high is None else f"{shown} % [{low}, {high}]"


def mark(trust: Trust) -> str:
    """``faster``, ``slower``, ``same within 3 %``, ``cannot tell``."""
    return f"same within {formats.percent_up(trust.within)} %" if trust.mark == Mark.SAME else str(trust.mark)


def marks_of(selection: Selection) -> dict[Key, str]:
    """How each case stands to the first row of its table, in the sweep over optimizations or else in another one."""
    found: dict[Key, str] = {}
    sweeps = sorted(sweeps_of(selection.records), key=lambda sweep: sweep.axis != "optimization")
    for sweep in sweeps:
        for group in selection.groups(sweep) if sweep.axis else ():
            for key, trust in trusts_of(group, selection).items():
                found.setdefault(key, f"{change(trust)}, {mark(trust)}")
    return found


def doubts(labelled: Sequence[tuple[str, Trust]], prose: Prose) -> list[Footnote]:
    """A sentence for each reason why rows cannot be told from the first one, with what would tell."""
    by_reason: dict[str, list[str]] = {}
    for label, trust in labelled:
        if trust.mark == Mark.UNKNOWN and trust.reason is not None:
            said = prose.say_reason(trust.reason)
            if trust.needed is not None and trust.needed > trust.processes and trust.processes > 1:
                said = f"{said}; {prose.say('trust_needed', processes=trust.needed)}"
            by_reason.setdefault(said, []).append(label)
    return [
        Footnote.of("remark", prose.say("trust_doubt", rows=", ".join(labels)), sentence(said), prose)
        for said, labels in by_reason.items()
    ]


def processes_of(records: Sequence[Record], selection: Selection) -> tuple[int, int]:
    """The fewest and the most processes that timed one of these rows."""
    counts = [len(selection.timings(record)) for record in records if record.latency is not None] or [0]
    return min(counts), max(counts)
