"""A record as the page shows it: figures with intervals and reasons, rounds, phases, proof, and the record itself.

Figures, their formats and their reasons are the document's. Everything is plain JSON; every text is fit to be shown,
and the page sets it as text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures import formats
from blip_fixtures.quality.intervals import interval_of
from blip_fixtures.record import as_plain
from blip_fixtures.report import figures
from blip_fixtures.report.labels import device_kind
from blip_fixtures.report.machine import facts
from blip_fixtures.report.page.commands import again_command
from blip_fixtures.report.page.pareto import Span
from blip_fixtures.report.proofs import applied_text
from blip_fixtures.report.sections.cases import case_names
from blip_fixtures.report.sections.fields import dig
from blip_fixtures.report.sections.quality import metric_cell
from blip_fixtures.report.selection import CASE_AXES, case_key
from blip_fixtures.report.sweeps import axis_phrase
from blip_fixtures.report.tables.spread import quartiles_s, rounds_s
from blip_fixtures.report.trust import marks_of
from blip_fixtures.words import Phase, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.figures import Figure
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection

Plain = dict[str, Any]
# Rounds of one process that a page holds; of more every second, third and so on is shown.
MOST_ROUNDS = 256
# A number of the page has so many digits; the record has them all.
DIGITS = 5
_RECORD_DIGITS = 7
_MILLISECONDS_BELOW_S = 10.0
# Lists of a record that are long and stand in the file of records.
_LONG = frozenset(
    {"predictions", "sample_ids", "per_sample", "batches_s", "rounds_s", "reference_s", "conditions", "windows"}
)


@dataclass(frozen=True)
class TimeUnit:
    """The one unit of all latencies of a page."""

    name: str
    per_second: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> TimeUnit:
        """Milliseconds, unless a case takes long."""
        medians = [record.latency.median_s or 0.0 for record in records if record.latency is not None]
        is_short = max(medians, default=0.0) < _MILLISECONDS_BELOW_S
        return cls("ms", 1000.0) if is_short else cls("s", 1.0)


@dataclass(frozen=True)
class Shown:
    """A figure of a point: its span in the page's unit, its text, or why there is none."""

    text: str
    span: Span | None = None
    reason: str = ""
    caveat: str = ""

    @property
    def plain(self) -> Plain:
        """As JSON has it."""
        found: Plain = {"text": self.text}
        if self.span is not None:
            found |= {"value": short(self.span.value), "low": short(self.span.low), "high": short(self.span.high)}
        return (
            found | ({"reason": self.reason} if self.reason else {}) | ({"caveat": self.caveat} if self.caveat else {})
        )


def short(value: float) -> float:
    """With as many digits as a picture can show."""
    return float(f"{value:.{DIGITS}g}")


def headline_metric(record: Record) -> str | None:
    """The metric that stands for a dataset: the first of which more is better, else the first."""
    known = [name for name, metric in record.quality.items() if formats.is_known(metric.value)]
    return next((name for name in known if record.quality[name].higher_is_better), known[0] if known else None)


def is_higher_better(record: Record) -> bool:
    """Of the headline metric; true without one."""
    name = headline_metric(record)
    return name is None or record.quality[name].higher_is_better


def shown_figures(record: Record, unit: TimeUnit, prose: Prose) -> dict[str, Shown]:
    """By name: latency, quality, energy, memory, samples and tokens a second."""
    return {
        "latency": _latency(record, unit, prose),
        "quality": _quality(record, prose),
        "energy": _energy(record, prose),
        "memory": _of_field(record, "memory.peak_bytes", formats.mebibytes, " MiB", prose, scale=1 / formats.MIB),
        "throughput": _of_field(record, "throughput.samples_per_s", formats.rate, "/s", prose),
        "tokens": _of_field(record, "throughput.tokens_per_s", formats.rate, "/s", prose),
    }


def _latency(record: Record, unit: TimeUnit, prose: Prose) -> Shown:
    figure = figures.latency_s(record, prose)
    if figure.value is None:
        return _absent(figure)
    quartiles = quartiles_s(record)
    seconds = (figure.value, *(quartiles[1:] if quartiles else ()))
    text = formats.interval(*quartiles) if quartiles else f"{formats.latency(figure.value)} s"
    return Shown(text, Span.of(*(unit.per_second * value for value in seconds)), caveat=figure.caveat)


def _quality(record: Record, prose: Prose) -> Shown:
    name = headline_metric(record)
    if name is None:
        return _absent(figures.metric_value(record, "wer", prose))
    metric = record.quality[name]
    interval = interval_of(name, metric)
    assert metric.value is not None
    return Shown(metric_cell(name, metric).text, Span.of(metric.value, *(interval.ends if interval else ())))


def _energy(record: Record, prose: Prose) -> Shown:
    figure = figures.energy_j(record, prose)
    if figure.value is None:
        return _absent(figure)
    bound = figures.energy_bound_j(record)
    ends = () if bound is None else (max(0.0, figure.value - bound), figure.value + bound)
    known = "" if bound is None else f" ± {formats.significant(bound, 2)}"
    return Shown(f"{formats.energy(figure.value)}{known} J", Span.of(figure.value, *ends), caveat=figure.caveat)


def _of_field(record: Record, path: str, show: Any, unit: str, prose: Prose, *, scale: float = 1.0) -> Shown:
    value = dig(record, path)
    if not formats.is_known(value):
        return Shown(formats.MISSING, reason=figures.why_missing(record, path, prose))
    return Shown(f"{show(value)}{unit}", Span.of(value * scale))


def _absent(figure: Figure) -> Shown:
    return Shown(formats.MISSING, reason=figure.reason)


def points_of(selection: Selection, unit: TimeUnit, prose: Prose) -> list[tuple[Record, dict[str, Shown], Plain]]:
    """Every case with its figures, and the point that the page gets; a case measured several times is one point."""
    cases = selection.cases()
    names = case_names(cases, selection)
    optimizations = list(dict.fromkeys(record.case.optimization for record in selection.records))
    marks = marks_of(selection)
    taken: set[str] = set()
    found = []
    for record in cases:
        shown = shown_figures(record, unit, prose)
        plain = {
            "id": _unused(record.case_id, taken),
            "label": names.label(record),
            **_axes(record, selection),
            "series": optimizations.index(record.case.optimization),
            "sweeps": list(record.sweeps),
            "ok": record.status == Status.OK,
            "status": "" if record.status == Status.OK else figures.case_fate(record, prose),
            "mark": marks.get(case_key(record)),
            "metric": headline_metric(record),
            "higher": is_higher_better(record),
            "figures": {name: figure.plain for name, figure in shown.items()},
            "phases": _phases(record, unit),
            "limit": _scaled(dig(record, "limit.seconds"), unit),
            "rounds": [_rounds(each, unit) for each in selection.timings(record)],
            "reasons": _reasons(record, prose),
            "notes": [prose.say_reason(note) for note in record.notes],
            "proof": applied_text(record.applied, prose),
            "machine": [list(fact) for fact in facts([record.environment], prose) if fact[1]]
            if record.environment
            else [],
            "command": again_command(record),
            "record": _in_brief(as_plain(record)),
        }
        found.append((record, shown, plain))
    return found


def _axes(record: Record, selection: Selection) -> Plain:
    """Of each axis the value, as the document calls it, and the phrase that names a case by it."""
    case = record.case
    values = {axis: selection.value(case, axis) for axis in CASE_AXES}
    return {
        "axes": values,
        "phrases": {axis: axis_phrase(axis, value) for axis, value in values.items()},
        "batch": case.batch_size,
        "kind": device_kind(case.device),
    }


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number where another case has it: the same case on another machine."""
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name}~{number}"
    taken.add(unused)
    return unused


def _scaled(seconds: float | None, unit: TimeUnit) -> float | None:
    return short(seconds * unit.per_second) if seconds is not None and formats.is_known(seconds) else None


def _phases(record: Record, unit: TimeUnit) -> Plain | None:
    """Each phase's part of a call; what older records do not say of decoding is the rest of their sum."""
    phases = record.phases
    if phases is None:
        return None
    decode = phases.decode_s
    if decode is None and phases.sum_s is not None and phases.time_to_first_token_s is not None:
        decode = max(0.0, phases.sum_s - phases.time_to_first_token_s)
    seconds = {
        Phase.VISION: phases.vision_s,
        Phase.QFORMER: phases.qformer_s,
        Phase.PREFILL: phases.prefill_s,
        Phase.DECODE: decode,
    }
    known = {str(name): _scaled(value, unit) for name, value in seconds.items()}
    return known if all(value is not None for value in known.values()) else None


def _rounds(record: Record, unit: TimeUnit) -> Plain:
    """One measurement's rounds, and the reference product before each."""
    rounds = rounds_s(record)
    step = -(-len(rounds) // MOST_ROUNDS) or 1
    reference = record.latency.reference_s if record.latency is not None else ()
    return {
        "process": record.process,
        "count": len(rounds),
        "step": step,
        "rounds": [_scaled(value, unit) for value in rounds[::step]],
        "reference": [short(1000 * value) for value in reference[::step]],
    }


def _reasons(record: Record, prose: Prose) -> list[list[str]]:
    """(what is missing or weaker, why), as the record says it."""
    said = [["", figures.case_fate(record, prose)]] if record.status != Status.OK else []
    said += [[path, prose.say_reason(reason)] for path, reason in record.missing.items()]
    for domain, entry in record.energy.items():
        remark = figures.energy_remark(entry, prose)
        if remark:
            said.append([f"energy.{domain}", remark])
    return said


def _in_brief(plain: Any) -> Any:
    """The record without what it lacks, its long lists by their length, and its numbers without their last digits."""
    if isinstance(plain, dict):
        return {
            name: f"[{len(value)}]" if name in _LONG and isinstance(value, list) else _in_brief(value)
            for name, value in plain.items()
            if value not in (None, [], {})
        }
    return float(f"{plain:.{_RECORD_DIGITS}g}") if isinstance(plain, float) else plain
