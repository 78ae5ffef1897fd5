"""pytest-benchmark's own tables, wider than a terminal: who asked for them sees them, others this suite's alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# What says how the tables look, or hangs on their being shown.
_ASKING = (
    "--benchmark-verbose",
    "--benchmark-columns",
    "--benchmark-group-by",
    "--benchmark-sort",
    "--benchmark-name",
    "--benchmark-histogram",
    "--benchmark-cprofile",
)
# Beside the long names of the tests a comparison has room for no more.
_COMPARED = ("median", "rounds")
_ASKED_FOR: pytest.StashKey[bool] = pytest.StashKey()


def note_arguments(config: pytest.Config, args: Iterable[str]) -> None:
    """Remember whether the tables were asked for: a value that is the default's looks the same later.

    `args` are those of the command line and of the ini file's `addopts`.
    """
    named = {str(argument).partition("=")[0] for argument in args}
    config.stash[_ASKED_FOR] = any(name.startswith(_ASKING) for name in named)


def trim_tables(config: pytest.Config, own: Collection[str], *, is_judged: bool) -> None:
    """Let pytest-benchmark show no table of the tests `own`, by their ids, unless it was asked for.

    A comparison with a stored run shows few columns where the suite's gate says nothing of it (`is_judged`). What
    pytest-benchmark says of files, and its own limits, stay.
    """
    # It has no public way to show fewer tables: --benchmark-quiet also hides what it says of saving and comparing, and
    # without groups it does not check --benchmark-compare-fail.
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.groups or config.stash.get(_ASKED_FOR, False):
        return
    if session.compared_mapping and not is_judged:
        session.columns = [column for column in session.columns if column in _COMPARED]
        return
    others = [
        (name, left)
        for name, benches in session.groups
        if (left := [bench for bench in benches if bench["fullname"] not in own])
    ]
    if others:
        session.groups = others
    else:
        session.quiet = True
