"""Every metric of every case, one table per dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.quality.intervals import SHARES, SPANS, interval_of, why_no_interval
from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Cell, Head, Heading, Paragraph, Table
from blip_fixtures.report.footnotes import Remark, notes, sentence
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.sections.cases import absent_rows, case_names, cases_that_ran, reasons_of, scoped_notes
from blip_fixtures.report.sections.section import Section
from blip_fixtures.words import IntervalMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric, Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.sections.cases import CaseNames
    from blip_fixtures.report.selection import Selection


def _body(selection: Selection, prose: Prose) -> list[Block]:
    cases = cases_that_ran(selection)
    if not any(_metrics(record) for record in cases):
        return [Paragraph(prose.say("quality_none", reasons=reasons_of(selection, "quality", prose)))]
    blocks: list[Block] = [Paragraph(prose.say("quality_intro"))]
    for dataset in dict.fromkeys(record.case.dataset for record in cases):
        its_cases = [record for record in cases if record.case.dataset == dataset]
        blocks += [Heading(dataset_label(dataset), level=3), *_of_dataset(its_cases, selection, prose)]
    return blocks


QUALITY = Section("Quality", _body)


def _of_dataset(cases: Sequence[Record], selection: Selection, prose: Prose) -> list[Block]:
    shown = [record for record in cases if _metrics(record)]
    if not shown:
        reasons = dict.fromkeys(figures.why_missing(record, "quality", prose) for record in cases)
        return [Paragraph(prose.say("quality_none", reasons=sentence("; ".join(reasons))))]
    metrics = list(dict.fromkeys(name for record in shown for name in _metrics(record)))
    names = case_names(shown, selection, hide={"dataset"})
    remarks: list[Remark] = []
    for record in shown:
        remarks += _remarks(record, names.label(record), metrics, prose)
    differing = _differing(shown)
    has_differing = len(shown) > 1 and any(share is not None for share in differing)
    said = [_better(shown, metrics, prose), *_methods(shown, metrics, prose)]
    if has_differing:
        said.append(prose.say("quality_differs", label=names.label(shown[0])))
    absent = absent_rows(cases, shown, "quality", selection, prose)
    return [
        *names.same_in_every_row(prose),
        _table(shown, metrics, differing if has_differing else None, names),
        Paragraph(" ".join(said)),
        *notes([*names.gathered(remarks, shown, prose), *absent], prose),
    ]


def _table(
    shown: Sequence[Record], metrics: Sequence[str], differing: Sequence[float | None] | None, names: CaseNames
) -> Table:
    heads = [*names.heads, *map(Head, metrics), *([] if differing is None else [Head("answers differing")])]
    rows = []
    for index, record in enumerate(shown):
        cells = [*names.cells(record), *(metric_cell(name, record.quality.get(name)) for name in metrics)]
        if differing is not None:
            cells.append(Cell(formats.share(differing[index]), differing[index]))
        samples = record.data.samples if record.data is not None else None
        rows.append((*cells, Cell(formats.word(samples), samples)))
    return Table((*heads, Head("samples")), tuple(rows))


def _remarks(record: Record, label: str, metrics: Sequence[str], prose: Prose) -> list[Remark]:
    absent = [metric for metric in metrics if metric not in _metrics(record)]
    gaps = [
        Remark(label, metric, figures.why_missing(record, f"quality.{metric}", prose), is_gap=True) for metric in absent
    ]
    return [*gaps, *_odd_intervals(record, label, prose), *scoped_notes(record, label, "quality", prose)]


def _odd_intervals(record: Record, label: str, prose: Prose) -> list[Remark]:
    """Of metrics whose interval is the bootstrap's where it tells one: those where it told none."""
    remarks = []
    for name in _metrics(record):
        metric = record.quality[name]
        found = interval_of(name, metric)
        if found is None and (metric.interval is not None or f"quality.{name}.interval" in record.missing):
            remarks.append(Remark(label, name, prose.say_reason(why_no_interval(metric))))
        elif found is not None and found.method == IntervalMethod.WILSON and name not in SHARES and name in SPANS:
            remarks.append(Remark(label, name, prose.say("quality_wilson_of_mean")))
    return remarks


def _methods(records: Sequence[Record], metrics: Sequence[str], prose: Prose) -> list[str]:
    """A sentence that says how the intervals were made; none where there are none."""
    by_method: dict[IntervalMethod, dict[str, None]] = {}
    for name in metrics:
        for record in records:
            found = interval_of(name, record.quality[name]) if name in record.quality else None
            if found is not None:
                by_method.setdefault(found.method, {})[name] = None
    said = [
        prose.say(f"interval_{method}", metrics=", ".join(by_method[method]))
        for method in IntervalMethod
        if method in by_method
    ]
    return [prose.say("quality_intervals", methods="; ".join(said))] if said else []


def _metrics(record: Record) -> list[str]:
    return [name for name, metric in record.quality.items() if formats.is_known(metric.value)]


def metric_cell(name: str, metric: Metric | None) -> Cell:
    """``46.6 % [37.8, 55.4]``: an accuracy or a share in percent, other metrics plain with 3 decimals."""
    if metric is None or not formats.is_known(metric.value):
        return Cell(formats.MISSING)
    is_percent = name.endswith(("accuracy", "share"))
    shown = formats.share(metric.value) if is_percent else formats.quality(metric.value)
    interval = interval_of(name, metric)
    if interval is not None:
        show = formats.percent if is_percent else formats.quality
        shown = f"{shown} [{', '.join(show(end) for end in interval.ends)}]"
    return Cell(shown, metric.value)


def _differing(shown: Sequence[Record]) -> list[float | None]:
    """By row, the share of samples whose answer is not that of the first row; `None` where the two do not pair."""
    return [figures.answers_differing(shown[0], record) for record in shown]


def _better(records: Sequence[Record], metrics: Sequence[str], prose: Prose) -> str:
    directions = {name: metric.higher_is_better for record in records for name, metric in record.quality.items()}
    higher = ", ".join(name for name in metrics if directions[name])
    lower = ", ".join(name for name in metrics if not directions[name])
    if higher and lower:
        return prose.say("quality_better", higher=higher, lower=lower)
    return prose.say("quality_higher", higher=higher) if higher else prose.say("quality_lower", lower=lower)
