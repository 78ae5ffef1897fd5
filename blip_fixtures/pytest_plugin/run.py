"""One pytest run: measures what the plan says through an engine session, and keeps the records."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.engine.preflight import PreflightError
from blip_fixtures.gate.sides import Process
from blip_fixtures.journal import NAME, Journal
from blip_fixtures.privacy import command_line, without_credentials
from blip_fixtures.pytest_plugin.baseline import Baseline, Gate, selection_of
from blip_fixtures.pytest_plugin.benches import bench_of, check_here, facts_of
from blip_fixtures.pytest_plugin.estimate import Estimate
from blip_fixtures.pytest_plugin.files import RunFiles, check_writable
from blip_fixtures.pytest_plugin.fixtures import STOPPED_BY
from blip_fixtures.pytest_plugin.further import Further, fresh_process
from blip_fixtures.pytest_plugin.guard import Guard
from blip_fixtures.pytest_plugin.ledger import Ledger
from blip_fixtures.pytest_plugin.loop import PedanticLoop, list_rounds, mark_used
from blip_fixtures.pytest_plugin.progress import Progress, result
from blip_fixtures.pytest_plugin.side_by_side import SideBySide
from blip_fixtures.pytest_plugin.signals import Stopped
from blip_fixtures.record import as_plain
from blip_fixtures.report.course import Course
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.stats import Metadata

    from blip_fixtures.case import Case
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.pytest_plugin.plan import Plan
    from blip_fixtures.record import Record


class Run:
    """The records of a run, in the order in which they came, and what they go through.

    `guard` stands around what is measured; a run with disabled benchmarks measures nothing and has none.
    """

    def __init__(
        self, config: pytest.Config, options: Options, plan: Plan, *, alone: bool = False, baseline: Baseline | None
    ) -> None:
        self.plan = plan
        self.files = RunFiles(config, options)
        self.gate = None if baseline is None else Gate(baseline, selection_of(config))
        self.records: dict[Case, Record] = {}
        self.stats: list[Metadata] = []
        self.tell_junit: Callable[[str, object], None] = lambda _name, _value: None
        # The exit code of a signal that came before everything was written.
        self.stopped_by: int | None = None
        # What could not be written, a sentence for each file.
        self.unwritten: list[str] = []
        self._options = options
        progress = Progress if options.ray is None else SideBySide
        self._progress = progress(config, total=options.processes * len(plan.cases) + len(plan.compared), alone=alone)
        self.bench = bench_of(
            config,
            options,
            self.files,
            self._progress,
            on_round=self._on_round,
            keep=self._keep,
        )
        journal = Journal(self.files.folder / NAME, self._progress.say)
        self._ledger = Ledger(self.bench, journal, options, self._progress.say)
        self._estimate = Estimate.of(self.bench)
        self._loops: dict[str, PedanticLoop] = {}
        self.further = Further(
            plan,
            self.bench,
            self._ledger,
            self._progress,
            self._estimate,
            processes=options.processes,
            begin=partial(fresh_process, config, options, facts_of(self.files), self._on_round),
            check=self._check_signals,
        )
        self.guard: Guard | None = None

    @classmethod
    def start(cls, config: pytest.Config, options: Options, plan: Plan, *, alone: bool = False) -> Run:
        """Check everything that a run needs before anything is measured. Raises `pytest.UsageError` in one sentence.

        `alone` says that the session holds no other tests.
        """
        baseline = Baseline.load(config, options)
        run = cls(config, options, plan, alone=alone, baseline=baseline)
        try:
            # In a worker of pytest-xdist pytest-benchmark measures nothing.
            is_worker = hasattr(config, "workerinput")
            run._prepare(measures=not (is_worker or config.getoption("benchmark_disable", False)))
            if baseline is not None:
                jobs = map(plan.job, plan.cases)
                baseline.check(Process.of("this run", [run.bench.planned(job) for job in jobs]))
            if run.guard is not None:
                left = run._ledger.look_back([plan.job(case) for case in plan.cases], run._resumed_by)
                run._estimate.foresee([*left, *run.further.jobs()])
                run._progress.ask(run._estimate)
                run.guard.start()
        except PreflightError as error:
            run.end()
            raise pytest.UsageError(str(error)) from None
        except Stopped as stopped:
            # It was raised wherever the signal met it, which may be a place that pytest cannot show.
            config.stash[STOPPED_BY] = run._signal_code or pytest.ExitCode.INTERRUPTED
            run.end()
            raise stopped.with_traceback(None) from None
        except BaseException:
            run.end()
            raise
        return run

    def case_of(self, nodeid: str, values: Mapping[str, Any]) -> Case:
        """The planned case of a test, whose fixtures returned `values`.

        Raises `pytest.UsageError` where they are not its parameters: the plan was checked with these, and other tests
        may show the same case, so nothing else can be measured in its place.
        """
        case = self.plan.case_by_item[nodeid]
        changed = [axis for axis, value in values.items() if value != getattr(case, axis)]
        if changed:
            said = ", ".join(f"{axis} {values[axis]!r} for the parameter {getattr(case, axis)!r}" for axis in changed)
            raise pytest.UsageError(
                f"the fixture of an axis returned another value than its parameter: {said}; cases are planned before "
                "fixtures run, so put the values that shall be measured into its params, or parametrize the axis"
            )
        return case

    def measure(self, case: Case, benchmark: BenchmarkFixture) -> Record | None:
        """The record of `case`: an earlier one, or a new one from its passes, stored before this returns.

        `None` where pytest-benchmark is disabled. The error of a case that failed is raised when its record is stored.
        """
        try:
            self._check_signals()
            return self._measured(case, benchmark)
        except Stopped:
            mark_used(benchmark)
            raise

    def _measured(self, case: Case, benchmark: BenchmarkFixture) -> Record | None:
        if case in self.records:
            self._list_again(self.records[case], benchmark)
            return self.records[case]
        job = self.plan.job(case)
        self._estimate.begin(job)
        self._progress.start(case.id)
        if benchmark.disabled and self.bench.why_unavailable(job) is None:
            benchmark.pedantic(self.bench.try_out, args=(job,))
            self._progress.finish("ran once, not measured: benchmarks are disabled")
            return None
        loop = PedanticLoop(benchmark)
        outcome = self._ledger.outcome(job, loop, self.guard)
        record = self.records[case] = outcome.record
        is_old = case.id in self._ledger.taken_over
        self._estimate.end(None if is_old else record)
        self._progress.finish(result(record), is_taken_over=is_old)
        if outcome.error is not None:
            mark_used(benchmark)
            raise outcome.error
        if record.status == Status.OK and record.latency is None:
            # A case that nobody times is no benchmark of pytest-benchmark's.
            mark_used(benchmark)
        elif record.status == Status.OK:
            self._loops[case.device] = loop
            benchmark.extra_info["blip"] = as_plain(record)
            assert benchmark.stats is not None
            self.stats.append(benchmark.stats)
        else:
            benchmark.skipped = True
        return record

    def time_further(self) -> None:
        """After the last test: what `Further` times beside each case's own."""
        self.further.time(self.records, self._loops, self.guard)

    def conclude(self) -> None:
        """Judge the run, where there is a baseline, and write its files, where a case came to an end."""
        self.bench.close()
        with nullcontext() if self.guard is None else self.guard.writing(is_done=self.is_complete):
            if self.records:
                self._conclude()
        self.stopped_by = self._signal_code

    def _conclude(self) -> None:
        if self.gate is not None:
            self.gate.conclude(self._all_records)
            for name, value in self.gate.properties().items():
                self.tell_junit(name, value)
        journal = self._ledger.journal
        journal.catch_up()
        if not journal.is_whole:
            self.unwritten.append(f"{journal.path} lacks finished cases, which are in {journal.elsewhere}")
        course = Course(len(self.records), len(self.plan.cases), len(self._ledger.taken_over))
        self.unwritten += self.files.write(
            self._all_records, self.stats, self._command, course, elsewhere=lambda: journal.elsewhere.parent
        )

    @property
    def _all_records(self) -> list[Record]:
        return [*self.records.values(), *self.further.records]

    def end(self, *, ends_process: bool = False) -> None:
        """Let go of locks and signals, whatever became of the run. Raises `SystemExit` where a signal came since."""
        self.bench.close()
        if self.guard is not None:
            self.guard.end(ends_process=ends_process)
            if ends_process and self._signal_code not in (None, self.stopped_by):
                raise SystemExit(self._signal_code)

    @property
    def is_complete(self) -> bool:
        """Whether every planned case came to an end."""
        return self.further.is_done and all(case in self.records for case in self.plan.cases)

    @property
    def beside_benchmarks(self) -> dict[str, Any]:
        """What records.json holds besides pytest-benchmark's own list, which has only cases that ran to their end."""
        beside = self.files.beside_benchmarks(self.records.values(), self.further.records)
        if self._ledger.taken_over:
            beside["resumed"] = self._ledger.taken_over
        if not self.is_complete:
            beside |= {"interrupted": True, "planned": len(self.plan.cases)}
        if self.gate is not None and self.records:
            self.gate.conclude(self._all_records)
            beside["gate"] = self.gate.facts
        return beside

    @property
    def _signal_code(self) -> int | None:
        return None if self.guard is None else self.guard.signals.exit_code

    @property
    def exit_code(self) -> int:
        """Where every test passed: what the gate says, or 1 where something could not be written."""
        judged = self.gate.exit_code if self.gate is not None and self.records else pytest.ExitCode.OK
        return judged or (pytest.ExitCode.TESTS_FAILED if self.unwritten else pytest.ExitCode.OK)

    def _prepare(self, *, measures: bool) -> None:
        """A report folder is made for a checkpoint that there is, where this machine can tell."""
        jobs = [self.plan.job(case) for case in self.plan.cases]
        folder = self.files.folder
        try:
            if measures:
                self.guard = Guard(
                    folder, self._options, len(jobs), say=self._progress.say, resumed_by=self._resumed_by
                )
            check_here(jobs, self.bench, self.guard, named=self._options.devices != ("auto",))
            check_writable(folder)
            if self.guard is not None:
                self.guard.lock_folder()
            # Disabled benchmarks measure nothing, so nobody waits for the counters' periods.
            self.bench.prepare(jobs, with_meters=measures)
            if self.guard is not None:
                self.guard.reserve_room([self.bench.sample_count(job) for job in jobs])
        except PreflightError as error:
            raise pytest.UsageError(without_credentials(str(error))) from None

    def _keep(self, record: Record) -> None:
        """What another machine measured is in the journal before its test asks for it."""
        if self.guard is not None:
            self._ledger.store(record)

    def _on_round(self) -> None:
        self._progress.tick()
        self._check_signals()

    def _check_signals(self) -> None:
        if self.guard is not None:
            self.guard.signals.check()

    @property
    def _resumed_by(self) -> str:
        """The command of this run, going on with what it leaves."""
        command = command_line(["pytest", *sys.argv[1:]], without_credentials)
        return command if self._options.resume else f"{command} --blip-resume"

    def _list_again(self, record: Record, benchmark: BenchmarkFixture) -> None:
        if record.latency is None:
            mark_used(benchmark)
            return
        benchmark.extra_info["blip"] = as_plain(record)
        list_rounds(benchmark, record.latency.rounds_s)

    @cached_property
    def _command(self) -> str:
        return str(facts_of(self.files)["command"])
