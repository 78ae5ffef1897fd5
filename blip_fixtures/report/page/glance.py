"""What a newcomer wants first: which optimization, which batch size. Cases that cannot be told apart share a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.choice import Choice, best_of
from blip_fixtures.report.figures import median_s, samples_rate
from blip_fixtures.report.page.points import is_higher_better
from blip_fixtures.report.selection import case_key
from blip_fixtures.report.sweeps import SWEEPS, axis_phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.record import Record
    from blip_fixtures.report.page.pareto import Span
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


def _where(record: Record, selection: Selection, *axes: str) -> str:
    return ", ".join(axis_phrase(axis, selection.value(record.case, axis)) for axis in axes)


def _fastest(group: Group, selection: Selection, shown: Mapping[Key, Mapping[str, Shown]], prose: Prose) -> list[Plain]:
    """The fastest optimization of one table, and those that cannot be told from it."""
    choice = best_of(group, selection, median_s, largest=False)
    if choice is None or len(group.records) < 2:  # with one there is no choice
        return []
    best, baseline = choice.best, choice.first
    figures_of_best = shown[case_key(best)]
    details = [prose.say("page_glance_latency", latency=figures_of_best["latency"].text)]
    best_s, baseline_s = median_s(best), median_s(baseline)
    if best is not baseline and best_s and baseline_s:
        label = selection.value(baseline.case, "optimization")
        ratio = formats.significant(baseline_s / best_s, 3)
        details.append(prose.say("page_glance_ratio", ratio=ratio, baseline=label))
    if figures_of_best["quality"].span is not None:
        details.append(prose.say("page_glance_quality", quality=figures_of_best["quality"].text))
    if _is_worse(best, figures_of_best["quality"].span, shown[case_key(baseline)]["quality"].span):
        details.append(prose.say("page_glance_worse", baseline=selection.value(baseline.case, "optimization")))
    details += _alike(choice, selection, "optimization", prose)
    return [
        {
            "question": prose.say("page_glance_fastest"),
            "where": _where(best, selection, "dataset", "device", "batch_size", *_SIZES),
            "answer": selection.value(best.case, "optimization"),
            "details": details,
        }
    ]


def _is_worse(record: Record, quality: Span | None, baseline: Span | None) -> bool:
    """Whether the intervals leave no doubt."""
    if quality is None or baseline is None:
        return False
    return quality.high < baseline.low if is_higher_better(record) else quality.low > baseline.high


def _best_batch(group: Group, selection: Selection, prose: Prose) -> list[Plain]:
    """The batch with the most samples a second, and those that cannot be told from it."""
    choice = best_of(group, selection, samples_rate, largest=True)
    if choice is None or len(group.records) < 2:  # with one there is no choice
        return []
    best = choice.best
    others = [
        prose.say("page_glance_other_batch", batch=record.case.batch_size, rate=formats.rate(rate))
        for record in group.records
        if record is not best and (rate := samples_rate(record)) is not None
    ]
    details = [
        prose.say("page_glance_rate", rate=formats.rate(samples_rate(best))),
        prose.say("page_glance_others", others=", ".join(others)),
        *_alike(choice, selection, "batch_size", prose),
    ]
    return [
        {
            "question": prose.say("page_glance_batch"),
            "where": _where(best, selection, "dataset", "device", "optimization", *_SIZES),
            "answer": str(best.case.batch_size),
            "details": details,
        }
    ]


def _alike(choice: Choice, selection: Selection, axis: str, prose: Prose) -> list[str]:
    """Which rows cannot be told from the best one."""
    names = [selection.value(record.case, axis) for record in choice.ties]
    return [prose.say("page_glance_alike", others=", ".join(names))] if names else []
