"""What a reader wants first: which batch size, which optimization, at what loss of answers, at what cost, how sure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.quality.intervals import interval_of
from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Bullets, Heading, Paragraph
from blip_fixtures.report.choice import Choice, best_of
from blip_fixtures.report.footnotes import sentence
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.sweeps import SWEEPS, axis_phrase
from blip_fixtures.report.tables.against import HOUR_S, against_first, seconds_of_thousand
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Group, Selection

# A smaller batch is worth naming where it has this much of the best throughput.
_NEARLY = 0.9
# Scores by which a dataset is known, before others.
_FIRST_METRICS = ("vqa_accuracy", "cider", "accuracy")


def summary(selection: Selection, prose: Prose, price: float | None = None) -> list[Block]:
    """The whole section. `price` is that of an hour of the machine, in whatever money."""
    items: list[str] = []
    tables: list[Block] = []
    for group in selection.groups(SWEEPS["batch_size"]):
        items += _batch_size(group, selection, prose)
        tables += _rates(group, selection, prose, price)
    for group in selection.groups(SWEEPS["optimization"]):
        items += _optimization(group, selection, prose, price)
    items += [*_energy(selection, prose), *_quality(selection, prose)]
    return [Heading(prose.say("summary_title")), Bullets(tuple(items)), *tables] if items else []


def _batch_size(group: Group, selection: Selection, prose: Prose) -> list[str]:
    choice = best_of(group, selection, figures.samples_rate, largest=True)
    if choice is None or len(group.records) < 2:
        return []
    best, first = choice.best, choice.first
    rate = figures.samples_rate(best) or 0.0
    if choice.is_no_better:
        return [
            prose.say("summary_batch_none", where=_link(group, selection, prose), first=_named(first, group, selection))
        ]
    said = prose.say(
        "summary_batch_tied" if choice.ties else "summary_batch",
        ties=_all_of(choice, selection),
        where=_link(group, selection, prose),
        best=_named(best, group, selection),
        rate=formats.significant(rate, 3),
        times=formats.significant(rate / (figures.samples_rate(first) or rate), 2),
        first=_named(first, group, selection),
    )
    smaller = [record for record in group.records if (figures.samples_rate(record) or 0) >= _NEARLY * rate]
    least = min(smaller, key=lambda record: record.case.batch_size, default=best)
    if least is not best and least.case.batch_size < best.case.batch_size:
        said += " " + prose.say(
            "summary_knee",
            row=_named(least, group, selection),
            percent=formats.percent((figures.samples_rate(least) or 0) / rate),
            latency=_seconds(least, prose),
            longer=_seconds(best, prose),
        )
    return [said]


def _rates(group: Group, selection: Selection, prose: Prose, price: float | None) -> list[Block]:
    """Throughput and cost at each batch size, and how the rows stand to the first one."""
    against = against_first(group, selection, prose, price)
    if against is None or against.table is None:
        return []
    return [Paragraph(f"{_link(group, selection, prose)}, {against.title}:"), against.table]


def _optimization(group: Group, selection: Selection, prose: Prose, price: float | None) -> list[str]:
    choice = best_of(group, selection, figures.median_s, largest=False)
    if choice is None or len(group.records) < 2:
        return []
    where, first = _link(group, selection, prose), _named(choice.first, group, selection)
    if choice.is_no_better:
        return [prose.say("summary_fastest_none", where=where, first=first)]
    key = "summary_fastest_tied" if choice.ties else "summary_fastest"
    said = [prose.say(key, where=where, **_of_row(choice, selection, prose, price))]
    equal = [record for record in group.records if figures.answers_differing(choice.first, record) == 0]
    if equal and choice.best not in equal:
        of_equal = best_of(group, selection, figures.median_s, largest=False, among=equal)
        assert of_equal is not None
        if of_equal.is_no_better:
            said.append(prose.say("summary_equal_none", first=first))
        else:
            key = "summary_equal_tied" if of_equal.ties else "summary_equal"
            said.append(prose.say(key, **_of_row(of_equal, selection, prose, price)))
    return said


def _of_row(choice: Choice, selection: Selection, prose: Prose, price: float | None) -> dict[str, str]:
    """What is said of the best row."""
    record = choice.best
    differing = figures.answers_differing(choice.first, record)
    first = _named(choice.first, choice.group, selection)
    if differing is None:
        answers = prose.say("summary_answers_unknown")
    else:
        answers = prose.say("summary_answers", percent=formats.percent(1 - differing), first=first)
    seconds = seconds_of_thousand(record)
    cost = prose.say("summary_cost", seconds=formats.significant(seconds, 3))
    if price is not None and seconds is not None:
        cost = prose.say("summary_cost_money", cost=cost, money=formats.significant(price * seconds / HOUR_S, 2))
    share = (figures.median_s(record) or 0) / (figures.median_s(choice.first) or 1)
    return {
        "best": _named(record, choice.group, selection),
        "ties": _all_of(choice, selection),
        "latency": _seconds(record, prose),
        "percent": formats.percent(share),
        "first": first,
        "answers": answers,
        "cost": cost,
    }


def _energy(selection: Selection, prose: Prose) -> list[str]:
    """The row that takes the least energy; why there is none where nothing has any."""
    cases = [record for record in selection.cases() if record.status == Status.OK]
    if cases and all(figures.energy_j(record, prose).value is None for record in cases):
        reasons = dict.fromkeys(figures.energy_j(record, prose).reason for record in cases)
        return [prose.say("summary_no_energy", reason=sentence("; ".join(reasons)))]
    said = []
    for group in selection.groups(SWEEPS["optimization"]):
        known = {record.case.optimization: _joules(record, prose) for record in group.records}
        first, rows = group.records[0], [record for record in group.records if known[record.case.optimization]]
        if first not in rows or len(rows) < 2:
            continue
        best = min(rows, key=lambda record: known[record.case.optimization] or 0.0)
        ties = [other for other in rows if other is not best and not _is_told(best, other, prose)]
        names = ", ".join(_named(other, group, selection) for other in ties)
        if best is first or first in ties:
            said.append(prose.say("summary_energy_none", first=_named(first, group, selection)))
            continue
        joules, of_first = known[best.case.optimization] or 0.0, known[first.case.optimization] or 1.0
        said.append(
            prose.say(
                "summary_energy",
                where=_link(group, selection, prose),
                best=_named(best, group, selection),
                joules=formats.significant(joules, 3),
                percent=formats.percent(joules / of_first),
                first=_named(first, group, selection),
            )
            + (f" {prose.say('summary_ties', rows=names)}" if names else "")
        )
    return said


def _is_told(best: Record, other: Record, prose: Prose) -> bool:
    """Whether the bounds of both energies leave room between them."""
    bounds = [figures.energy_bound_j(record) or 0.0 for record in (best, other)]
    return (_joules(other, prose) or 0.0) - (_joules(best, prose) or 0.0) > sum(bounds)


def _quality(selection: Selection, prose: Prose) -> list[str]:
    """The first score of each dataset at the operating point, with its interval."""
    said = []
    for dataset in dict.fromkeys(record.case.dataset for record in selection.cases()):
        for record in selection.cases():
            name = next((name for name in _FIRST_METRICS if name in record.quality), None)
            if record.case.dataset == dataset and name is not None:
                said.append(f"{dataset_label(dataset)} {name} {_score(record, name)}")
                break
    return [prose.say("summary_quality", scores="; ".join(said))] if said else []


def _score(record: Record, name: str) -> str:
    metric = record.quality[name]
    is_percent = name.endswith("accuracy")
    show = formats.percent if is_percent else formats.quality
    found = interval_of(name, metric)
    bounds = f" [{', '.join(show(end) for end in found.ends)}]" if found is not None else ""
    return f"{show(metric.value)}{' %' if is_percent else ''}{bounds} ({len(metric.per_sample)})"


def _all_of(choice: Choice, selection: Selection) -> str:
    """The best row and those that cannot be told from it, in the order of the table."""
    alike = (choice.best, *choice.ties)
    return ", ".join(_named(record, choice.group, selection) for record in choice.group.records if record in alike)


def _named(record: Record, group: Group, selection: Selection) -> str:
    axis = group.sweep.axis
    return axis_phrase(axis, selection.value(record.case, axis))


def _link(group: Group, selection: Selection, prose: Prose) -> str:
    """``[Batch Tests](#batch-tests), TextVQA, CPU``."""
    anchor = re.sub(r"[^\w-]", "", group.sweep.title.lower().replace(" ", "-"))
    case = group.records[0].case
    return prose.say(
        "summary_where",
        title=group.sweep.title,
        anchor=anchor,
        dataset=dataset_label(case.dataset),
        device=selection.device_label(case),
    )


def _seconds(record: Record, prose: Prose) -> str:
    return f"{formats.latency(figures.latency_s(record, prose).value)} s"


def _joules(record: Record, prose: Prose) -> float | None:
    return figures.energy_j(record, prose).value
