"""A checkpoint's certificate: each published score beside that of a run, and whether the run reproduces it.

`docs/certificate.md` has the rule and how often it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.quality.protocol import is_taken_at_its_name, why_another_protocol
from blip_fixtures.quality.published import scores_of
from blip_fixtures.quality.scored import scored, why_impossible, why_no_interval
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Certified, Status, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.quality.intervals import Interval
    from blip_fixtures.quality.published import Score
    from blip_fixtures.quality.scored import Scored
    from blip_fixtures.record import Metric, Record

PACKAGED_SAMPLES = "sample"
# Half of the widest interval that still tells a checkpoint from a worse one, in the units of a record: five points of
# 100 apart lie neighbours in the published tables. CIDEr has a scale of ten, and a spread that is twice as large.
MARGINS = {"accuracy": 0.025, "vqa_accuracy": 0.025, "bleu4": 0.025, "cider": 0.05}
# Optimizations that store other weights than the checkpoint has. Their names; this package is below theirs.
_PACKED = frozenset({"int4", "int8", "int8_dynamic"})


@dataclass(frozen=True)
class Judged:
    """What the rule says: the difference, ours less the published one, and how many samples would do if too few."""

    verdict: Certified
    difference: float
    needed: int | None = None


def judged(score: Score, value: float, interval: Interval, samples: int) -> Judged:
    """The rule. `value` and `interval` are ours, over so many samples.

    Reproduced: the published score, its rounding included, lies within our 95 % interval, and half of that is no more
    than the metric's margin. Not reproduced: it lies outside. Within a wider interval nobody can tell; the width falls
    with the root of the number of samples.
    """
    difference = value - score.value
    if not interval.low - score.half_unit <= score.value <= interval.high + score.half_unit:
        return Judged(Certified.NOT_REPRODUCED, difference)
    width = interval.half_width / MARGINS[score.metric]
    if width > 1:
        return Judged(Certified.CANNOT_TELL, difference, math.ceil(samples * width * width))
    return Judged(Certified.REPRODUCED, difference)


@dataclass(frozen=True)
class Row:
    """One score of one record.

    Without a published score there is one row for a dataset, with its first record. `reasons` say why there is no
    verdict, `notes` what a reader of the verdict must know.
    """

    record: Record
    verdict: Certified
    score: Score | None = None
    value: float | None = None
    interval: Interval | None = None
    samples: int = 0
    judged: Judged | None = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Reason, ...] = ()

    @property
    def is_comparable(self) -> bool:
        """Whether the run is one that the score may be held against, be it known from one place alone."""
        return self.value is not None and all(reason.code == "published_once" for reason in self.reasons)


def certify(records: Sequence[Record], model: str | None = None) -> list[Row]:
    """A row for each score of each case; of several records of one case the last counts.

    `model` is the checkpoint whose scores are held against the records; else it is the one that they name.
    """
    last = {msgspec.structs.replace(record.case, model="-"): record for record in records if not record.is_further}
    rows = []
    for dataset in dict.fromkeys(record.case.dataset for record in last.values()):
        its_records = [record for record in last.values() if record.case.dataset == dataset]
        claim = its_records[0].case.model if model is None else model
        scores = [score for score in scores_of(claim) if score.dataset == dataset]
        if not scores:
            rows.append(Row(its_records[0], Certified.NO_PUBLISHED_SCORE))
        rows += [_row(record, score) for score in scores for record in its_records]
    return rows


def _row(record: Record, score: Score) -> Row:
    metric = record.quality.get(score.metric)
    if record.case.weights == Weights.RANDOM:
        return Row(record, Certified.NO_VERDICT, score, reasons=(Reason.of("synthetic_weights"),))
    reasons = [*_of_the_run(record, score), *_of_the_data(record, score, metric)]
    if metric is None or metric.value is None:
        return Row(record, Certified.NO_VERDICT, score, reasons=(*reasons, *_why_no_number(record, score, reasons)))
    if score.is_single:
        reasons.append(Reason.of("published_once"))
    impossible = why_impossible(score.metric, metric)
    found = scored(score.metric, metric, _answered(record, metric))
    if impossible is not None or found is None:
        return Row(record, Certified.NO_VERDICT, score, reasons=(*reasons, *filter(None, (impossible,))))
    if found.interval is None:
        reasons.append(why_no_interval(score.metric, metric, found.samples))
    known = Row(record, Certified.NO_VERDICT, score, found.value, found.interval, found.samples)
    if reasons or found.interval is None:
        return replace(known, reasons=tuple(reasons))
    decided = judged(score, found.value, found.interval, found.samples)
    return replace(known, verdict=decided.verdict, judged=decided, notes=_notes(record, score, found))


def _of_the_run(record: Record, score: Score) -> list[Reason]:
    """Why what was run is not what the score was published for."""
    reasons, size = why_another_protocol(record, score), record.case.image_size
    if size != score.image_size:
        reasons.append(Reason.of("other_image_size", size=size, published=score.image_size))
    return reasons


def _of_the_data(record: Record, score: Score, metric: Metric | None) -> list[Reason]:
    """Why the samples are not those that the score is of.

    The number of scored answers decides, whatever else the record says of its data: as many as the split has are the
    split, unless the record or its source names another one.
    """
    data, split, answered = record.data, score.split, _answered(record, metric)
    found = None if data is None else data.split or split.others.get(data.source)
    if found is not None and found not in split.names:
        return [Reason.of("other_split", split=found, published=split.name)]
    if metric is not None and answered == split.samples:
        return []
    if data is None:
        return [Reason.of("data_not_recorded")]
    if data.source == PACKAGED_SAMPLES:
        return [Reason.of("packaged_samples", split=split.name)]
    if data.dropped and data.samples == split.samples:
        better = max(size for size in range(1, record.case.batch_size + 1) if split.samples % size == 0)
        return [Reason.of("samples_dropped", dropped=data.dropped, batch_size=record.case.batch_size, better=better)]
    if metric is not None:
        return [Reason.of("not_the_whole_split", answered=answered, samples=split.samples, split=split.name)]
    return []


def _answered(record: Record, metric: Metric | None) -> int:
    """How many samples a metric is over: those that have a score."""
    if metric is not None and metric.per_sample:
        return sum(score is not None for score in metric.per_sample)
    data = record.data
    return 0 if data is None else (data.samples or 0) - (data.dropped or 0)


def _why_no_number(record: Record, score: Score, others: Sequence[Reason]) -> list[Reason]:
    """Why a record has no such metric, in its own words."""
    if record.status != Status.OK:
        return [] if record.reason is None else [record.reason]
    known = [record.missing[path] for path in (f"quality.{score.metric}", "quality") if path in record.missing]
    said = known[:1] or [Reason.of("no_such_number")]
    return [reason for reason in said if reason.code not in {other.code for other in others}]


def _notes(record: Record, score: Score, found: Scored) -> tuple[Reason, ...]:
    """What a reader must know beside a verdict: what the record leaves open or contradicts, and what else it is of."""
    notes = []
    if is_taken_at_its_name(record):
        notes.append(Reason.of("protocol_by_name", prompts=record.case.prompts))
    if record.data is None or record.data.split is None:
        notes.append(Reason.of("split_by_number", split=score.split.name, samples=score.split.samples))
    if found.off is not None:
        notes.append(Reason.of("value_of_samples", value=found.off, mean=found.value, samples=found.samples))
    share = record.tokens.truncated_share if record.tokens is not None else None
    if share:
        notes.append(Reason.of("prompts_cut", percent=100 * share, limit=record.case.sequence_length))
    if _PACKED.intersection(record.case.optimization.split("+")):
        notes.append(Reason.of("certified_as_packed", optimization=record.case.optimization))
    revision = record.environment.get("hub_revision")
    if revision is not None:
        notes.append(Reason.of("certified_revision", revision=revision))
    return tuple(notes)
