"""What pytest tells of a failed case: the message of an exception and captured logs may have credentials in them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from blip_fixtures.privacy import without_credentials

if TYPE_CHECKING:
    import pytest

# pytest's parts of a traceback, as `ExceptionInfo.getrepr` makes them, are dataclasses that may be changed.
_DEEPEST = 32


def hide_credentials(report: pytest.TestReport) -> None:
    """Take credentials out of a report, whoever shows it: the terminal, JUnit's file, another plugin."""
    report.sections = [(name, without_credentials(text)) for name, text in report.sections]
    if isinstance(report.longrepr, str):
        report.longrepr = without_credentials(report.longrepr)
    elif report.longrepr is not None and not isinstance(report.longrepr, tuple):
        _hide(report.longrepr, _DEEPEST)


def _hide(value: Any, depth: int) -> Any:
    """The text without credentials; what holds texts is changed where it stands."""
    if isinstance(value, str):
        return without_credentials(value)
    if depth == 0 or value is None:
        return value
    if isinstance(value, list):
        value[:] = [_hide(item, depth - 1) for item in value]
    elif isinstance(value, tuple):
        return tuple(_hide(item, depth - 1) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            setattr(value, field.name, _hide(getattr(value, field.name), depth - 1))
    return value
