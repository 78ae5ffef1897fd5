"""What a run prints at its end: the document's tables, what energy lacks, where the files lie, the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.report.footnotes import Footnote, sentence
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.render.terminal import terminal_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from blip_fixtures.meters import MeterError
    from blip_fixtures.pytest_plugin.run import Run


def print_summary(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Nothing where no case came to an end."""
    if not run.records:
        return
    terminal.section(foreign.terminal(f"Benchmarks of {run.files.folder.name}"))
    absent = _without_energy(run.bench.absent_meters())
    for line in terminal_lines([*run.records.values(), *run.further.records], further=absent):
        terminal.write_line(line)
    for line in run.unwritten:
        terminal.write_line(foreign.terminal(f"error: {line}"))
    terminal.write_line("")
    terminal.write_line(foreign.terminal(f"The document: {(run.files.folder / 'README.md').resolve()}"))
    page = run.files.folder / "index.html"
    if page.exists():
        terminal.write_line(foreign.terminal(f"As one page with charts: {page.resolve()}"))
    if run.gate is not None:
        terminal.section("gate")
        run.gate.report(run.files.folder, terminal.write_line)


def _without_energy(errors: Mapping[str, MeterError]) -> list[Footnote]:
    """The domains without a meter, those with one reason together, in the words of the tables' notes."""
    prose = load_prose("en")
    names: dict[str, list[str]] = {}
    for name, error in errors.items():
        said = foreign.terminal(f"{prose.energy_status(error.status)}; {prose.say_reason(error.reason)}")
        names.setdefault(sentence(said), []).append(foreign.terminal(name))
    return [Footnote.of("remark", f"No energy of {', '.join(alike)}", said, prose) for said, alike in names.items()]
