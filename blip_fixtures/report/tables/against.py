"""How the rows of a sweep stand to its first one, which the table itself does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report import figures, trust
from blip_fixtures.report.blocks import Cell, Head, Table
from blip_fixtures.report.footnotes import Footnote
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.selection import case_key
from blip_fixtures.report.sweeps import axis_phrase
from blip_fixtures.report.tables.sweep_table import row_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.gate.trust import Trust
    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection

# What a thousand samples take, a round number that people pay for.
THOUSAND = 1000
HOUR_S = 3600


@dataclass(frozen=True)
class Against:
    """A table with the sentence above it, or footnotes in its place, and why some rows cannot be told."""

    title: str
    table: Table | None
    footnotes: tuple[Footnote, ...]


def against_first(group: Group, selection: Selection, prose: Prose, price: float | None = None) -> Against | None:
    """Every row of a table beside its first one; nothing where there is none, or no latency to compare with.

    `price` is that of an hour of the machine.
    """
    trusts = trust.trusts_of(group, selection)
    if not trusts or not group.sweep.axis:
        return None
    rows = [
        Row(row_label(record, group.sweep, selection), record, trusts.get(case_key(record))) for record in group.records
    ]
    fewest, most = trust.processes_of(group.records, selection)
    processes = str(most) if fewest == most else prose.say("range", low=fewest, high=most)
    key = "against_one" if most == 1 else "against_processes"
    title = prose.say(key, first=axis_phrase(group.sweep.axis, rows[0].label), processes=processes)
    told = [(_named(row, group), row.trust) for row in rows if row.trust is not None]
    doubts = trust.doubts(told, prose)
    if group.datasets:
        return Against(title, None, (*_by_dataset(rows, group, title, prose), *doubts))
    return Against(title, _table(rows, group, prose, price), tuple(doubts))


@dataclass(frozen=True)
class Row:
    """A record with its label, and how it stands to the first row: the first one does not."""

    label: str
    record: Record
    trust: Trust | None

    def told(self, number: Callable[[str], str] = str) -> str:
        """``-12 %, faster``."""
        return (
            formats.MISSING if self.trust is None else f"{trust.change(self.trust, number)}, {trust.mark(self.trust)}"
        )


def _named(row: Row, group: Group) -> str:
    return f"{dataset_label(row.record.case.dataset)} {row.label}" if len(group.datasets) > 1 else row.label


def _by_dataset(rows: Sequence[Row], group: Group, title: str, prose: Prose) -> list[Footnote]:
    """One for each row: ``336 px against the first row (224 px), within one process: COCO +95 %, slower; ...``."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.trust is not None:
            said.setdefault(row.label, []).append(f"{dataset_label(row.record.case.dataset)} {row.told(prose.number)}")
    named = {label: axis_phrase(group.sweep.axis, label) for label in said}
    return [
        Footnote.of("remark", f"{named[label]} {title}", f"{'; '.join(parts)}.", prose) for label, parts in said.items()
    ]


@dataclass(frozen=True)
class _Column:
    """A column that stands only where a row has a figure in it."""

    head: Head
    figures: Sequence[float | None]
    show: Callable[[float | None], str]


def _table(rows: Sequence[Row], group: Group, prose: Prose, price: float | None) -> Table:
    records = [row.record for row in rows]
    seconds = [seconds_of_thousand(record) for record in records]
    joules = [figures.energy_j(record, prose).value for record in records]
    of_thousand = [None if one is None else THOUSAND * one for one in joules]
    differing = [figures.answers_differing(records[0], record) for record in records]
    columns = [
        _Column(Head("samples/s", "1/s"), [*map(figures.samples_rate, records)], _three_digits),
        _Column(Head("tokens/s", "1/s"), [*map(_tokens_per_s, records)], _three_digits),
        _Column(Head("1000 samples (s)", "s"), seconds, _three_digits),
        _Column(Head("1000 samples (J)", "J"), of_thousand, _three_digits),
        _Column(Head("1000 samples (money)"), [_money(one, price) for one in seconds], _three_digits),
        _Column(Head("same answers"), [None if share is None else 1 - share for share in differing], formats.share),
    ]
    shown = [column for column in columns if any(figure is not None for figure in column.figures)]
    heads = (Head(group.sweep.header), Head("time per sample"), *(column.head for column in shown))
    return Table(
        heads,
        tuple(
            (
                Cell(row.label),
                Cell("first row" if row is rows[0] else row.told(), None if row.trust is None else row.trust.change),
                *(Cell(column.show(column.figures[place]), column.figures[place]) for column in shown),
            )
            for place, row in enumerate(rows)
        ),
    )


def _three_digits(value: float | None) -> str:
    return formats.significant(value, 3)


def _tokens_per_s(record: Record) -> float | None:
    return None if record.throughput is None else record.throughput.tokens_per_s


def _money(seconds: float | None, price: float | None) -> float | None:
    return None if seconds is None or price is None else price * seconds / HOUR_S


def seconds_of_thousand(record: Record) -> float | None:
    """What a thousand samples take at the rate of the timed rounds."""
    rate = figures.samples_rate(record)
    return THOUSAND / rate if rate else None
