"""What a waiting person sees: case n of N, which one runs, elapsed and remaining time."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING

from blip_fixtures import foreign, formats
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from blip_fixtures.pytest_plugin.estimate import Estimate
    from blip_fixtures.record import Record

_BAR_WIDTH = 20
_REDRAW_S = 0.2


def clock(seconds: float) -> str:
    """``1:05`` or ``2:03:07``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Progress:
    """A bar on a terminal, one plain line for each case elsewhere. Draws between rounds, never inside one.

    Where a session consists of benchmarks alone, the names of their files give way to the lines of the cases.
    """

    def __init__(
        self, config: pytest.Config, total: int, *, alone: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._reporter = config.pluginmanager.get_plugin("terminalreporter")
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._total = total
        self._now = now
        self._start_s = now()
        self._drawn_s = 0.0
        self._done = 0
        self._taken = 0
        self._running = ""
        self._estimate: Estimate | None = None
        if alone and self._reporter is not None and self._reporter.verbosity <= 0:
            self._reporter.showfspath = False

    def ask(self, estimate: Estimate) -> None:
        """From now on this says how long the run still takes, and not the mean of the cases so far."""
        self._estimate = estimate

    def start(self, case_id: str) -> None:
        """A case begins."""
        self._running = foreign.terminal(case_id)
        with self._terminal() as terminal:
            if terminal is None:
                return
            terminal.ensure_newline()
            if terminal.isatty:
                self._draw_bar(terminal)
            else:
                terminal.write(f"{self._count()} {self._running}  {self._times()}", flush=True)

    def tick(self) -> None:
        """A round begins: move the clock of the bar, at most five times a second."""
        if self._now() - self._drawn_s < _REDRAW_S or self._reporter is None or not self._reporter.isatty:
            return
        with self._terminal() as terminal:
            if terminal is not None:
                self._draw_bar(terminal)

    def finish(self, result: str, *, is_taken_over: bool = False) -> None:
        """The running case ended with `result`, here or in an earlier process."""
        if is_taken_over:
            self._taken += 1
            result = f"taken over: {result}"
        result = foreign.terminal(result)
        with self._terminal() as terminal:
            if terminal is not None and terminal.isatty:
                terminal.rewrite(f"{self._count()} {self._running}  {result}", erase=True)
                terminal.write("\n")
            elif terminal is not None:
                terminal.write(f"  {result}\n", flush=True)
        self._done += 1

    def say(self, line: str) -> None:
        """A line of its own between those of the cases."""
        with self._terminal() as terminal:
            if terminal is not None:
                terminal.ensure_newline()
                terminal.write_line(line)

    def _count(self) -> str:
        width = len(str(self._total))
        return f"[{self._done + 1:{width}d}/{self._total}]"

    def _times(self) -> str:
        elapsed_s = self._now() - self._start_s
        left_s = self._mean_left_s(elapsed_s) if self._estimate is None else self._estimate.left_s()
        return f"elapsed {clock(elapsed_s)}, left {'?' if left_s is None else clock(left_s)}"

    def _mean_left_s(self, elapsed_s: float) -> float | None:
        """As if each case left took as long as those measured did in the mean."""
        measured = self._done - self._taken
        return elapsed_s / measured * (self._total - self._done) if measured else None

    def _status(self) -> str:
        return self._running

    def _draw_bar(self, terminal: pytest.TerminalReporter) -> None:
        filled = _BAR_WIDTH * self._done // self._total
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        line = f"[{bar}] {self._done + 1}/{self._total}  {self._times()}  {self._status()}"
        # A line that wraps cannot be drawn over, so it ends before the terminal does.
        terminal.rewrite(line[: shutil.get_terminal_size().columns - 1], erase=True)
        self._drawn_s = self._now()

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[pytest.TerminalReporter | None]:
        """The terminal, with pytest's capturing lifted; `None` where there is no terminal reporter."""
        lifted = self._capture.global_and_fixture_disabled() if self._capture else contextlib.nullcontext()
        with lifted:
            yield self._reporter


def result(record: Record) -> str:
    """What the progress line says of a case that came to an end."""
    if record.status == Status.OK and record.latency is not None:
        rate = "" if record.throughput is None else f", {formats.rate(record.throughput.samples_per_s)} samples/s"
        return f"{1e3 * (record.latency.median_s or 0):.1f} ms a batch{rate}"
    if record.status == Status.OK:
        return f"{len(record.predictions)} answers"
    if record.status == Status.UNAVAILABLE:
        return f"- {record.reason}"
    return "failed" if record.status == Status.FAILED else "out of memory"


def result_again(first: Record, again: Record) -> str:
    """The same of a second timing."""
    if again.status != Status.OK or again.latency is None or first.latency is None:
        return f"not timed again: {again.reason}"
    median_s = again.latency.median_s or 0.0
    ratio = median_s / (first.latency.median_s or median_s)
    return f"{1e3 * median_s:.1f} ms a batch, {ratio:.2f} times the first"
