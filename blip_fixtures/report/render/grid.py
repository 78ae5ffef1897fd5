"""Markdown tables whose columns are as wide as their widest cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

if TYPE_CHECKING:
    from blip_fixtures.report.blocks import Table

_RULE = Line("|", "-", "|", "|")
_ROW = DataRow("|", "|", "|")
# tabulate widens every real header by two blanks. So the headers go in as a first row above a separating line,
# under a format that is tabulate's "github" without the rule above headerless tables.
_FORMAT = TableFormat(
    lineabove=None,
    linebelowheader=_RULE,
    linebetweenrows=None,
    linebelow=None,
    headerrow=_ROW,
    datarow=_ROW,
    padding=1,
    with_header_hide=None,
)


def grid(table: Table) -> str:
    """A GitHub table. Trailing blanks of a head widen its column."""
    rows = [[_cell(cell.text) for cell in row] for row in table.rows]
    lines = [[_cell(head.text) for head in table.heads], SEPARATING_LINE, *rows]
    return str(tabulate(lines, tablefmt=_FORMAT, disable_numparse=True, preserve_whitespace=True, stralign="left"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
