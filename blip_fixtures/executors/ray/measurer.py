"""The actor: a process on a machine of the cluster that holds a session and measures what it is sent."""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.case import Case, kind_of
from blip_fixtures.engine.environment import device_identity
from blip_fixtures.engine.preflight import PreflightError, check_devices, check_libraries
from blip_fixtures.engine.session import Session
from blip_fixtures.engine.workload import BatchAnswers
from blip_fixtures.executors.ray.undoing import Undone, undo
from blip_fixtures.job import Job
from blip_fixtures.locks import LockedError, Locks
from blip_fixtures.privacy import anonymized, without_secrets
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record
from blip_fixtures.settings import Settings
from blip_fixtures.words import LockMode, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blip_fixtures.engine.session import Outcome


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor is told of its run.

    `devices` maps the run's names of its devices to torch's. `folders` are those that must be here. `host` is no fact
    of a record in an anonymous run. `pooled` says that any machine of the kind may measure, so that none is told from
    another.
    """

    host: str
    devices: dict[str, str]
    facts: dict[str, Any]
    version: str
    cwd: str
    folders: list[str] = []
    lock: LockMode = LockMode.WAIT
    pooled: bool = False
    anonymous: bool = False


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job before it is measured: its record, its conditions, and how many samples it has."""

    job: Job
    record: Record
    settings: Settings
    samples: int


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of all jobs found: one sentence on what is wrong, or what is known of each job."""

    problem: str | None = None
    planned: list[Planned] = []


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A record, and the traceback of a case that failed."""

    record: Record
    error: str | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to some batches of a job that is not timed, by their number; or how the job ended there."""

    answers: msgspec.Raw
    failed: Measured | None = None


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """An energy domain without a meter, such as ``gpu of cuda:0``."""

    name: str
    status: str
    reason: Reason


class Measurer:
    """Measures one job at a time. What goes in and comes out is JSON, so that nothing depends on how Ray pickles."""

    def __init__(self, given: bytes) -> None:
        self._given = msgspec.json.decode(given, type=Given)
        kinds = {kind_of(device) for device in self._given.devices.values()}
        self._undone: Undone = undo(has_gpu="cuda" in kinds)
        with suppress(OSError):
            # Paths that the run was given mean the same here, where the folder is shared.
            os.chdir(self._given.cwd)
        show = anonymized if self._given.anonymous else without_secrets
        self._session = self.make_session(self._given.facts, show)

    @staticmethod
    def make_session(facts: dict[str, Any], show: Any) -> Session:
        """The engine's own; a simulation has another."""
        return Session(facts=facts, show=show)

    def check_machine(self) -> None:
        """Whether its libraries and devices are there. Raises `PreflightError`."""
        check_libraries()
        check_devices(dict.fromkeys(self._given.devices.values()))

    def ready(self) -> bool:
        """Answers as soon as Ray has given the actor its processor."""
        return True

    def process(self) -> int:
        """Its id, for who wants to end it."""
        return os.getpid()

    def prepare(self, jobs: list[bytes], *, with_meters: bool) -> bytes:
        """`Prepared`, of jobs whose device is one of this machine."""
        try:
            found = self._prepared([Job.from_json(job) for job in jobs], with_meters=with_meters)
        except (PreflightError, LockedError) as error:
            found = Prepared(problem=str(error))
        except (LookupError, ValueError) as error:
            # Of a dataset or an optimization that a conftest.py registered: that file does not travel.
            found = Prepared(problem=f"{error}; what a conftest.py registers is not known there, put it in a package")
        return msgspec.json.encode(found)

    def measure(self, job: bytes) -> bytes:
        """`Measured`."""
        wanted = Job.from_json(job)
        with self._alone_with(wanted) as here:
            outcome = self._session.attempt(here)
        return msgspec.json.encode(self._told(outcome, wanted))

    def answer(self, job: bytes, first: int, end: int) -> bytes:
        """`Answered`, of the batches from `first` to before `end`."""
        wanted = Job.from_json(job)
        with self._alone_with(wanted) as here:
            outcome, answers = self._session.answer(here, range(first, end))
        failed = None if outcome.record.status == Status.OK else self._told(outcome, wanted)
        raw = msgspec.Raw(msgspec.json.encode(answers, enc_hook=_ends))
        return msgspec.json.encode(Answered(answers=raw, failed=failed))

    def conclude(self, job: bytes, answered: list[bytes]) -> bytes:
        """`Measured`, of the answers to all batches, each text some of them as `answer` gave it."""
        wanted = Job.from_json(job)
        answers: dict[int, BatchAnswers] = {}
        for some in answered:
            answers |= msgspec.json.decode(some, type=dict[int, BatchAnswers], dec_hook=_range)
        with self._alone_with(wanted) as here:
            outcome = self._session.attempt(here, answered=answers)
        return msgspec.json.encode(self._told(outcome, wanted))

    def try_out(self, job: bytes) -> str | None:
        """Generate once, unmeasured: the traceback, where it fails."""
        try:
            self._session.try_out(self._at_home(Job.from_json(job)))
        except Exception:  # noqa: BLE001  # whatever a model raises is for the test that asked
            return traceback.format_exc()
        return None

    def absent_meters(self) -> bytes:
        """A list of `Absent`."""
        found = [
            Absent(name=name, status=error.status, reason=error.reason)
            for name, error in self._session.absent_meters().items()
        ]
        return msgspec.json.encode(found)

    def close(self) -> None:
        """Free the live model."""
        self._session.close()

    @contextmanager
    def _alone_with(self, job: Job) -> Iterator[Job]:
        """The job as this machine has it, under the locks of a home run, so that no two disturb each other."""
        here = self._at_home(job)
        mode = LockMode.OFF if self._given.lock == LockMode.OFF else LockMode.WAIT
        with Locks(mode, lambda _line: None) as locks:
            locks.take_device(self._lock_of(here.case.device))
            yield here

    def _told(self, outcome: Outcome, job: Job) -> Measured:
        error = None if outcome.error is None else "".join(traceback.format_exception(outcome.error))
        return Measured(record=self._relabelled(outcome.record, job), error=error)

    def _prepared(self, jobs: Sequence[Job], *, with_meters: bool) -> Prepared:
        missing = [folder for folder in self._given.folders if not os.path.exists(folder)]  # noqa: PTH110  # any text
        if missing:
            return Prepared(problem=f"it has no {missing[0]}; copy it there, or use a file system that both share")
        self.check_machine()
        if self._given.lock == LockMode.FAIL:
            with Locks(LockMode.FAIL, lambda _line: None) as locks:
                for device in sorted(map(self._lock_of, set(self._given.devices.values()))):
                    locks.take_device(device)
        self._session.prepare([self._at_home(job) for job in jobs], with_meters=with_meters)
        return Prepared(planned=[self._planned(job) for each in jobs for job in (each, each.second_timing())])

    def _planned(self, job: Job) -> Planned:
        here = self._at_home(job)
        return Planned(
            job=job,
            record=self._relabelled(self._session.planned(here), job),
            settings=self._settings(job),
            samples=self._session.sample_count(here),
        )

    def _at_home(self, job: Job) -> Job:
        """The job as this machine calls its device."""
        return msgspec.structs.replace(job, case=on_device(job.case, self._given.devices[job.case.device]))

    def _lock_of(self, device: str) -> str:
        return "cpu" if device == "cpu" else device_identity(device).uuid or device

    def _settings(self, job: Job) -> Settings:
        """With the device as the run calls it, and the machine that it is on."""
        found = self._session.settings(self._at_home(job))
        pooled = self._is_pooled(job)
        device = msgspec.structs.replace(found.device, host="" if pooled else self._given.host)
        if pooled:
            device = msgspec.structs.replace(device, uuid=None)
        return msgspec.structs.replace(found, case=job.case, device=device)

    def _is_pooled(self, job: Job) -> bool:
        """Whether the record is of no machine alone."""
        return self._given.pooled or not job.is_timed

    def _relabelled(self, record: Record, job: Job) -> Record:
        """The record as one of the run's case, with the machine that it is of."""
        through: dict[str, Any] = {
            "version": self._given.version,
            "undone": self._undone.undone,
            "left": self._undone.left,
            "pooled": self._is_pooled(job),
        }
        environment = {**record.environment, "ray": through}
        if not self._given.anonymous and job.is_timed:
            environment["host"] = self._given.host
        return msgspec.structs.replace(
            record,
            case_id=job.case.id,
            config_hash=self._settings(job).digest,
            case=msgspec.structs.replace(record.case, device=job.case.device),
            environment=environment,
        )


def _ends(numbers: range) -> tuple[int, int]:
    """A range as JSON has it."""
    return numbers.start, numbers.stop


def _range(_type: type, ends: Any) -> range:
    """From its first number, and that after its last."""
    return range(*ends)


def on_device(case: Case, device: str) -> Case:
    """The same case on another device."""
    return replace(case, device=device)
