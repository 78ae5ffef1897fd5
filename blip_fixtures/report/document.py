"""The document: head, the sweeps' tables with what stands below them, further sections, plots."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.case import checkpoint_name
from blip_fixtures.report.appendix import proof_blocks, spread_blocks
from blip_fixtures.report.blocks import Details, Paragraph, Picture
from blip_fixtures.report.course import Course, course_blocks
from blip_fixtures.report.footnotes import once_each
from blip_fixtures.report.head import head, parts
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.prose import Prose, load_prose
from blip_fixtures.report.render import markdown
from blip_fixtures.report.sections import SECTIONS
from blip_fixtures.report.selection import Selection, select
from blip_fixtures.report.summary import summary
from blip_fixtures.report.sweep_blocks import sweep_blocks
from blip_fixtures.report.sweeps import SWEEPS, sweeps_of
from blip_fixtures.whole_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block


class ReportError(ValueError):
    """The records do not make one document; the message says why and what to do."""


@dataclass(frozen=True)
class Written:
    """The document's path, and in one line why plots are missing, where one could not be drawn."""

    readme: Path
    without_plots: str | None = None


def write_document(
    records: Sequence[Record],
    out: Path,
    *,
    lang: str = "en",
    command: str | None = None,
    courses: Sequence[Course] = (),
    price: float | None = None,
) -> Written:
    """Writes ``out/README.md`` and ``out/plots/*.png``.

    `command` replaces the commands that the records name under "How to reproduce"; `courses` say how the runs that the
    records are of came to their ends; `price` is that of an hour of the machine. Everything is rendered before the
    first file is touched, and each file is replaced in one step. Where a plot cannot be drawn, the tables are written
    all the same. Raises `ReportError` when the records belong to different checkpoints, `OSError` when `out` cannot be
    written.
    """
    check_one_checkpoint(records)
    prose = load_prose(lang)
    drawn = draw_plots(select(records, foreign.plot), prose)
    blocks = document(select(records, foreign.markdown, command=command), prose, courses, price=price)
    text = markdown.text(_with_failures(blocks, drawn.failures, prose))
    _write_plots(drawn.images, out / "plots")
    readme = out / "README.md"
    replace_file(readme, text.encode())
    return Written(readme, "; ".join(dict.fromkeys(drawn.failures.values())) or None)


def _with_failures(blocks: Sequence[Block], failures: Mapping[str, str], prose: Prose) -> list[Block]:
    """With a sentence in the place of a picture that could not be drawn."""
    return [
        Paragraph(prose.say("no_plot", title=block.title, why=foreign.markdown(failures[name])))
        if isinstance(block, Picture) and (name := block.path.rpartition("/")[2]) in failures
        else block
        for block in blocks
    ]


def _write_plots(images: Mapping[str, bytes], folder: Path) -> None:
    """Those of sweeps without figures are removed: they are of an earlier run. Raises `OSError`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "its plots are a symbolic link, and would be written elsewhere")
    if images:
        folder.mkdir(exist_ok=True)
    for name in [sweep.plot.file for sweep in SWEEPS.values() if sweep.plot is not None]:
        if name in images:
            replace_file(folder / name, images[name])
        else:
            (folder / name).unlink(missing_ok=True)


def document(
    selection: Selection, prose: Prose, courses: Sequence[Course] = (), *, price: float | None = None
) -> list[Block]:
    """All blocks in their order. `price` is that of an hour of the machine."""
    blocks = [*head(selection.records, prose), *course_blocks(courses, prose), *summary(selection, prose, price)]
    for sweep in sweeps_of(selection.records):
        blocks += sweep_blocks(sweep, selection, prose, price)
    further = [*spread_blocks(selection, prose), *proof_blocks(selection, prose)]
    for section in SECTIONS:
        further += section.blocks(selection, prose)
    return once_each([*blocks, Details(prose.say("appendix"), (*parts(selection.records, prose), *further))], prose)


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
