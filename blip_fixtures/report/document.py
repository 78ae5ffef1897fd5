"""The document: head, the five tables with what stands below them, further sections, plots."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from blip_fixtures.case import checkpoint_name
from blip_fixtures.report.energy import energy_section
from blip_fixtures.report.labels import DATASET_LABELS, SWEEP_TITLES, optimization_label, sweep_title
from blip_fixtures.report.localize import localized
from blip_fixtures.report.machine import (
    commands,
    dates_text,
    distinct_machines,
    environment_section,
    machine_name,
    versions_text,
)
from blip_fixtures.report.plots import PLOT_FILES, PLOT_TITLES, draw_plots, has_plot
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.sections import field_section, notes, quality_section
from blip_fixtures.report.selection import Group, Selection, select
from blip_fixtures.report.tables import SweepTable, group_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Record

DATA_SOURCES = ("sample", "hub")
HEAD_VERSIONS = ("torch", "transformers", "pytest-blip")


class ReportError(ValueError):
    """The records do not make one document; the message says why and what to do."""


def write_document(records: Sequence[Record], out: Path, *, lang: str = "en", command: str | None = None) -> Path:
    """Writes ``out/README.md`` and ``out/plots/*.png`` and returns the path of the former.

    `command` replaces the commands that the records name under "How to reproduce". Everything is rendered before the
    first file is touched, and each file is replaced in one step. Raises `ReportError` when the records belong to
    different checkpoints, `OSError` when `out` cannot be written.
    """
    prose = load_prose(lang)
    selection = select(localized(records, prose))
    text = render(selection, prose, command=command)
    images = draw_plots(selection)
    plots = out / "plots"
    out.mkdir(parents=True, exist_ok=True)
    if images:
        plots.mkdir(exist_ok=True)
    for name in PLOT_FILES.values():
        if name in images:
            _replace(plots / name, images[name])
        else:
            (plots / name).unlink(missing_ok=True)
    readme = out / "README.md"
    _replace(readme, text.encode())
    return readme


def _replace(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def render(selection: Selection, prose: Prose, *, command: str | None = None) -> str:
    """The document's Markdown."""
    check_one_checkpoint(selection.records)
    blocks = _head(selection.records, prose)
    for sweep in (*SWEEP_TITLES, *selection.own_sweeps()):
        blocks += _sweep(sweep, selection, prose)
    blocks += quality_section(selection, prose)
    for field in ("tokens", "flops", "memory", "phases", "limit"):
        blocks += field_section(field, selection, prose)
    blocks += energy_section(selection, prose)
    blocks += environment_section(selection.records, prose)
    blocks += _reproduce(selection.records, prose, command)
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def check_one_checkpoint(records: Sequence[Record]) -> None:
    """Raises `ReportError` unless all records are of one checkpoint with one kind of weights.

    The part of the name behind the last ``/`` decides: the same checkpoint is a hub id here and a folder there.
    """
    if not records:
        raise ReportError("there are no records to render; give a file that `pytest benchmarks` wrote")
    names = sorted({_checkpoint_name(record) for record in records})
    if len(names) > 1:
        raise ReportError(
            f"the records belong to different checkpoints ({', '.join(names)}); a document describes one, render each "
            "into a folder of its own"
        )
    weights = sorted({record["case"]["weights"] for record in records})
    if len(weights) > 1:
        raise ReportError(
            f"the records of {names[0]} mix weights ({', '.join(weights)}); a document describes one kind, render each "
            "into a folder of its own"
        )


def _checkpoint_name(record: Record) -> str:
    return checkpoint_name(record["case"]["model"])


def _head(records: Sequence[Record], prose: Prose) -> list[str]:
    models = list(dict.fromkeys(record["case"]["model"] for record in records))
    is_hub_id = re.fullmatch(r"\w[\w.-]*/[\w.-]+", models[0]) is not None
    blocks = [f"# {models[0] if is_hub_id else checkpoint_name(models[0])}"]
    if records[0]["case"]["weights"] == "random":
        blocks.append(prose.say("synthetic_weights"))
    blocks.append(prose.checkpoint(_checkpoint_name(records[0])))
    if len(models) > 1:
        blocks.append(prose.say("merged_models", models=", ".join(models)))
    blocks.append(run_line(records, prose))
    return blocks


def run_line(records: Sequence[Record], prose: Prose) -> str:
    """One line on what was run: weights, data, machine, date, versions."""
    unknown = prose.say("unknown")
    environments = [record["environment"] for record in records]
    machines = list(dict.fromkeys(machine_name(alike) for alike in distinct_machines(records)))
    versions = [
        {"versions": {name: (environment.get("versions") or {}).get(name) for name in HEAD_VERSIONS}}
        for environment in environments
    ]
    return prose.say(
        "run_line",
        weights=prose.say(f"weights_{records[0]['case']['weights']}"),
        data=_data_text(records, prose) or unknown,
        machine=f" {prose.say('and')} ".join(name for name in machines if name) or unknown,
        date=dates_text(environments, prose) or unknown,
        versions=versions_text(versions) or unknown,
    )


def _data_text(records: Sequence[Record], prose: Prose) -> str:
    """The sources, each with the samples of its datasets (the most that a case could use) and their revisions."""
    sources: dict[str, dict[tuple[str, str | None], int]] = {}
    for record in records:
        data = record["data"]
        if data is not None:
            key = f"data_{data['source']}" if data["source"] in DATA_SOURCES else "data_folder"
            samples = sources.setdefault(prose.say(key, source=data["source"]), {})
            dataset = (DATASET_LABELS[record["case"]["dataset"]], data["revision"])
            samples[dataset] = max(samples.get(dataset, 0), data["samples"] or 0)
    parts = []
    for source, samples in sources.items():
        counts = [
            f"{count} {dataset}" + (f" [{revision[:12]}]" if revision else "")
            for (dataset, revision), count in sorted(samples.items(), key=str)
            if count
        ]
        parts.append(prose.say("data_samples", source=source, counts=", ".join(counts)) if counts else source)
    return f" {prose.say('and')} ".join(parts)


def _sweep(sweep: str, selection: Selection, prose: Prose) -> list[str]:
    groups = selection.groups(sweep)
    blocks = [f"## {sweep_title(sweep)}"]
    if not groups:
        return [*blocks, prose.say("sweep_not_run", command=f"pytest benchmarks -k test_{sweep}")]
    if sweep not in SWEEP_TITLES:
        blocks.append(prose.say("own_sweep_intro"))
    for group in groups:
        blocks += _table_blocks(group_table(group, selection, prose), prose)
        blocks += _proof(group, prose)
    if has_plot(groups):
        blocks.append(f"![{PLOT_TITLES[sweep]}](plots/{PLOT_FILES[sweep]})")
    return blocks


def _table_blocks(table: SweepTable, prose: Prose) -> list[str]:
    blocks = ["\n".join(table.held)] if table.held else []
    if table.spread:
        return [*blocks, table.markdown, *notes(table.footnotes, prose), prose.say("spread_title"), table.spread]
    return [*blocks, table.markdown, *notes([*table.footnotes, prose.say("no_spread")], prose)]


def _proof(group: Group, prose: Prose) -> list[str]:
    """What the records say to prove that their optimization took effect; under the optimization table only."""
    if group.sweep != "optimization":
        return []
    lines = [
        f"- {optimization_label(record['case']['optimization'])}: {_applied_text(record['applied'])}"
        for record in group.records
        if record["applied"]
    ]
    return [f"{prose.say('proof_title')}\n\n" + "\n".join(lines)] if lines else []


def _applied_text(applied: Mapping[str, object]) -> str:
    """``graphs: 12; parameters by dtype: float16 2342528, float32 301056``."""
    return "; ".join(f"{name.replace('_', ' ')}: {_fact(value)}" for name, value in applied.items())


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} ({_fact(inner)})" if isinstance(inner, dict) else f"{key} {_fact(inner)}"
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_fact, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _reproduce(records: Sequence[Record], prose: Prose, command: str | None) -> list[str]:
    measured = [command] if command else commands(records)
    blocks = ["## How to reproduce"]
    if measured:
        blocks += [prose.say("reproduce_measure"), _code(measured)]
    else:
        blocks.append(prose.say("reproduce_unknown"))
    return [*blocks, prose.say("reproduce_render"), _code(["python -m blip_fixtures.report RECORDS... --out DIR"])]


def _code(lines: Sequence[str]) -> str:
    return "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])
