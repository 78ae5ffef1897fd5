"""What a reader wants first: which batch size, which optimization, at what loss of answers, at what cost, how sure."""

from __future__ import annotations

import re
from dataclasses import dataclass
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
    items = [*choices(selection, prose, price), *_no_energy(selection, prose), *_quality(selection, prose)]
    tables = [
        block for group in selection.groups(SWEEPS["batch_size"]) for block in _rates(group, selection, prose, price)
    ]
    return [Heading(prose.say("summary_title")), Bullets(tuple(items)), *tables] if items else []


def choices(selection: Selection, prose: Prose, price: float | None = None, *, links: bool = True) -> list[str]:
    """What is best, at what cost, and what cannot be told; with `links` to the tables, where a document has some."""
    view = _View(selection, prose, price, links)
    items: list[str] = []
    for group in selection.groups(SWEEPS["batch_size"]):
        items += _batch_size(group, view)
    for group in selection.groups(SWEEPS["optimization"]):
        items += _optimization(group, view)
    return [*items, *_energy(view)]


@dataclass(frozen=True)
class _View:
    """What the sentences are made of, and for whom."""

    selection: Selection
    prose: Prose
    price: float | None = None
    links: bool = True

    def named(self, record: Record, group: Group) -> str:
        """The value of the group's axis: ``batch 4``, ``bf16``."""
        axis = group.sweep.axis
        return axis_phrase(axis, self.selection.value(record.case, axis))

    def all_of(self, choice: Choice) -> str:
        """The best row and those that cannot be told from it, in the order of the table."""
        alike = (choice.best, *choice.ties)
        return ", ".join(self.named(record, choice.group) for record in choice.group.records if record in alike)

    def where(self, group: Group) -> str:
        """``[Batch Tests](#batch-tests), TextVQA, CPU``."""
        title, case = group.sweep.title, group.records[0].case
        if self.links:
            anchor = re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
            title = f"[{title}](#{anchor})"
        return f"{title}, {dataset_label(case.dataset)}, {self.selection.device_label(case)}"


def _batch_size(group: Group, view: _View) -> list[str]:
    prose, selection = view.prose, view.selection
    choice = best_of(group, selection, figures.samples_rate, largest=True)
    if choice is None or len(group.records) < 2:
        return []
    best, first = choice.best, choice.first
    rate = figures.samples_rate(best) or 0.0
    if choice.is_no_better:
        return [prose.say("summary_batch_none", where=view.where(group), first=view.named(first, group))]
    said = prose.say(
        "summary_batch_tied" if choice.ties else "summary_batch",
        ties=view.all_of(choice),
        where=view.where(group),
        best=view.named(best, group),
        rate=prose.number(formats.significant(rate, 3)),
        times=prose.number(formats.significant(rate / (figures.samples_rate(first) or rate), 2)),
        first=view.named(first, group),
    )
    smaller = [record for record in group.records if (figures.samples_rate(record) or 0) >= _NEARLY * rate]
    least = min(smaller, key=lambda record: record.case.batch_size, default=best)
    if least is not best and least.case.batch_size < best.case.batch_size:
        said += " " + prose.say(
            "summary_knee",
            row=view.named(least, group),
            percent=prose.number(formats.percent((figures.samples_rate(least) or 0) / rate)),
            latency=_seconds(least, prose),
            longer=_seconds(best, prose),
        )
    return [said]


def _rates(group: Group, selection: Selection, prose: Prose, price: float | None) -> list[Block]:
    """Throughput and cost at each batch size, and how the rows stand to the first one."""
    against = against_first(group, selection, prose, price)
    if against is None or against.table is None:
        return []
    return [Paragraph(f"{_View(selection, prose).where(group)}, {against.title}:"), against.table]


def _optimization(group: Group, view: _View) -> list[str]:
    prose, selection = view.prose, view.selection
    choice = best_of(group, selection, figures.median_s, largest=False)
    if choice is None or len(group.records) < 2:
        return []
    where, first = view.where(group), view.named(choice.first, group)
    if choice.is_no_better:
        return [prose.say("summary_fastest_none", where=where, first=first)]
    key = "summary_fastest_tied" if choice.ties else "summary_fastest"
    said = [prose.say(key, where=where, **_of_row(choice, view))]
    equal = [record for record in group.records if figures.answers_differing(choice.first, record) == 0]
    if equal and choice.best not in equal:
        of_equal = best_of(group, selection, figures.median_s, largest=False, among=equal)
        assert of_equal is not None
        if of_equal.is_no_better:
            said.append(prose.say("summary_equal_none", first=first))
        else:
            key = "summary_equal_tied" if of_equal.ties else "summary_equal"
            said.append(prose.say(key, **_of_row(of_equal, view)))
    return said


def _of_row(choice: Choice, view: _View) -> dict[str, str]:
    """What is said of the best row."""
    prose, price = view.prose, view.price
    record = choice.best
    differing = figures.answers_differing(choice.first, record)
    first = view.named(choice.first, choice.group)
    if differing is None:
        answers = prose.say("summary_answers_unknown")
    else:
        answers = prose.say("summary_answers", percent=prose.number(formats.percent(1 - differing)), first=first)
    seconds = seconds_of_thousand(record)
    cost = prose.say("summary_cost", seconds=prose.number(formats.significant(seconds, 3)))
    if price is not None and seconds is not None:
        money = prose.number(formats.significant(price * seconds / HOUR_S, 2))
        cost = prose.say("summary_cost_money", cost=cost, money=money)
    share = (figures.median_s(record) or 0) / (figures.median_s(choice.first) or 1)
    return {
        "best": view.named(record, choice.group),
        "ties": view.all_of(choice),
        "latency": _seconds(record, prose),
        "percent": prose.number(formats.percent(share)),
        "first": first,
        "answers": answers,
        "cost": cost,
    }


def _no_energy(selection: Selection, prose: Prose) -> list[str]:
    """Why there is none, where no case has any."""
    cases = [record for record in selection.cases() if record.status == Status.OK]
    if not cases or any(figures.energy_j(record, prose).value is not None for record in cases):
        return []
    reasons = dict.fromkeys(figures.energy_j(record, prose).reason for record in cases)
    return [prose.say("summary_no_energy", reason=sentence("; ".join(reasons)))]


def _energy(view: _View) -> list[str]:
    """The row that takes the least energy."""
    prose, selection = view.prose, view.selection
    said = []
    for group in selection.groups(SWEEPS["optimization"]):
        known = {record.case.optimization: _joules(record, prose) for record in group.records}
        first, rows = group.records[0], [record for record in group.records if known[record.case.optimization]]
        if first not in rows or len(rows) < 2:
            continue
        best = min(rows, key=lambda record: known[record.case.optimization] or 0.0)
        ties = [other for other in rows if other is not best and not _is_told(best, other, prose)]
        names = ", ".join(view.named(other, group) for other in ties)
        if best is first or first in ties:
            said.append(prose.say("summary_energy_none", first=view.named(first, group)))
            continue
        joules, of_first = known[best.case.optimization] or 0.0, known[first.case.optimization] or 1.0
        said.append(
            prose.say(
                "summary_energy",
                where=view.where(group),
                best=view.named(best, group),
                joules=prose.number(formats.significant(joules, 3)),
                percent=prose.number(formats.percent(joules / of_first)),
                first=view.named(first, group),
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
                said.append(f"{dataset_label(dataset)} {name} {_score(record, name, prose)}")
                break
    return [prose.say("summary_quality", scores="; ".join(said))] if said else []


def _score(record: Record, name: str, prose: Prose) -> str:
    metric = record.quality[name]
    is_percent = name.endswith("accuracy")
    show = formats.percent if is_percent else formats.quality
    found = interval_of(name, metric)
    low_high = [prose.number(show(end)) for end in found.ends] if found is not None else []
    bounds = f" [{', '.join(low_high)}]" if low_high else ""
    return f"{prose.number(show(metric.value))}{' %' if is_percent else ''}{bounds} ({len(metric.per_sample)})"


def _seconds(record: Record, prose: Prose) -> str:
    return prose.say("seconds_value", value=prose.number(formats.latency(figures.latency_s(record, prose).value)))


def _joules(record: Record, prose: Prose) -> float | None:
    return figures.energy_j(record, prose).value
