"""The document: head, the sweeps' tables with what stands below them, further sections, plots."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blip_fixtures.case import checkpoint_name
from blip_fixtures.report.head import head
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.render import markdown
from blip_fixtures.report.sections import SECTIONS
from blip_fixtures.report.selection import Selection, select
from blip_fixtures.report.sweep_blocks import sweep_blocks
from blip_fixtures.report.sweeps import SWEEPS, sweeps_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block


class ReportError(ValueError):
    """The records do not make one document; the message says why and what to do."""


def write_document(records: Sequence[Record], out: Path, *, lang: str = "en", command: str | None = None) -> Path:
    """Writes ``out/README.md`` and ``out/plots/*.png`` and returns the path of the former.

    `command` replaces the commands that the records name under "How to reproduce". Everything is rendered before the
    first file is touched, and each file is replaced in one step. Raises `ReportError` when the records belong to
    different checkpoints, `OSError` when `out` cannot be written.
    """
    selection = select(records, command=command)
    text = markdown.text(document(selection, load_prose(lang)))
    images = draw_plots(selection)
    plots = out / "plots"
    out.mkdir(parents=True, exist_ok=True)
    if images:
        plots.mkdir(exist_ok=True)
    for name in [sweep.plot.file for sweep in SWEEPS.values() if sweep.plot is not None]:
        if name in images:
            _replace(plots / name, images[name])
        else:
            (plots / name).unlink(missing_ok=True)
    readme = out / "README.md"
    _replace(readme, text.encode())
    return readme


def document(selection: Selection, prose: Prose) -> list[Block]:
    """All blocks in their order. Raises `ReportError` when the records belong to different checkpoints."""
    check_one_checkpoint(selection.records)
    blocks = head(selection.records, prose)
    for sweep in sweeps_of(selection.records):
        blocks += sweep_blocks(sweep, selection, prose)
    for section in SECTIONS:
        blocks += section.blocks(selection, prose)
    return blocks


def check_one_checkpoint(records: Sequence[Record]) -> None:
    """Raises `ReportError` unless all records are of one checkpoint with one kind of weights.

    The part of the name behind the last ``/`` decides: the same checkpoint is a hub id here and a folder there.
    """
    if not records:
        raise ReportError("there are no records to render; give a file that `pytest benchmarks` wrote")
    names = sorted({checkpoint_name(record.case.model) for record in records})
    if len(names) > 1:
        raise ReportError(
            f"the records belong to different checkpoints ({', '.join(names)}); a document describes one, render each "
            "into a folder of its own"
        )
    weights = sorted({record.case.weights for record in records})
    if len(weights) > 1:
        raise ReportError(
            f"the records of {names[0]} mix weights ({', '.join(weights)}); a document describes one kind, render each "
            "into a folder of its own"
        )


def _replace(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
