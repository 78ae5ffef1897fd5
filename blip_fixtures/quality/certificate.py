"""A checkpoint's certificate: each published score beside that of a run, and whether the run reproduces it.

`docs/certificate.md` has the rule and how often it is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.quality.intervals import Interval, interval_of, why_no_interval
from blip_fixtures.quality.published import Score, scores_of
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Certified, Status, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Metric, Record

PUBLISHED_PROMPTS = "published"
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
    last = {msgspec.structs.replace(record.case, model="-"): record for record in records if not record.again}
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
    interval, samples = interval_of(score.metric, metric), _answered(record, metric)
    if score.is_single:
        reasons.append(Reason.of("published_once"))
    if interval is None:
        reasons.append(why_no_interval(metric))
    known = Row(record, Certified.NO_VERDICT, score, metric.value, interval, samples)
    if reasons or interval is None:
        return replace(known, reasons=tuple(reasons))
    found = judged(score, metric.value, interval, samples)
    return replace(known, verdict=found.verdict, judged=found, notes=_notes(record, score))


def _of_the_run(record: Record, score: Score) -> list[Reason]:
    """Why what was run is not what the score was published for."""
    case, reasons = record.case, []
    if case.prompts != PUBLISHED_PROMPTS:
        reasons.append(Reason.of("other_prompts", prompts=case.prompts or "-", published=PUBLISHED_PROMPTS))
    if record.generation is not None and record.generation.fixed:
        reasons.append(Reason.of("answers_of_fixed_length", tokens=record.generation.new_tokens))
    if case.image_size != score.image_size:
        reasons.append(Reason.of("other_image_size", size=case.image_size, published=score.image_size))
    share = record.tokens.truncated_share if record.tokens is not None else None
    if share:
        reasons.append(Reason.of("prompts_cut", percent=100 * share, limit=case.sequence_length))
    return reasons


def _of_the_data(record: Record, score: Score, metric: Metric | None) -> list[Reason]:
    """Why the samples are not those that the score is of. A record that names no split is known by their number."""
    data, split = record.data, score.split
    if data is None:
        return [Reason.of("data_not_recorded")]
    if data.source == PACKAGED_SAMPLES:
        return [Reason.of("packaged_samples", split=split.name)]
    found = data.split or split.others.get(data.source)
    if found is not None and found != split.name:
        return [Reason.of("other_split", split=found, published=split.name)]
    if data.dropped and (data.samples or 0) == split.samples:
        better = max(size for size in range(1, record.case.batch_size + 1) if split.samples % size == 0)
        return [Reason.of("samples_dropped", dropped=data.dropped, batch_size=record.case.batch_size, better=better)]
    answered = _answered(record, metric)
    if answered != split.samples and metric is not None:
        return [Reason.of("not_the_whole_split", answered=answered, samples=split.samples, split=split.name)]
    return []


def _answered(record: Record, metric: Metric | None) -> int:
    """How many samples a metric is over."""
    if metric is not None and metric.per_sample:
        return len(metric.per_sample)
    data = record.data
    return 0 if data is None else (data.samples or 0) - (data.dropped or 0)


def _why_no_number(record: Record, score: Score, others: Sequence[Reason]) -> list[Reason]:
    """Why a record has no such metric, in its own words."""
    if record.status != Status.OK:
        return [] if record.reason is None else [record.reason]
    known = [record.missing[path] for path in (f"quality.{score.metric}", "quality") if path in record.missing]
    said = known[:1] or [Reason.of("no_such_number")]
    return [reason for reason in said if reason.code not in {other.code for other in others}]


def _notes(record: Record, score: Score) -> tuple[Reason, ...]:
    notes = []
    if record.data is not None and record.data.split is None:
        notes.append(Reason.of("split_by_number", split=score.split.name, samples=score.split.samples))
    if _PACKED.intersection(record.case.optimization.split("+")):
        notes.append(Reason.of("certified_as_packed", optimization=record.case.optimization))
    revision = record.environment.get("hub_revision")
    if revision is not None:
        notes.append(Reason.of("certified_revision", revision=revision))
    return tuple(notes)
