"""Every meter domain of every case, or the reasons why there is no number at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report import figures
from blip_fixtures.report.blocks import Cell, Head, Paragraph, Table
from blip_fixtures.report.footnotes import Layout, Remark, gather, notes, sentence
from blip_fixtures.report.sections.by_card import energy_by_card
from blip_fixtures.report.sections.cases import case_names, cases_that_ran, reasons_of
from blip_fixtures.report.sections.section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Energy, Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection
    from blip_fixtures.words import Domain

# Field of a meter domain -> column. The error bound is of the whole window; its column is per sample, as the gross is.
_HEADS = {
    "joules_per_sample": Head("gross (J/sample)", "J"),
    "net_joules_per_sample": Head("net (J/sample)", "J"),
    "joules_per_token": Head("J/token", "J"),
    "error_bound_j": Head("error bound (J/sample)", "J"),
    "idle_watts": Head("idle (W)", "W"),
    "window_s": Head("window (s)", "s"),
}


def _body(selection: Selection, prose: Prose) -> list[Block]:
    entries = [
        (record, domain, entry) for record in cases_that_ran(selection) for domain, entry in record.energy.items()
    ]
    if not any(formats.is_known(entry.joules_per_sample) for _, _, entry in entries):
        return [Paragraph(prose.say("energy_none", reasons=_reasons(entries, selection, prose)))]
    names = case_names([record for record, _, _ in entries], selection)
    remarks: list[Remark] = []
    for record, domain, entry in entries:
        remarks += _remarks(f"{names.label(record)} {domain}", record, domain, entry, prose)
    heads = (*names.heads, Head("domain"), *_HEADS.values(), Head("status"), Head("source"), Head("scope"))
    rows = tuple((*names.cells(record), Cell(domain), *_cells(entry)) for record, domain, entry in entries)
    labels = tuple(f"{names.label(record)} {domain}" for record, domain, _ in entries)
    return [
        Paragraph(prose.say("energy_intro")),
        *names.same_in_every_row(prose),
        Table(heads, rows),
        *energy_by_card(cases_that_ran(selection), selection, prose),
        *notes(gather(remarks, Layout(labels), prose), prose),
    ]


ENERGY = Section("Energy", _body)


def _reasons(entries: Sequence[tuple[Record, Domain, Energy]], selection: Selection, prose: Prose) -> str:
    """The distinct reasons, each after the domains it holds for."""
    domains_of: dict[str, list[str]] = {}
    for _, domain, entry in entries:
        domains = domains_of.setdefault(figures.energy_remark(entry, prose), [])
        if domain not in domains:
            domains.append(domain)
    said = [f"{', '.join(domains)}: {sentence(text)}" for text, domains in domains_of.items() if text]
    return " ".join(said) or reasons_of(selection, "energy", prose)


def _remarks(label: str, record: Record, domain: Domain, entry: Energy, prose: Prose) -> list[Remark]:
    """What the domain says about itself, and why single fields are null where it says nothing."""
    said = figures.energy_remark(entry, prose)
    remarks = [Remark(label, "", said)] if said else []
    if not formats.is_known(entry.joules_per_sample):
        return remarks or [Remark(label, "", figures.why_missing(record, f"energy.{domain}", prose), is_gap=True)]
    for field, head in _HEADS.items():
        if getattr(entry, field) is None:
            reason = figures.why_missing(record, f"energy.{domain}.{field}", prose)
            remarks.append(Remark(label, head.text, reason, is_gap=True))
    return remarks


def _cells(entry: Energy) -> list[Cell]:
    bound_j = figures.bound_per_sample_j(entry)
    return [
        Cell(formats.energy(entry.joules_per_sample), entry.joules_per_sample),
        Cell(formats.energy(entry.net_joules_per_sample), entry.net_joules_per_sample),
        Cell(formats.significant(entry.joules_per_token, 3), entry.joules_per_token),
        Cell(formats.significant(bound_j, 2), bound_j),
        Cell(formats.fixed(entry.idle_watts, 1), entry.idle_watts),
        Cell(formats.fixed(entry.window_s, 1), entry.window_s),
        *map(Cell, (entry.status, formats.word(entry.source), formats.word(entry.scope))),
    ]
