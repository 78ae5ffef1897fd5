"""The head of the document: which checkpoint, its parts, and one line on what was run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blip_fixtures.case import checkpoint_name
from blip_fixtures.report.blocks import Bullets, Heading, Paragraph
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.report.machine import dates_text, distinct_machines, machine_name, versions_text
from blip_fixtures.words import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose

DATA_SOURCES = ("sample", "hub")
HEAD_VERSIONS = ("torch", "transformers", "pytest-blip")


def head(records: Sequence[Record], prose: Prose) -> list[Block]:
    """Everything above the first sweep, of records of one checkpoint."""
    models = list(dict.fromkeys(record.case.model for record in records))
    is_hub_id = re.fullmatch(r"\w[\w.-]*/[\w.-]+", models[0]) is not None
    blocks: list[Block] = [Heading(models[0] if is_hub_id else checkpoint_name(models[0]), level=1)]
    if records[0].case.weights == Weights.RANDOM:
        blocks.append(Paragraph(prose.say("synthetic_weights")))
    description, _ = prose.checkpoint(checkpoint_name(models[0]))
    blocks.append(Paragraph(description))
    if len(models) > 1:
        blocks.append(Paragraph(prose.say("merged_models", models=", ".join(models))))
    return [*blocks, Paragraph(f"{_run_line(records, prose)} {prose.say('units')}")]


def parts(records: Sequence[Record], prose: Prose) -> list[Block]:
    """The parts of the checkpoint, a line each; nothing where they are not known."""
    _, found = prose.checkpoint(checkpoint_name(records[0].case.model))
    return [Heading("Parts"), Bullets(found)] if found else []


def _run_line(records: Sequence[Record], prose: Prose) -> str:
    """One line on what was run: weights, data, machine, date, versions."""
    unknown = prose.say("unknown")
    environments = [record.environment for record in records]
    machines = list(dict.fromkeys(machine_name(alike) for alike in distinct_machines(records)))
    versions = [
        {"versions": {name: (environment.get("versions") or {}).get(name) for name in HEAD_VERSIONS}}
        for environment in environments
    ]
    return prose.say(
        "run_line",
        weights=prose.say(f"weights_{records[0].case.weights}"),
        data=_data_text(records, prose) or unknown,
        machine=f" {prose.say('and')} ".join(name for name in machines if name) or unknown,
        date=dates_text(environments, prose) or unknown,
        versions=versions_text(versions) or unknown,
    )


def _data_text(records: Sequence[Record], prose: Prose) -> str:
    """The sources, each with the samples of its datasets (the most that a case could use), splits and revisions."""
    sources: dict[str, dict[tuple[str, str | None], int]] = {}
    for record in records:
        data = record.data
        if data is not None:
            key = f"data_{data.source}" if data.source in DATA_SOURCES else "data_folder"
            samples = sources.setdefault(prose.say(key, source=data.source), {})
            label = dataset_label(record.case.dataset)
            dataset = (label if data.split is None else f"{label} {data.split}", data.revision)
            samples[dataset] = max(samples.get(dataset, 0), data.samples or 0)
    parts = []
    for source, samples in sources.items():
        counts = [
            f"{count} {dataset}" + (f" [{revision[:12]}]" if revision else "")
            for (dataset, revision), count in sorted(samples.items(), key=str)
            if count
        ]
        parts.append(prose.say("data_samples", source=source, counts=", ".join(counts)) if counts else source)
    return f" {prose.say('and')} ".join(parts)
