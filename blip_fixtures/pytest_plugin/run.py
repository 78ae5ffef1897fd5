"""One pytest run: measures what the plan says through an engine session, and keeps the records."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.engine.preflight import PreflightError, check_architectures, check_devices, check_libraries
from blip_fixtures.engine.session import Session
from blip_fixtures.gate.sides import Process
from blip_fixtures.journal import Journal
from blip_fixtures.privacy import command_line, without_credentials
from blip_fixtures.pytest_plugin.baseline import Baseline, Gate, selection_of
from blip_fixtures.pytest_plugin.files import RunFiles, check_writable
from blip_fixtures.pytest_plugin.loop import PedanticLoop, list_rounds
from blip_fixtures.pytest_plugin.progress import Progress
from blip_fixtures.record import as_plain
from blip_fixtures.report import formats
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture
    from pytest_benchmark.stats import Metadata

    from blip_fixtures.case import Case
    from blip_fixtures.job import Job
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.pytest_plugin.plan import Plan
    from blip_fixtures.record import Record


class Run:
    """The records of a run, in the order in which they came, and what they go through."""

    def __init__(
        self, config: pytest.Config, plan: Plan, files: RunFiles, *, alone: bool = False, baseline: Baseline | None
    ) -> None:
        self.plan = plan
        self.files = files
        self.gate = None if baseline is None else Gate(baseline, selection_of(config))
        self.records: dict[Case, Record] = {}
        self.again: list[Record] = []
        self.stats: list[Metadata] = []
        self.tell_junit: Callable[[str, object], None] = lambda _name, _value: None
        self._progress = Progress(config, total=len(plan.cases) + len(plan.compared), alone=alone)
        self.session = Session(facts=_facts(files), on_round=self._progress.tick, show=files.show)
        self._journal = Journal(files.folder / "journal.jsonl")
        self._loops: dict[str, PedanticLoop] = {}

    @classmethod
    def start(cls, config: pytest.Config, options: Options, plan: Plan, *, alone: bool = False) -> Run:
        """Check everything that a run needs before anything is measured. Raises `pytest.UsageError` in one sentence.

        `alone` says that the session holds no other tests.
        """
        baseline = Baseline.load(config, options)
        run = cls(config, plan, RunFiles(config, options), alone=alone, baseline=baseline)
        jobs = [plan.job(case) for case in plan.cases]
        # Disabled benchmarks measure nothing, so nobody waits for the counters' periods.
        run._prepare(jobs, options, with_meters=not config.getoption("benchmark_disable", False))
        if baseline is not None:
            baseline.check(Process.of("this run", [run.session.planned(job) for job in jobs]))
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

        `None` where pytest-benchmark is disabled. The error of a case that failed is raised, behind its record.
        """
        if case in self.records:
            self._list_again(self.records[case], benchmark)
            return self.records[case]
        job = self.plan.job(case)
        self._progress.start(case.id)
        if benchmark.disabled and self.session.why_unavailable(job) is None:
            benchmark.pedantic(self.session.try_out, args=(job,))
            self._progress.finish("ran once, not measured: benchmarks are disabled")
            return None
        loop = PedanticLoop(benchmark)
        outcome = self.session.attempt(job, loop=loop)
        record = self.records[case] = outcome.record
        self._journal.append(record)
        self._progress.finish(_result(record))
        if outcome.error is not None:
            raise outcome.error
        if record.status == Status.OK:
            self._loops[case.device] = loop
            benchmark.extra_info["blip"] = as_plain(record)
            assert benchmark.stats is not None
            self.stats.append(benchmark.stats)
        else:
            benchmark.skipped = True
        return record

    def time_again(self) -> None:
        """Time the cases that others are compared with once more, behind all of them: how far the machine drifted.

        It depends on these cases alone, whatever became of the last of the plan.
        """
        for case, others in self.plan.compared.items():
            first = self.records.get(case)
            ran = [other for other in others if other in self.records and self.records[other].status == Status.OK]
            if first is None or first.status != Status.OK or not ran:
                continue
            self._progress.start(f"{case.id} again")
            loop = self._loops[case.device].unused()
            record = self.session.measure(self.plan.job(case).second_timing(), loop=loop)
            self.again.append(record)
            self._journal.append(record)
            self._progress.finish(_result_again(first, record))

    def conclude(self) -> None:
        """Judge the run, where there is a baseline, and write its files, where a case came to an end."""
        self.session.close()
        if not self.records:
            return
        if self.gate is not None:
            self.gate.conclude(self.records.values())
            for name, value in self.gate.properties().items():
                self.tell_junit(name, value)
        self.files.write([*self.records.values(), *self.again], self.stats, self._command)

    @property
    def beside_benchmarks(self) -> dict[str, Any]:
        """What records.json holds besides pytest-benchmark's own list, which has only cases that ran to their end."""
        beside = self.files.beside_benchmarks(self.records.values(), self.again)
        if self.gate is not None and self.records:
            self.gate.conclude(self.records.values())
            beside["gate"] = self.gate.facts
        return beside

    @property
    def exit_code(self) -> int:
        """What the gate says where every test passed."""
        return self.gate.exit_code if self.gate is not None and self.records else pytest.ExitCode.OK

    def _prepare(self, jobs: list[Job], options: Options, *, with_meters: bool) -> None:
        """A device that was named must be there; one that ``auto`` found may turn out to be none."""
        named = () if options.devices == ("auto",) else dict.fromkeys(job.case.device for job in jobs)
        try:
            check_libraries()
            check_devices(named)
            check_architectures(jobs, self.session.stock)
            check_writable(self.files.folder)
            self.session.prepare(jobs, with_meters=with_meters)
        except PreflightError as error:
            raise pytest.UsageError(without_credentials(str(error))) from None

    def _list_again(self, record: Record, benchmark: BenchmarkFixture) -> None:
        if record.latency is None:
            benchmark.skipped = True
            return
        benchmark.extra_info["blip"] = as_plain(record)
        list_rounds(benchmark, record.latency.rounds_s)

    @cached_property
    def _command(self) -> str:
        return str(_facts(self.files)["command"])


def _facts(files: RunFiles) -> dict[str, Any]:
    """What pytest-benchmark found in the working folder, and how the run was started."""
    return {
        "commit": files.commit_info.get("id"),
        "dirty": files.commit_info.get("dirty"),
        "command": command_line(["pytest", *sys.argv[1:]], files.show),
    }


def _result(record: Record) -> str:
    """What the progress line says of a case that came to an end."""
    if record.status == Status.OK and record.latency is not None:
        rate = "" if record.throughput is None else f", {formats.rate(record.throughput.samples_per_s)} samples/s"
        return f"{1e3 * (record.latency.median_s or 0):.1f} ms a batch{rate}"
    if record.status == Status.UNAVAILABLE:
        return f"- {record.reason}"
    return "failed" if record.status == Status.FAILED else "out of memory"


def _result_again(first: Record, again: Record) -> str:
    if again.status != Status.OK or again.latency is None or first.latency is None:
        return f"not timed again: {again.reason}"
    median_s = again.latency.median_s or 0.0
    ratio = median_s / (first.latency.median_s or median_s)
    return f"{1e3 * median_s:.1f} ms a batch, {ratio:.2f} times the first"
