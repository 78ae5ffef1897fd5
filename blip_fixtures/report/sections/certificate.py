"""Published scores of the checkpoint beside those of the run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.case import checkpoint_name
from blip_fixtures.quality.certificate import MARGINS, certify
from blip_fixtures.quality.certify import ours_text, published_text, verdict_text
from blip_fixtures.report.blocks import Cell, Head, Notes, Paragraph, Table
from blip_fixtures.report.footnotes import Layout, Remark, gather, notes, sentence
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.sections.cases import case_names, cases_that_ran
from blip_fixtures.report.sections.section import Section
from blip_fixtures.words import Certified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.quality.certificate import Row
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.sections.cases import CaseNames
    from blip_fixtures.report.selection import Selection


def _body(selection: Selection, prose: Prose) -> list[Block]:
    cases = cases_that_ran(selection)
    rows = certify(cases)
    shown = [row for row in rows if row.score is not None and row.is_comparable]
    blocks: list[Block] = []
    if shown:
        names = case_names([row.record for row in shown], selection)
        remarks = [
            Remark(names.label(row.record), row.score.metric, prose.say_reason(reason))
            for row in shown
            if row.score is not None
            for reason in (*row.reasons, *row.notes)
        ]
        footnotes = names.gathered(remarks, [row.record for row in shown], prose)
        blocks += [
            Paragraph(prose.say("certificate_intro", rule=_rule(prose))),
            *names.same_in_every_row(prose),
            _table(shown, names),
            *notes([*footnotes, *_sources(shown, prose)], prose),
        ]
    return [*blocks, *_others(rows, selection, prose)]


CERTIFICATE = Section("Certificate", _body)


def _rule(prose: Prose) -> str:
    points = {name: f"{100 * margin:g}" for name, margin in MARGINS.items()}
    return prose.say("certificate_rule", shares=prose.number(points["accuracy"]), cider=prose.number(points["cider"]))


def _table(rows: Sequence[Row], names: CaseNames) -> Table:
    heads = (*names.heads, *map(Head, ("metric", "published", "ours", "samples", "verdict")))
    return Table(heads, tuple((*names.cells(row.record), *_cells(row)) for row in rows))


def _cells(row: Row) -> list[Cell]:
    metric = formats.MISSING if row.score is None else row.score.metric
    return [
        Cell(metric),
        Cell(published_text(row), None if row.score is None else row.score.value),
        Cell(ours_text(row), row.value),
        Cell(formats.word(row.samples), row.samples),
        Cell(verdict_text(row)),
    ]


def _sources(rows: Sequence[Row], prose: Prose) -> list[str]:
    """Where each score of the table was published."""
    scores = dict.fromkeys(row.score for row in rows if row.score is not None)
    return [
        sentence(
            prose.say(
                "certificate_source",
                dataset=dataset_label(score.dataset),
                metric=score.metric,
                score=prose.number(score.show(score.value)),
                sources="; ".join(f"{source.text} ({source.url})" for source in score.sources),
            )
        )
        for score in scores
    ]


def _others(rows: Sequence[Row], selection: Selection, prose: Prose) -> list[Block]:
    """The reasons why there is no verdict, and a sentence on the datasets without a score."""
    blocks: list[Block] = []
    refused = [row for row in rows if row.verdict == Certified.NO_VERDICT and not row.is_comparable]
    if refused:
        blocks.append(Notes(prose.say("certificate_no_verdict"), _why_not(rows, refused, selection, prose)))
    unscored = [row.record.case for row in rows if row.verdict == Certified.NO_PUBLISHED_SCORE]
    if unscored:
        datasets = ", ".join(dataset_label(case.dataset) for case in unscored)
        name = checkpoint_name(unscored[0].model)
        blocks.append(Paragraph(prose.say("certificate_no_score", name=name, datasets=datasets)))
    return blocks


def _why_not(rows: Sequence[Row], refused: Sequence[Row], selection: Selection, prose: Prose) -> tuple[str, ...]:
    """A line for each reason; one that holds for every case of a score names the score alone."""
    records = [row.record for row in refused]
    names = case_names(records, selection)
    cases_of = Counter(row.score for row in rows)
    concerned = Counter((row.score, reason) for row in refused for reason in dict.fromkeys(map(str, row.reasons)))
    remarks = []
    for row in refused:
        assert row.score is not None
        for reason in row.reasons:
            is_of_all = concerned[row.score, str(reason)] == cases_of[row.score]
            label = dataset_label(row.score.dataset) if is_of_all else names.label(row.record)
            remarks.append(Remark(label, row.score.metric, prose.say_reason(reason)))
    return gather(remarks, Layout(tuple(names.label(record) for record in records)), prose)
