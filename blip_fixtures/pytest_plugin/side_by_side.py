"""What a waiting person sees of several devices: each with its running case, done, left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures import foreign
from blip_fixtures.pytest_plugin.progress import Progress, result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.executors.ray.schedule import Lane
    from blip_fixtures.pytest_plugin.estimate import Estimate
    from blip_fixtures.record import Record


class SideBySide(Progress):
    """Cases end in another order than their tests: each has its line when it ends, and none when its test does.

    `lanes` tells how it stands with the devices.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.lanes: Callable[[], Sequence[Lane]] = lambda: ()
        self._told: set[str] = set()
        self._is_told = False

    def ask(self, estimate: Estimate) -> None:
        """Machines that work side by side are not estimated one after another: the mean of the cases stays."""

    def start(self, case_id: str) -> None:
        """A test asks for a case, which may have ended already."""
        self._is_told = case_id in self._told
        self._running = foreign.terminal(case_id)

    def arrived(self, record: Record) -> None:
        """A case ended on its device. A second timing waits for its first, with which it is compared."""
        if not record.is_further:
            self._told.add(record.case_id)
            self._line(foreign.terminal(record.case_id), f"{result(record)}  ({self._standing(record.case.device)})")
            if self._running == foreign.terminal(record.case_id):
                self._is_told = True

    def finish(self, result: str, *, is_taken_over: bool = False) -> None:
        """Of a case that did not run now: it was taken over, or given up."""
        if is_taken_over:
            self._taken += 1
            result = f"taken over: {result}"
        if not self._is_told:
            self._line(self._running, result)

    def _line(self, case_id: str, result: str) -> None:
        result = foreign.terminal(result)
        with self._terminal() as terminal:
            if terminal is not None and terminal.isatty:
                terminal.rewrite(f"{self._count()} {case_id}  {result}", erase=True)
                terminal.write("\n")
            elif terminal is not None:
                terminal.ensure_newline()
                terminal.write(f"{self._count()} {case_id}  {result}\n", flush=True)
        self._done += 1

    def _standing(self, device: str) -> str:
        """``cpu@a: 2 done, 3 left``."""
        found = [lane for lane in self.lanes() if lane.device == device]
        return "; ".join(
            foreign.terminal(f"{lane.device}: {lane.done} done, {lane.left + len(lane.running)} left") for lane in found
        )

    def _status(self) -> str:
        """Every device: what runs on it, how many cases are done and left."""
        return "  |  ".join(
            foreign.terminal(
                f"{lane.device}: {', '.join(lane.running) or '-'}, {lane.done} done, "
                f"{lane.left + len(lane.running)} left"
            )
            for lane in self.lanes()
        )
