"""Progress: the clock, the plain lines, the bar."""

from __future__ import annotations

import re
from typing import Any

import pytest

from blip_fixtures.pytest_plugin.progress import Progress, clock
from tools.faults.hostile_records import HOSTILE, fault_of_terminal


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (7384, "2:03:04")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


class Terminal:
    """The part of pytest's terminal reporter that progress uses."""

    verbosity = 0
    showfspath = True

    def __init__(self, *, isatty: bool) -> None:
        self.isatty = isatty
        self.text = ""

    def write(self, content: str, flush: bool = False) -> None:
        self.text += content

    def rewrite(self, line: str, erase: bool = False) -> None:
        self.text += "\r" + line

    def ensure_newline(self) -> None:
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"


class Config:
    """Hands out a terminal and no capture manager."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.pluginmanager = self

    def get_plugin(self, name: str) -> Any:
        return self.terminal if name == "terminalreporter" else None


@pytest.mark.parametrize("isatty", [True, False])
def test_what_a_case_says_of_itself_stays_text(isatty: bool) -> None:
    terminal = Terminal(isatty=isatty)
    config: Any = Config(terminal)
    progress = Progress(config, total=1, now=lambda: 0.0)
    progress.start(HOSTILE)
    progress.finish(HOSTILE)
    for line in terminal.text.replace("\r", "\n").splitlines():
        assert fault_of_terminal(line) is None
    assert "injected" in terminal.text


def walk(*, isatty: bool) -> str:
    terminal = Terminal(isatty=isatty)
    now_s = iter([0.0, *[float(n) for n in range(0, 1000, 10)]])
    config: Any = Config(terminal)
    progress = Progress(config, total=2, now=lambda: next(now_s))
    for case_id, result in (("first", "12.3 ms"), ("second" + 40 * "x", "- no GPU")):
        progress.start(case_id)
        progress.tick()
        progress.finish(result)
    return terminal.text


def test_plain_lines() -> None:
    assert walk(isatty=False) == (
        "[1/2] first  elapsed 0:00, left ?  12.3 ms\n[2/2] second" + 40 * "x" + "  elapsed 0:20, left 0:20  - no GPU\n"
    )


def test_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = walk(isatty=True)
    drawn = text.split("\r")
    assert "[....................] 1/2  elapsed 0:00, left ?  first" in drawn
    bar = re.compile(r"\[##########\.{10}\] 2/2  elapsed \d:\d\d, left \d:\d\d  second")
    bars = [line for line in drawn if bar.match(line)]
    assert bars
    assert all(len(line) == 59 for line in bars)
    assert text.endswith("\r[2/2] second" + 40 * "x" + "  - no GPU\n")


def test_file_names_give_way_only_to_benchmarks_alone() -> None:
    for alone in (True, False):
        terminal = Terminal(isatty=False)
        config: Any = Config(terminal)
        Progress(config, total=1, alone=alone)
        assert terminal.showfspath is not alone
