"""What a newcomer wants first: which optimization, which batch size. Cases that cannot be told apart share a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.page.pareto import Span, alike
from blip_fixtures.report.page.points import is_higher_better
from blip_fixtures.report.selection import case_key
from blip_fixtures.report.sweeps import SWEEPS, axis_phrase
from blip_fixtures.report.tables.spread import quartiles_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.page.points import Plain, Shown
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Key, Selection

MOST_CARDS = 6
_SIZES = ("image_size", "sequence_length")


def glance(selection: Selection, shown: Mapping[Key, Mapping[str, Shown]], prose: Prose) -> list[Plain]:
    """Cards with a question, an answer and the figure behind it. `shown` holds the figures of each case."""
    cards: list[Plain] = []
    for group in selection.groups(SWEEPS["optimization"]):
        cards += _fastest(group, selection, shown, prose)
    for group in selection.groups(SWEEPS["batch_size"]):
        cards += _best_batch(group, selection, prose)
    return cards[:MOST_CARDS]


def _timed(records: Sequence[Record]) -> list[tuple[Record, Span]]:
    found = []
    for record in records:
        quartiles = quartiles_s(record)
        if quartiles is not None:
            found.append((record, Span.of(*quartiles)))
    return found


def _where(record: Record, selection: Selection, *axes: str) -> str:
    return ", ".join(axis_phrase(axis, selection.value(record.case, axis)) for axis in axes)


def _fastest(group: Group, selection: Selection, shown: Mapping[Key, Mapping[str, Shown]], prose: Prose) -> list[Plain]:
    """The fastest optimization of one table, and those that are as fast as far as its rounds tell."""
    timed = _timed(group.records)
    if len(timed) < 2:  # with one there is no choice
        return []
    names = alike([(str(place), span) for place, (_, span) in enumerate(timed)])
    best = [timed[int(name)] for name in names]
    first, first_span = best[0]
    baseline, baseline_span = timed[0]
    figures = shown[case_key(first)]
    details = [prose.say("page_glance_latency", latency=figures["latency"].text)]
    if first is not baseline and first_span.value:
        label = selection.value(baseline.case, "optimization")
        ratio = formats.significant(baseline_span.value / first_span.value, 3)
        details.append(prose.say("page_glance_ratio", ratio=ratio, baseline=label))
    if figures["quality"].span is not None:
        details.append(prose.say("page_glance_quality", quality=figures["quality"].text))
    if _is_worse(first, figures["quality"].span, shown[case_key(baseline)]["quality"].span):
        details.append(prose.say("page_glance_worse", baseline=selection.value(baseline.case, "optimization")))
    if len(best) > 1:
        others = ", ".join(selection.value(record.case, "optimization") for record, _ in best[1:])
        details.append(prose.say("page_glance_alike", others=others))
    return [
        {
            "question": prose.say("page_glance_fastest"),
            "where": _where(first, selection, "dataset", "device", "batch_size", *_SIZES),
            "answer": selection.value(first.case, "optimization"),
            "details": details,
        }
    ]


def _is_worse(record: Record, quality: Span | None, baseline: Span | None) -> bool:
    """Whether the intervals leave no doubt."""
    if quality is None or baseline is None:
        return False
    return quality.high < baseline.low if is_higher_better(record) else quality.low > baseline.high


def _best_batch(group: Group, selection: Selection, prose: Prose) -> list[Plain]:
    """The batch with the most samples a second, and those that do as much as far as their rounds tell."""
    rates: list[tuple[Record, Span]] = []
    for record in group.records:
        rate = record.throughput.samples_per_s if record.throughput is not None else None
        if rate is not None:
            seconds = [end for end in (quartiles_s(record) or ())[1:] if end > 0]
            rates.append((record, Span.of(rate, *(record.case.batch_size / end for end in seconds))))
    if len(rates) < 2:  # with one there is no choice
        return []
    names = alike([(str(place), span) for place, (_, span) in enumerate(rates)], lower=False)
    best = [rates[int(name)] for name in names]
    first, most = best[0]
    details = [prose.say("page_glance_rate", rate=formats.rate(most.value))]
    others = [
        prose.say("page_glance_other_batch", batch=record.case.batch_size, rate=formats.rate(span.value))
        for record, span in rates
        if record is not first
    ]
    details.append(prose.say("page_glance_others", others=", ".join(others)))
    if len(best) > 1:
        same = ", ".join(str(record.case.batch_size) for record, _ in best[1:])
        details.append(prose.say("page_glance_alike", others=same))
    return [
        {
            "question": prose.say("page_glance_batch"),
            "where": _where(first, selection, "dataset", "device", "optimization", *_SIZES),
            "answer": str(first.case.batch_size),
            "details": details,
        }
    ]
