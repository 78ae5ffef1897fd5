"""Markdown tables whose columns are as wide as their widest cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table. Trailing blanks of a header widen its column."""
    table = [[_cell(text) for text in headers], SEPARATING_LINE, *([_cell(text) for text in row] for row in rows)]
    return str(tabulate(table, tablefmt=_FORMAT, disable_numparse=True, preserve_whitespace=True, stralign="left"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
