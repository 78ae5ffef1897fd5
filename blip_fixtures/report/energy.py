"""Energy in the document: where each figure was read, and the section with every domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report import figures, formats
from blip_fixtures.report.footnotes import Layout, Remark, gather, sentence
from blip_fixtures.report.grid import grid
from blip_fixtures.report.sections import as_text, case_names, constants, notes, reasons_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Energy, Record
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection

# Field of a meter domain -> column. The error bound is of the whole window; its column is per sample, as the gross is.
ENERGY_FIELDS = {
    "joules_per_sample": "gross (J/sample)",
    "net_joules_per_sample": "net (J/sample)",
    "joules_per_token": "J/token",
    "error_bound_j": "error bound (J/sample)",
    "idle_watts": "idle (W)",
    "window_s": "window (s)",
}


def energy_sources(rows: Sequence[tuple[str, Record]], layout: Layout, prose: Prose) -> list[str]:
    """One footnote for every counter behind a table's energies: its source, its scope, and the largest error bound."""
    labels_of: dict[tuple[str, str], list[str]] = {}
    share_of: dict[tuple[str, str], float] = {}
    for label, record in rows:
        entry = record["energy"].get(figures.energy_domain(record["case"]["device"]) or "")
        if entry is None or entry["joules_per_sample"] is None or entry["source"] is None:
            continue
        counter = (entry["source"], as_text(entry["scope"]))
        labels_of.setdefault(counter, []).append(label)
        if entry["error_bound_j"] is not None and entry["joules"]:
            share_of[counter] = max(share_of.get(counter, 0.0), entry["error_bound_j"] / entry["joules"])
    said = []
    for counter, labels in labels_of.items():
        percent = formats.significant(100 * share_of[counter], 2) if counter in share_of else None
        key = "energy_source" if percent is not None else "energy_source_unbounded"
        source, scope = counter
        said.append(prose.say(key, rows=layout.names(labels, prose), source=source, scope=scope, percent=percent or ""))
    return said


def energy_section(selection: Selection, prose: Prose) -> list[str]:
    """Every meter domain of every case, or the reasons why there is no number at all."""
    entries = [
        (record, domain, entry)
        for record in selection.cases()
        if record["status"] == "ok"
        for domain, entry in record["energy"].items()
    ]
    if not any(formats.is_known(entry["joules_per_sample"]) for _, _, entry in entries):
        return ["## Energy", prose.say("energy_none", reasons=_energy_reasons(entries, selection, prose))]
    names = case_names([record for record, _, _ in entries], selection)
    remarks: list[Remark] = []
    for record, domain, _ in entries:
        remarks += _energy_remarks(f"{names.label(record)} {domain}", record, domain, prose)
    rows = [[*names.cells(record), domain, *_energy_cells(entry)] for record, domain, entry in entries]
    labels = tuple(f"{names.label(record)} {domain}" for record, domain, _ in entries)
    return [
        "## Energy",
        prose.say("energy_intro"),
        *constants(names, prose),
        grid([*names.headers, "domain", *ENERGY_FIELDS.values(), "status", "source", "scope"], rows),
        *notes(gather(remarks, Layout(labels), prose), prose),
    ]


def _energy_reasons(entries: Sequence[tuple[Record, str, Energy]], selection: Selection, prose: Prose) -> str:
    """The distinct reasons, each after the domains it holds for."""
    domains_of: dict[str, list[str]] = {}
    for _, domain, entry in entries:
        domains = domains_of.setdefault(figures.energy_remark(entry, prose), [])
        if domain not in domains:
            domains.append(domain)
    said = [f"{', '.join(domains)}: {sentence(text)}" for text, domains in domains_of.items() if text]
    return " ".join(said) or reasons_of(selection, "energy", prose)


def _energy_remarks(label: str, record: Record, domain: str, prose: Prose) -> list[Remark]:
    """What the domain says about itself, and why single fields are null where it says nothing."""
    entry = record["energy"][domain]
    said = figures.energy_remark(entry, prose)
    remarks = [Remark(label, "", said)] if said else []
    if not formats.is_known(entry["joules_per_sample"]):
        return remarks or [Remark(label, "", figures.why_missing(record, f"energy.{domain}", prose), True)]
    for field, header in ENERGY_FIELDS.items():
        if entry[field] is None:  # type: ignore[literal-required]
            reason = figures.why_missing(record, f"energy.{domain}.{field}", prose)
            remarks.append(Remark(label, header, reason, True))
    return remarks


def _energy_cells(entry: Energy) -> list[str]:
    return [
        formats.energy(entry["joules_per_sample"]),
        formats.energy(entry["net_joules_per_sample"]),
        formats.significant(entry["joules_per_token"], 3),
        formats.significant(figures.bound_per_sample_j(entry), 2),
        formats.fixed(entry["idle_watts"], 1),
        formats.fixed(entry["window_s"], 1),
        entry["status"],
        as_text(entry["source"]),
        as_text(entry["scope"]),
    ]
