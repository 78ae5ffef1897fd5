"""How each case of a run comes to its end: taken over from an earlier process, given up, or measured now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from blip_fixtures.engine.session import Outcome
from blip_fixtures.pytest_plugin.loop import list_rounds
from blip_fixtures.pytest_plugin.unfinished import Earlier, Running, UnfinishedError, key_of, unfinished_run
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.executors.base import Bench
    from blip_fixtures.job import Job
    from blip_fixtures.journal import Journal
    from blip_fixtures.pytest_plugin.guard import Guard
    from blip_fixtures.pytest_plugin.loop import PedanticLoop
    from blip_fixtures.pytest_plugin.options import Options
    from blip_fixtures.pytest_plugin.unfinished import Key
    from blip_fixtures.record import Record


class Ledger:
    """What is known of the cases of one run. `say` writes a line to the terminal."""

    def __init__(self, bench: Bench, journal: Journal, options: Options, say: Callable[[str], None]) -> None:
        self.journal = journal
        # Ids of the cases that an earlier process finished.
        self.taken_over: list[str] = []
        self._bench = bench
        self._options = options
        self._say = say
        self._earlier = Earlier()
        # Of the records that this process wrote to the journal.
        self._stored: set[Key] = set()

    def look_back(self, jobs: Sequence[Job], resumed_by: str) -> list[Job]:
        """At an unfinished run in the folder: go on with it, or say that the command `resumed_by` could.

        Returns the jobs that are left, which the bench may expect. Raises `pytest.UsageError` for a journal that cannot
        be gone on with.
        """
        if not self._options.resume:
            line = unfinished_run(self.journal.path.parent, resumed_by)
            if line is not None:
                self._say(line)
            self._bench.expect(jobs)
            return list(jobs)
        try:
            self._earlier = Earlier.read(self.journal, self._say)
        except UnfinishedError as error:
            raise pytest.UsageError(f"--blip-resume: {error}") from None
        keys = [(self._bench.config_hash(job), False, 1) for job in jobs]
        finished = [self._earlier.finished(key, retry=self._options.retry) is not None for key in keys]
        found = sum(finished)
        others = self._earlier.others(keys)
        said = f"; {others} of its lines belong to other cases or conditions" if others else ""
        self._say(f"--blip-resume takes {found} of {len(keys)} cases from {self.journal.path}{said}")
        left = [
            job
            for job, key, is_finished in zip(jobs, keys, finished, strict=True)
            if not is_finished and self._earlier.why_lost(key, retry=self._options.retry) is None
        ]
        self._bench.expect(left)
        return left

    def store(self, record: Record) -> None:
        """Write it to the journal, once: a bench may tell of a case before its test asks."""
        if key_of(record) not in self._stored:
            self._stored.add(key_of(record))
            self.journal.append(record)

    def outcome(self, job: Job, loop: PedanticLoop, guard: Guard | None) -> Outcome:
        """That of one job, which is in the journal then. Without a `guard` nothing is measured that could be lost."""
        if guard is None:
            return self._bench.attempt(job, loop=loop)
        key = (self._bench.config_hash(job), job.again, job.process)
        known = self._earlier.finished(key, retry=self._options.retry)
        if known is not None:
            if not known.is_further:
                self.taken_over.append(known.case_id)
            if known.latency is not None:
                list_rounds(loop.benchmark, known.latency.rounds_s)
            return _as_before(msgspec.structs.replace(known, sweeps=job.sweeps))
        lost = self._earlier.why_lost(key, retry=self._options.retry)
        if lost is not None:
            outcome = _as_before(self._bench.given_up(job, lost))
            self.store(outcome.record)
            return outcome
        running = Running(key[0], job.again, job.case.id, self._earlier.deaths(key), job.process)
        with guard.measuring(running) if self._bench.in_this_process else guard.waiting():
            outcome = self._bench.attempt(job, loop=loop)
            self.store(outcome.record)
        return outcome

    def elsewhere(self, job: Job, measure: Callable[[Job], Record], guard: Guard) -> Record:
        """The record of a job that another process measures, which is in the journal then; or an earlier one."""
        known = self._earlier.finished(
            (self._bench.config_hash(job), job.again, job.process), retry=self._options.retry
        )
        if known is not None:
            return msgspec.structs.replace(known, sweeps=job.sweeps)
        with guard.waiting():
            record = measure(job)
        self.store(record)
        return record


def _as_before(record: Record) -> Outcome:
    """The outcome of an earlier process: a case that failed there fails here."""
    if record.status != Status.FAILED:
        return Outcome(record)
    return Outcome(record, pytest.fail.Exception(f"failed in an earlier process: {record.reason}", pytrace=False))
