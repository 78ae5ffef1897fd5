"""The five tables, and one for every sweep of a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.report import figures, formats
from blip_fixtures.report.comparability import comparability
from blip_fixtures.report.energy import energy_sources
from blip_fixtures.report.footnotes import Layout, Remark, gather, split_note
from blip_fixtures.report.grid import grid
from blip_fixtures.report.labels import (
    DATASET_LABELS,
    HELD_LINES,
    SWEEP_HEADERS,
    SWEEP_TITLES,
    axis_value,
    optimization_label,
    sweep_title,
)
from blip_fixtures.report.localize import localized
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.selection import CASE_AXES, Group, Selection, select
from blip_fixtures.report.spread import spread_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.figures import Figure


@dataclass(frozen=True)
class SweepTable:
    """One table of a sweep, ready to print.

    `held` are the lines above it (``BatchSize: 1``), `footnotes` plain sentences below it, `spread` a second Markdown
    table with the latency's median, quartiles and number of rounds (empty where no record kept its rounds).
    """

    title: str
    held: tuple[str, ...]
    markdown: str
    footnotes: tuple[str, ...]
    spread: str = ""
    sweep: str = ""


@dataclass(frozen=True)
class _Column:
    """A column of figures; `field` is the record's field it shows, `header` may end in blanks that widen it."""

    header: str
    field: str
    figure: Callable[[Record, Prose], Figure]
    show: Callable[[float | None], str]

    @property
    def name(self) -> str:
        return self.header.strip()


_LATENCY = _Column("Latency", "latency", figures.latency_s, formats.latency)
_FLOPS = _Column("FLOPS", "flops", figures.flops_total, formats.flops)
_ENERGY = _Column("Energy", "energy", figures.energy_j, formats.energy)
_DEVICE_COLUMNS = (_LATENCY, _Column("Energy  ", "energy", figures.energy_j, formats.energy), _FLOPS)
_BATCH_COLUMNS = (
    _Column("Latency (per batch)", "latency", figures.latency_s, formats.latency),
    _Column("Energy (per sample)", "energy", figures.energy_j, formats.energy_short),
)
_OPTIMIZATION_COLUMNS = (_LATENCY, _FLOPS, _ENERGY)
_SIZE_COLUMNS = {
    dataset: (
        _Column(DATASET_LABELS[dataset], "quality", figures.word_error_rate, formats.quality),
        _Column(f"{DATASET_LABELS[dataset]} latency", "latency", figures.latency_s, formats.latency),
    )
    for dataset in sorted(DATASET_LABELS, key=DATASET_LABELS.__getitem__)
}


def sweep_tables(records: Sequence[Record], *, lang: str = "en") -> list[SweepTable]:
    """The tables of every sweep that has records: the five in their order, then a user's own sweeps."""
    prose = load_prose(lang)
    selection = select(localized(records, prose))
    sweeps = [*SWEEP_TITLES, *selection.own_sweeps()]
    return [group_table(group, selection, prose) for sweep in sweeps for group in selection.groups(sweep)]


def group_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """The table of one group of records."""
    match group.sweep:
        case "device":
            return _plain_table(group, selection, _DEVICE_COLUMNS, prose)
        case "batch_size":
            return _plain_table(group, selection, _BATCH_COLUMNS, prose)
        case "optimization":
            return _optimization_table(group, selection, prose)
        case "image_size" | "sequence_length":
            return _size_table(group, selection, prose)
    return _own_table(group, selection, prose)


def held_lines(group: Group, selection: Selection) -> tuple[str, ...]:
    """``BatchSize: 1`` and so on; the prompts too where the sweep ran with several."""
    case = group.records[0]["case"]
    lines = [label + selection.held_value(case, axis) for label, axis in HELD_LINES.get(group.sweep, ())]
    prompts = {record["case"]["prompts"] for record in selection.records if group.sweep in record["sweeps"]}
    if lines and len(prompts) > 1:
        lines.append(f"Prompts: {case['prompts']}")
    return tuple(lines)


def row_label(record: Record, sweep: str, selection: Selection) -> str:
    """What the first column says: ``GPU``, ``16``, ``Compile``."""
    return axis_value(record["case"], sweep, selection.device_label(record["case"]))


def row_name(sweep: str) -> str:
    """What stands before row labels that are bare numbers."""
    return SWEEP_HEADERS[sweep] if sweep in {"batch_size", "image_size", "sequence_length"} else ""


def _plain_table(group: Group, selection: Selection, columns: Sequence[_Column], prose: Prose) -> SweepTable:
    """One row per record, one figure per column."""
    labels = [row_label(record, group.sweep, selection) for record in group.records]
    cells = [[column.show(column.figure(record, prose).value) for column in columns] for record in group.records]
    return SweepTable(
        title=sweep_title(group.sweep),
        held=held_lines(group, selection),
        markdown=grid(
            [SWEEP_HEADERS[group.sweep], *(column.header for column in columns)],
            [[label, *row] for label, row in zip(labels, cells, strict=True)],
        ),
        footnotes=_row_footnotes(group, labels, columns, prose),
        spread=spread_table(SWEEP_HEADERS[group.sweep], list(zip(labels, group.records, strict=True))),
        sweep=group.sweep,
    )


def _row_footnotes(group: Group, labels: Sequence[str], columns: Sequence[_Column], prose: Prose) -> tuple[str, ...]:
    remarks: list[Remark] = []
    for label, record in zip(labels, group.records, strict=True):
        for column in columns:
            remarks += _cell_remarks(label, column, record, prose)
        remarks += _note_remarks(label, record, group.sweep, columns)
        remarks += [Remark(label, "", text) for text in _row_texts(record, group, prose)]
    layout = Layout(tuple(labels), row_name(group.sweep))
    rows = list(zip(labels, group.records, strict=True))
    sources = energy_sources(rows, layout, prose) if any(column.field == "energy" for column in columns) else []
    return (*gather(remarks, layout, prose), *sources, *comparability(rows, group.sweep, layout, prose))


def _cell_remarks(row: str, column: _Column, record: Record, prose: Prose) -> list[Remark]:
    """Why a cell is `-`, what weakens its figure, and that a figure is too small for its format."""
    figure = column.figure(record, prose)
    if not formats.is_known(figure.value):
        return [Remark(row, column.name, figure.reason, is_gap=True)]
    remarks = [Remark(row, column.name, figure.caveat)] if figure.caveat else []
    if figure.value and not column.show(figure.value).strip("-0."):
        remarks.append(Remark(row, column.name, prose.say("too_small", value=f"{figure.value:.2e}")))
    return remarks


def _note_remarks(
    row: str, record: Record, sweep: str, columns: Sequence[_Column], *, all_columns: bool = False
) -> list[Remark]:
    """The record's notes, each beside the columns of its scope; a note without scope, or on the sweep, is the row's."""
    remarks = []
    for note in record["notes"]:
        scope, text = split_note(note)
        if scope in {"", sweep}:
            names = [column.name for column in columns] if all_columns else [""]
        else:
            names = [column.name for column in columns if column.field == scope]
        remarks += [Remark(row, name, text) for name in names]
    return remarks


def _row_texts(record: Record, group: Group, prose: Prose) -> list[str]:
    """Dropped samples, a replaced measurement, and the fate of a case that failed but kept some figures."""
    texts = []
    if record["status"] != "ok" and (record["latency"] is not None or record["flops"] is not None):
        texts.append(figures.case_fate(record, prose))
    if record["status"] == "ok" and record["data"] and record["data"]["dropped"]:
        texts.append(prose.say("dropped", samples=record["data"]["dropped"]))
    if record["status"] == "ok" and record["data"] and record["data"].get("skipped"):
        texts.append(prose.say("skipped", rows=record["data"]["skipped"]))
    if group.was_replaced(record):
        texts.append(prose.say("replaced"))
    return texts


def _optimization_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """The plain columns, each with its share of the first row's figure beside it."""
    plain = _plain_table(group, selection, _OPTIMIZATION_COLUMNS, prose)
    headers, rows = [SWEEP_HEADERS["optimization"]], []
    for column in _OPTIMIZATION_COLUMNS:
        headers += [column.name, f"% of original {column.name}"]
    for record in group.records:
        row = [row_label(record, group.sweep, selection)]
        for column in _OPTIMIZATION_COLUMNS:
            value, original = column.figure(record, prose).value, column.figure(group.records[0], prose).value
            row += [column.show(value), formats.percent(value / original if value is not None and original else None)]
        rows.append(row)
    footnotes = (*plain.footnotes, _baseline_footnote(group.records[0], prose))
    return SweepTable(plain.title, plain.held, grid(headers, rows), footnotes, plain.spread, group.sweep)


def _baseline_footnote(baseline: Record, prose: Prose) -> str:
    label = optimization_label(baseline["case"]["optimization"])
    unknown = [column.name for column in _OPTIMIZATION_COLUMNS if not column.figure(baseline, prose).value]
    if not unknown:
        return prose.say("baseline", label=label)
    return prose.say("baseline_incomplete", label=label, columns=", ".join(unknown))


def _size_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """One row per size; per dataset a column of word error rate and one of latency."""
    listed = [(row_label(record, group.sweep, selection), record) for record in group.records]
    by_row: dict[str, dict[str, Record]] = {}
    for label, record in listed:
        by_row.setdefault(label, {})[record["case"]["dataset"]] = record
    rows, remarks = [], []
    for label, by_dataset in by_row.items():
        row = [label]
        for dataset, pair in _SIZE_COLUMNS.items():
            record_or_none = by_dataset.get(dataset)
            row += [_show(column, record_or_none, prose) for column in pair]
            remarks += _size_remarks(label, dataset, record_or_none, group, prose)
        rows.append(row)
    layout = Layout(tuple(by_row), row_name(group.sweep), _size_aliases(prose))
    headers = [column.header for pair in _SIZE_COLUMNS.values() for column in pair]
    return SweepTable(
        title=sweep_title(group.sweep),
        held=held_lines(group, selection),
        markdown=grid([SWEEP_HEADERS[group.sweep], *headers], rows),
        footnotes=(*gather(remarks, layout, prose), *comparability(listed, group.sweep, layout, prose)),
        spread=spread_table(SWEEP_HEADERS[group.sweep], listed, by_dataset=True),
        sweep=group.sweep,
    )


def _size_aliases(prose: Prose) -> dict[frozenset[str], str]:
    """Sets of columns that a footnote does not list one by one."""
    return {
        frozenset(pair[0].name for pair in _SIZE_COLUMNS.values()): prose.say("all_word_error_rates"),
        frozenset(pair[1].name for pair in _SIZE_COLUMNS.values()): prose.say("all_latencies"),
        frozenset(column.name for pair in _SIZE_COLUMNS.values() for column in pair): "",
    }


def _show(column: _Column, record: Record | None, prose: Prose) -> str:
    return formats.MISSING if record is None else column.show(column.figure(record, prose).value)


def _size_remarks(label: str, dataset: str, record: Record | None, group: Group, prose: Prose) -> list[Remark]:
    pair = _SIZE_COLUMNS[dataset]
    if record is None:
        text = prose.say("dataset_not_run", command=f'pytest benchmarks -k "test_{group.sweep} and {dataset}"')
        return [Remark(label, column.name, text, is_gap=True) for column in pair]
    remarks = [remark for column in pair for remark in _cell_remarks(label, column, record, prose)]
    remarks += _note_remarks(label, record, group.sweep, pair, all_columns=True)
    texts = _row_texts(record, group, prose)
    return remarks + [Remark(label, column.name, text) for text in texts for column in pair]


def _own_table(group: Group, selection: Selection, prose: Prose) -> SweepTable:
    """A user's own sweep: all axes as columns, then the figures."""
    headers = {**SWEEP_HEADERS, "dataset": "Dataset", "prompts": "Prompts"}
    axes = [
        axis
        for axis in CASE_AXES
        if axis != "prompts" or len({record["case"]["prompts"] for record in group.records}) > 1
    ]
    cells = [
        [axis_value(record["case"], axis, selection.device_label(record["case"])) for axis in axes]
        for record in group.records
    ]
    columns = (_LATENCY, _ENERGY, _FLOPS, _Column("WER", "quality", figures.word_error_rate, formats.quality))
    numbers = [[column.show(column.figure(record, prose).value) for column in columns] for record in group.records]
    # The axes that vary name a row in the footnotes.
    varying = [index for index in range(len(axes)) if len({row[index] for row in cells}) > 1] or [0]
    labels = [" ".join(_named(axes[index], row[index]) for index in varying) for row in cells]
    return SweepTable(
        title=sweep_title(group.sweep),
        held=(),
        markdown=grid(
            [*(headers[axis] for axis in axes), *(column.header for column in columns)],
            [[*row, *figures_row] for row, figures_row in zip(cells, numbers, strict=True)],
        ),
        footnotes=_row_footnotes(group, labels, columns, prose),
        spread=spread_table("Case", list(zip(labels, group.records, strict=True))),
        sweep=group.sweep,
    )


def _named(axis: str, value: str) -> str:
    return f"{row_name(axis)} {value}" if axis in SWEEP_TITLES and row_name(axis) else value
