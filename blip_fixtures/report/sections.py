"""The sections behind the five tables: quality, tokens, FLOPs, memory, phases, limit; `energy.py` has one more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.report import figures, formats
from blip_fixtures.report.comparability import beam_search
from blip_fixtures.report.footnotes import Layout, Remark, gather, sentence, split_note
from blip_fixtures.report.grid import grid
from blip_fixtures.report.labels import DATASET_LABELS, SWEEP_HEADERS, axis_value
from blip_fixtures.report.selection import CASE_AXES, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.record import Metric, Record
    from blip_fixtures.report.prose import Prose

AXIS_HEADERS = {**SWEEP_HEADERS, "dataset": "Dataset", "prompts": "Prompts"}
AXIS_UNITS = {"batch_size": "batch {}", "image_size": "{} px", "sequence_length": "{} tokens"}


@dataclass(frozen=True)
class Column:
    """A column that shows the field at `path` of a record."""

    header: str
    path: str
    show: Callable[[Any], str]


def as_text(value: Any) -> str:
    """A word of the record as it stands; ``-`` for null."""
    return formats.MISSING if value is None else str(value)


def as_share(value: float | None) -> str:
    """A ratio as ``12.5 %``."""
    shown = formats.percent(value)
    return shown if shown == formats.MISSING else f"{shown} %"


def as_count(value: float | None) -> str:
    """A mean number of tokens, one decimal."""
    return formats.fixed(value, 1)


FIELD_SECTIONS: dict[str, tuple[str, tuple[Column, ...]]] = {
    "tokens": (
        "Tokens",
        (
            Column("input mean", "tokens.input_mean", as_count),
            Column("input max", "tokens.input_max", as_text),
            Column("truncated", "tokens.truncated_share", as_share),
            Column("output mean", "tokens.output_mean", as_count),
            Column("output max", "tokens.output_max", as_text),
        ),
    ),
    "flops": (
        "FLOPS by part",
        (
            Column("vision", "flops.vision", formats.flops),
            Column("Q-Former", "flops.qformer", formats.flops),
            Column("prefill", "flops.prefill", formats.flops),
            Column("decode", "flops.decode", formats.flops),
            Column("total", "flops.total", formats.flops),
        ),
    ),
    "memory": (
        "Memory",
        (
            Column("weights (MiB)", "memory.weights_bytes", formats.mebibytes),
            Column("peak (MiB)", "memory.peak_bytes", formats.mebibytes),
        ),
    ),
    "phases": (
        "Phases",
        (
            Column("vision (ms)", "phases.vision_s", formats.milliseconds),
            Column("Q-Former (ms)", "phases.qformer_s", formats.milliseconds),
            Column("prefill (ms)", "phases.prefill_s", formats.milliseconds),
            Column("decode per token (ms)", "phases.decode_per_token_s", formats.milliseconds),
            Column("time to first token (ms)", "phases.time_to_first_token_s", formats.milliseconds),
            Column("sum (ms)", "phases.sum_s", formats.milliseconds),
            Column("sum / latency", "phases.latency_ratio", as_share),
        ),
    ),
    "limit": (
        "Distance to the limit",
        (
            Column("limit (ms)", "limit.seconds", formats.milliseconds),
            Column("latency / limit", "limit.ratio", lambda ratio: formats.significant(ratio, 3)),
            Column("vision bound by", "limit.bound_by.vision", as_text),
            Column("Q-Former bound by", "limit.bound_by.qformer", as_text),
            Column("prefill bound by", "limit.bound_by.prefill", as_text),
            Column("decode bound by", "limit.bound_by.decode", as_text),
        ),
    ),
}


@dataclass(frozen=True)
class CaseNames:
    """How the rows of one section name their cases: a column per axis that varies, the rest said once."""

    axes: tuple[str, ...]
    constants: str
    selection: Selection

    @property
    def headers(self) -> list[str]:
        """The column headers of the varying axes."""
        return [AXIS_HEADERS[axis] for axis in self.axes]

    def cells(self, record: Record) -> list[str]:
        """The varying axes of one case."""
        return [_axis(record, axis, self.selection) for axis in self.axes]

    def label(self, record: Record) -> str:
        """The varying axes in one phrase: ``CPU fp16 batch 4``."""
        return " ".join(AXIS_UNITS.get(axis, "{}").format(_axis(record, axis, self.selection)) for axis in self.axes)


def case_names(records: Sequence[Record], selection: Selection, *, hide: Iterable[str] = ()) -> CaseNames:
    """Names for these records; the dataset stays a column where nothing varies, axes in `hide` are left out."""
    values = {
        axis: {_axis(record, axis, selection) for record in records} for axis in CASE_AXES if axis not in set(hide)
    }
    varying = tuple(axis for axis, found in values.items() if len(found) > 1) or tuple(values)[:1]
    constants = [f"{AXIS_HEADERS[axis]} {found.pop()}" for axis, found in values.items() if axis not in varying]
    return CaseNames(varying, ", ".join(constants), selection)


def _axis(record: Record, axis: str, selection: Selection) -> str:
    return axis_value(record["case"], axis, selection.device_label(record["case"]))


def field_section(field: str, selection: Selection, prose: Prose) -> list[str]:
    """Heading, table and footnotes of one field of the record, or the reasons why no record has it."""
    title, columns = FIELD_SECTIONS[field]
    cases = [record for record in selection.cases() if record["status"] == "ok"]
    parts = [column.path for column in columns if column.path != "flops.total"]
    shown = [record for record in cases if any(_dig(record, path) is not None for path in parts)]
    if not shown:
        return [f"## {title}", prose.say(f"{field}_none", reasons=reasons_of(selection, parts[0], prose))]
    names = case_names(shown, selection)
    remarks: list[Remark] = []
    for record in shown:
        label = names.label(record)
        for column in columns:
            if _dig(record, column.path) is None:
                remarks.append(Remark(label, column.header, figures.why_missing(record, column.path, prose), True))
        remarks += _scoped_notes(record, label, field)
    rows = [[*names.cells(record), *(column.show(_dig(record, column.path)) for column in columns)] for record in shown]
    counters = {str(record["flops"]["counter"]) for record in shown if record["flops"]}
    kinds = {str(record["memory"]["kind"]) for record in shown if record["memory"]}
    return [
        f"## {title}",
        prose.say(f"{field}_intro", counter=", ".join(sorted(counters)), kind=", ".join(sorted(kinds))),
        *constants(names, prose),
        grid([*names.headers, *(column.header for column in columns)], rows),
        *(_rates(shown, selection, prose) if field == "limit" else ()),
        *notes(
            [*_gathered(remarks, shown, names, prose), *_absent_rows(cases, shown, parts[0], selection, prose)], prose
        ),
    ]


def _rates(shown: Sequence[Record], selection: Selection, prose: Prose) -> list[str]:
    """The measured rates behind the limits, once for every device and optimization."""
    said = {}
    for record in shown:
        limit = record["limit"]
        if limit is not None and "flops_per_s" in limit and "bytes_per_s" in limit:
            reads = sorted(limit["bytes_per_s"].values())
            low, high = (formats.significant(rate / 1e9, 3) for rate in (reads[0], reads[-1]))
            said[_device_and_optimization(record, selection)] = prose.say(
                "limit_rate",
                rows=_device_and_optimization(record, selection),
                flops=formats.flops(limit["flops_per_s"]),
                read=low if low == high else prose.say("range", low=low, high=high),
            )
    return [prose.say("limit_rates", rates="; ".join(said.values()))] if said else []


def _device_and_optimization(record: Record, selection: Selection) -> str:
    return f"{_axis(record, 'device', selection)} {_axis(record, 'optimization', selection)}"


def quality_section(selection: Selection, prose: Prose) -> list[str]:
    """Every metric of every case, one table per dataset."""
    cases = [record for record in selection.cases() if record["status"] == "ok"]
    if not any(_metrics(record) for record in cases):
        return ["## Quality", prose.say("quality_none", reasons=reasons_of(selection, "quality", prose))]
    blocks = ["## Quality", prose.say("quality_intro")]
    for dataset in dict.fromkeys(record["case"]["dataset"] for record in cases):
        blocks += _dataset_quality(
            [record for record in cases if record["case"]["dataset"] == dataset], selection, prose
        )
    return blocks


def _beams(records: Sequence[Record], prose: Prose) -> list[str]:
    """How the answers were generated, where not greedily."""
    settings = dict.fromkeys(
        beam_search(record["generation"]) for record in records if record["generation"] is not None
    )
    return [prose.say("quality_beams", beams=beams, penalty=f"{penalty:g}") for beams, penalty in settings if beams > 1]


def _dataset_quality(cases: Sequence[Record], selection: Selection, prose: Prose) -> list[str]:
    shown = [record for record in cases if _metrics(record)]
    label_of = DATASET_LABELS[cases[0]["case"]["dataset"]]
    if not shown:
        reasons = dict.fromkeys(figures.why_missing(record, "quality", prose) for record in cases)
        return [f"### {label_of}", prose.say("quality_none", reasons=sentence("; ".join(reasons)))]
    metrics = list(dict.fromkeys(name for record in shown for name in _metrics(record)))
    names = case_names(shown, selection, hide={"dataset"})
    remarks: list[Remark] = []
    for record in shown:
        label = names.label(record)
        for metric in metrics:
            if metric not in _metrics(record):
                remarks.append(Remark(label, metric, figures.why_missing(record, f"quality.{metric}", prose), True))
        remarks += _scoped_notes(record, label, "quality")
    differing = _differing(shown)
    has_differing = len(shown) > 1 and any(share is not None for share in differing)
    rows = [
        [
            *names.cells(record),
            *(_metric_cell(name, record["quality"].get(name)) for name in metrics),
            *([as_share(share)] if has_differing else []),
            _samples(record),
        ]
        for record, share in zip(shown, differing, strict=True)
    ]
    differs = [prose.say("quality_differs", label=names.label(shown[0]))] if has_differing else []
    differs += _beams(shown, prose)
    return [
        f"### {label_of}",
        *constants(names, prose),
        grid([*names.headers, *metrics, *(["answers differing"] if has_differing else []), "samples"], rows),
        " ".join([_better(shown, metrics, prose), *differs]),
        *notes(
            [*_gathered(remarks, shown, names, prose), *_absent_rows(cases, shown, "quality", selection, prose)], prose
        ),
    ]


def _metrics(record: Record) -> list[str]:
    return [name for name, metric in record["quality"].items() if formats.is_known(metric["value"])]


def _metric_cell(name: str, metric: Metric | None) -> str:
    """``46.6 % [37.8, 55.4]``: an accuracy or a share in percent, other metrics plain with 3 decimals."""
    if metric is None or not formats.is_known(metric["value"]):
        return formats.MISSING
    is_percent = name.endswith(("accuracy", "share"))
    shown, show = (as_share(metric["value"]), formats.percent) if is_percent else (_plain(metric), formats.quality)
    interval = metric.get("interval")
    return shown if interval is None else f"{shown} [{', '.join(show(end) for end in interval)}]"


def _plain(metric: Metric) -> str:
    return formats.quality(metric["value"])


def _differing(shown: Sequence[Record]) -> list[float | None]:
    """By row, the share of samples whose answer is not that of the first row; `None` where the two do not pair."""
    first = shown[0].get("predictions") or []
    shares: list[float | None] = []
    for record in shown:
        answers = record.get("predictions") or []
        alike = len(answers) == len(first) > 0 and _questions(record) == _questions(shown[0])
        shares.append(
            sum(one != other for one, other in zip(first, answers, strict=True)) / len(first) if alike else None
        )
    return shares


def _questions(record: Record) -> tuple[Any, ...]:
    """Which samples a case answered: their source, its revision, and how many were taken."""
    data = record["data"]
    return () if data is None else (data["revision"], data["samples"], data.get("skipped", 0))


def _samples(record: Record) -> str:
    return as_text(record["data"]["samples"] if record["data"] else None)


def _better(records: Sequence[Record], metrics: Sequence[str], prose: Prose) -> str:
    directions = {name: metric["higher_is_better"] for record in records for name, metric in record["quality"].items()}
    higher = ", ".join(name for name in metrics if directions[name])
    lower = ", ".join(name for name in metrics if not directions[name])
    if higher and lower:
        return prose.say("quality_better", higher=higher, lower=lower)
    return prose.say("quality_higher", higher=higher) if higher else prose.say("quality_lower", lower=lower)


def notes(footnotes: Sequence[str], prose: Prose) -> list[str]:
    """Footnotes as one list under a small heading; nothing when there are none."""
    if not footnotes:
        return []
    return [f"{prose.say('footnotes_title')}:\n\n" + "\n".join(f"- {footnote}" for footnote in footnotes)]


def _gathered(remarks: Sequence[Remark], shown: Sequence[Record], names: CaseNames, prose: Prose) -> tuple[str, ...]:
    return gather(remarks, Layout(tuple(names.label(record) for record in shown)), prose)


def _absent_rows(
    cases: Sequence[Record], shown: Sequence[Record], path: str, selection: Selection, prose: Prose
) -> list[str]:
    """Which cases that ran have no row in a section, and why."""
    names = case_names(cases, selection)
    labels_of: dict[str, list[str]] = {}
    for record in cases:
        if record not in shown:
            labels_of.setdefault(figures.why_missing(record, path, prose), []).append(names.label(record))
    layout = Layout(tuple(names.label(record) for record in cases))
    return [
        prose.say("no_row", rows=layout.names(labels, prose), text=sentence(reason))
        for reason, labels in labels_of.items()
    ]


def constants(names: CaseNames, prose: Prose) -> list[str]:
    """One line with the axes that are the same in every row; nothing when all vary."""
    return [prose.say("constants", constants=names.constants)] if names.constants else []


def _scoped_notes(record: Record, label: str, field: str) -> list[Remark]:
    """Only the notes on this field: the others stand under the five tables already."""
    split = [split_note(note) for note in record["notes"]]
    return [Remark(label, "", text) for scope, text in split if scope == field]


def reasons_of(selection: Selection, path: str, prose: Prose) -> str:
    """The distinct reasons why the field at `path` is null, of the cases that ran unless none did."""
    cases = selection.cases()
    ran = [record for record in cases if record["status"] == "ok"] or cases
    return sentence("; ".join(dict.fromkeys(figures.why_missing(record, path, prose) for record in ran)))


def _dig(record: Record, path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value
