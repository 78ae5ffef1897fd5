"""Timings beside a case's own: a first row once more at the end, and every case in further processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blip_fixtures.pytest_plugin.progress import result, result_again
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    from blip_fixtures.case import Case
    from blip_fixtures.executors.base import Bench
    from blip_fixtures.executors.fresh import FreshProcess
    from blip_fixtures.job import Job
    from blip_fixtures.pytest_plugin.estimate import Estimate
    from blip_fixtures.pytest_plugin.guard import Guard
    from blip_fixtures.pytest_plugin.ledger import Ledger
    from blip_fixtures.pytest_plugin.loop import PedanticLoop
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.pytest_plugin.plan import Plan
    from blip_fixtures.pytest_plugin.progress import Progress
    from blip_fixtures.record import Record


class Further:
    """`records` are those of further timings, `is_done` says whether all of them came to an end.

    `begin` starts a new process for timings, of which there are `processes` in all with this one; `check` raises where
    a signal came.
    """

    def __init__(
        self,
        plan: Plan,
        bench: Bench,
        ledger: Ledger,
        progress: Progress,
        estimate: Estimate,
        *,
        processes: int,
        begin: Callable[[], FreshProcess],
        check: Callable[[], None],
    ) -> None:
        self.records: list[Record] = []
        self.is_done = False
        self._plan = plan
        self._bench = bench
        self._ledger = ledger
        self._progress = progress
        self._estimate = estimate
        self._processes = processes
        self._begin = begin
        self._check = check

    def jobs(self) -> list[Job]:
        """What will be timed, as far as the plan tells."""
        numbers = range(2, self._processes + 1)
        return [
            *(self._plan.job(case).second_timing() for case in self._plan.compared),
            *(self._plan.job(case).in_process(number) for number in numbers for case in self._plan.cases),
        ]

    def time(self, records: Mapping[Case, Record], loops: Mapping[str, PedanticLoop], guard: Guard | None) -> None:
        """After all tests. `loops` has one of each device."""
        self._time_again(records, loops, guard)
        timed = [case for case, record in records.items() if record.status == Status.OK and record.latency is not None]
        if guard is not None and timed and self._processes > 1:
            # Two models need not fit.
            self._bench.close()
            for number in range(2, self._processes + 1):
                self._time_in_process(number, timed, guard)
        self.is_done = True

    def _time_again(
        self, records: Mapping[Case, Record], loops: Mapping[str, PedanticLoop], guard: Guard | None
    ) -> None:
        """The cases that others are compared with: how far the machine drifted.

        It depends on these cases alone, whatever became of the last of the plan.
        """
        for case, others in self._plan.compared.items():
            first = records.get(case)
            ran = [other for other in others if other in records and records[other].status == Status.OK]
            if first is None or first.status != Status.OK or first.latency is None or not ran:
                continue
            self._check()
            self._estimate.begin(job := self._plan.job(case).second_timing())
            self._progress.start(f"{case.id} again")
            record = self._ledger.outcome(job, loops[case.device].unused(), guard).record
            self.records.append(record)
            self._estimate.end(record)
            self._progress.finish(result_again(first, record))

    def _time_in_process(self, number: int, cases: list[Case], guard: Guard) -> None:
        """All cases in one new process, or where a case ends it, in as many as it takes."""
        with _Process(self._begin) as process:
            for case in cases:
                self._check()
                self._estimate.begin(job := self._plan.job(case).in_process(number))
                self._progress.start(f"{case.id} in process {number}")
                record = self._ledger.elsewhere(job, lambda job: self._measured(job, process), guard)
                self.records.append(record)
                self._estimate.end(record)
                self._progress.finish(result(record))

    def _measured(self, job: Job, process: _Process) -> Record:
        from blip_fixtures.executors.fresh import ProcessEnded

        try:
            return process.measure(job)
        except ProcessEnded as ended:
            reason = Reason.of("died_in_process", process=job.process, how=str(ended))
            return self._bench.given_up(job, reason)


class _Process:
    """A process that begins with its first job, and again after one that ended it."""

    def __init__(self, begin: Callable[[], FreshProcess]) -> None:
        self._begin = begin
        self._live: FreshProcess | None = None

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def measure(self, job: Job) -> Record:
        """The record of the job. Raises `ProcessEnded`."""
        if self._live is None:
            self._live = self._begin()
        try:
            return self._live.measure(job)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.close()


def fresh_process(
    config: pytest.Config, options: Options, facts: dict[str, Any], on_wait: Callable[[], None]
) -> FreshProcess:
    """A new process that knows what this run's conftest.py files register, and writes `facts` into its records."""
    from blip_fixtures.executors.fresh import FreshProcess, Setup, conftests_of

    setup = Setup(facts=facts, anonymous=options.anonymous, conftests=conftests_of(config.pluginmanager.get_plugins()))
    return FreshProcess(setup, on_wait=on_wait, timeout_s=options.case_timeout)
