"""What a run prints at its end: the document's tables, what energy lacks, where the files lie, the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import foreign
from blip_fixtures.report.render.terminal import terminal_lines

if TYPE_CHECKING:
    import pytest

    from blip_fixtures.pytest_plugin.run import Run


def print_summary(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Nothing where no case came to an end."""
    if not run.records:
        return
    terminal.section(foreign.terminal(f"Benchmarks of {run.files.folder.name}"))
    for line in terminal_lines([*run.records.values(), *run.further.records]):
        terminal.write_line(line)
    for name, error in run.bench.absent_meters().items():
        terminal.write_line(foreign.terminal(f"No energy of {name}: {error.reason} ({error.status})"))
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
