"""What a bad input is: a command as a person types it, and the folder in which it is typed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
# What a file of the folder holds, or what makes it there.
Content = str | bytes | Callable[[Path], object]
# Of a stored run that compares and of `gate`, and of the commands that only read.
_EXIT_OF_PYTEST = _EXIT_OF_GATE = 4
_EXIT_OF_OTHERS = 2
_GATE = "blip_fixtures.gate"
_BENCHMARK = """\
import pytest


@pytest.mark.parametrize("batch_size", [1])
def test_batch_size(measure):
    measure()
"""
# What every run has: the suite's operating point, one case, and settings of nobody above the folder.
_OF_A_RUN: Mapping[str, Content] = {
    "conftest.py": (ROOT / "conftest.py").read_text(encoding="utf-8"),
    "test_it.py": _BENCHMARK,
    "pytest.ini": "[pytest]\n",
}


@dataclass(frozen=True)
class Input:
    """`command` is split as a shell does it; `where` says in words what is wrong in the folder, whose files follow."""

    group: str
    command: str
    where: str = ""
    files: Mapping[str, Content] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The command's words."""
        return shlex.split(self.command)

    @property
    def is_run(self) -> bool:
        """Whether pytest is what is called."""
        return self.words[0] == "pytest"

    @property
    def module(self) -> str:
        """What `python -m` is told to run."""
        return self.words[2]

    @property
    def exit_code(self) -> int:
        """The documented one."""
        if self.is_run:
            return _EXIT_OF_PYTEST
        return _EXIT_OF_GATE if self.module == _GATE else _EXIT_OF_OTHERS

    def make(self, folder: Path) -> None:
        """Put the files there."""
        for name, content in {**(_OF_A_RUN if self.is_run else {}), **self.files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content(path)
