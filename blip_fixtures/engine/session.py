"""A session measures jobs: `Session.measure(job)` gives the record of one.

It holds what jobs share: one live model at a time, the machine's rates, idle watts, references, and what `Stock` keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import msgspec

from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel
from blip_fixtures.device_errors import is_device_error, is_lost, is_out_of_memory, reason_of, said_by
from blip_fixtures.devices import synchronizing_timer, working_on
from blip_fixtures.engine import preflight
from blip_fixtures.engine.clocks import WatchedLoop
from blip_fixtures.engine.environment import describe_moment
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import Context, Found, answer_batches, run_passes
from blip_fixtures.engine.recorder import Recorder
from blip_fixtures.engine.stock import Stock
from blip_fixtures.engine.tools import SharedTools
from blip_fixtures.engine.workload import BatchAnswers, Workload, load_for
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.privacy import without_secrets
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record, RecordError
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.engine.loop import Loop
    from blip_fixtures.job import Job
    from blip_fixtures.meters import MeterError
    from blip_fixtures.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """The record of a job and, where it failed, the error: for a caller that shows its traceback."""

    record: Record
    error: BaseException | None = None


class Session:
    """Measures jobs one after another.

    `facts` go into the environment of every record (``commit``, ``dirty``, ``command``); `on_round` is called before
    each round; `load` makes a model for a device and an optimization; `show` says what records may tell of a text.
    """

    # Whether jobs are measured by the process that asks for them.
    in_this_process = True

    def __init__(
        self,
        *,
        facts: Mapping[str, Any] | None = None,
        on_round: Callable[[], None] = lambda: None,
        load: Callable[[Checkpoint, str, str], LoadedModel] | None = None,
        timer: Callable[[str], Callable[[], float]] = synchronizing_timer,
        stock: Stock | None = None,
        show: Callable[[str], str] = without_secrets,
    ) -> None:
        self.stock = stock or Stock()
        self._timer = timer
        self._models = OneLiveModel(load or load_for)
        # That of a first row, beside the live one, where there is room.
        self._first = OneLiveModel(load or load_for)
        self._unrunnable: dict[Job, Reason | None] = {}
        self._cuda_lost: Reason | None = None
        self._recorder = Recorder(self.stock, facts or {}, show, self._is_lost)
        self.tools = SharedTools(self.stock, timer, on_round)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what is loaded."""
        self._first.evict()
        self._models.evict()

    def prepare(self, jobs: Sequence[Job], *, with_meters: bool = True) -> None:
        """Check everything that these jobs need before the first is measured.

        Raises `PreflightError` in one sentence, also where none of them can run for want of samples or memory. A job of
        which nothing is known yet is checked when it is measured.
        """
        self._check(jobs, with_meters=with_meters, one_must_run=True)

    def _check(self, jobs: Sequence[Job], *, with_meters: bool, one_must_run: bool) -> None:
        jobs = [job for job in jobs if not self._is_lost(job.case.device)]
        reasons = preflight.prepare(
            jobs,
            self.stock,
            with_meters=with_meters,
            held_bytes=lambda card: self._models.held_bytes(card) + self._first.held_bytes(card),
            one_must_run=one_must_run,
        )
        for job in jobs:
            # What is true of a job is true of its second timing, whatever memory the jobs between them leave.
            self._unrunnable |= dict.fromkeys((_key(job), _key(job.second_timing())), reasons.get(job))

    def why_unavailable(self, job: Job) -> Reason | None:
        """Why this machine cannot run the job. Raises `PreflightError` for a checkpoint or data that are no use."""
        if self._is_lost(job.case.device):
            return self._cuda_lost
        if _key(job) not in self._unrunnable:
            self._check([job], with_meters=True, one_must_run=False)
        return self._unrunnable[_key(job)]

    def measure(self, job: Job, *, loop: Loop | None = None) -> Record:
        """The record of one job; its status says whether it ran, and its reason why not.

        `loop` times the rounds. Raises `PreflightError` for a checkpoint or data that no machine could measure.
        """
        return self.attempt(job, loop=loop).record

    def attempt(
        self, job: Job, *, loop: Loop | None = None, answered: Mapping[int, BatchAnswers] | None = None
    ) -> Outcome:
        """As `measure`, with the error of a job that failed.

        A lack of memory is the answer of this machine, and no error: the next job starts with its model loaded again.
        An error that leaves CUDA unusable ends all later jobs on CUDA as well, before they are tried. `answered` are
        batches of a job that is not timed, by their number, which `answer` found here or elsewhere.
        """
        return self._tried(
            job, lambda: self._measured(job, loop or self._plain_loop(job), Found(answered=answered or {}))
        )

    def answer(self, job: Job, numbers: Iterable[int]) -> tuple[Outcome, dict[int, BatchAnswers]]:
        """The answers of these batches of a job that is not timed, and nothing more of its record than the status.

        There are none where that is another than ok; why stands in the outcome, as in that of `attempt`.
        """
        answered: dict[int, BatchAnswers] = {}

        def answer() -> Found:
            with working_on(job.case.device):
                answered.update(answer_batches(self._context(job, self._plain_loop(job), Found()), numbers))
            return Found()

        return self._tried(job, answer), answered

    def _tried(self, job: Job, find: Callable[[], Found]) -> Outcome:
        """The record of what `find` gives, or of how it ended."""
        reason = self.why_unavailable(job)
        if reason is not None:
            return Outcome(self._recorder.stored(job, Status.UNAVAILABLE, reason=reason))
        self._recorder.about(job.case.device)
        moment, exhausted, found = describe_moment(), None, Found()
        try:
            found = find()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model raises is the record of its case
            reason = reason_of(error)
            if not is_out_of_memory(error):
                self._note_lost(job, error)
                return Outcome(self._recorder.stored(job, Status.FAILED, reason=reason, moment=moment), error)
            exhausted = reason
        if exhausted is not None or found.exhausted:
            # Only here, after the handler, has the error let go of the frames that hold the model and its tensors.
            self.close()
        if exhausted is not None:
            return Outcome(self._recorder.stored(job, Status.OUT_OF_MEMORY, reason=exhausted, moment=moment))
        try:
            return Outcome(self._recorder.stored(job, Status.OK, found=found, moment=moment))
        except RecordError as error:
            # A proof from outside may give facts that JSON does not have.
            return Outcome(self._recorder.stored(job, Status.FAILED, reason=reason_of(error), moment=moment), error)

    def sample_count(self, job: Job) -> int:
        """How many samples its dataset has here."""
        return len(self.stock.samples(job))

    def expect(self, jobs: Sequence[Job]) -> None:
        """These will be asked for, in this order: nothing that this process could begin with."""

    def try_out(self, job: Job) -> None:
        """Generate once, unmeasured. Raises whatever the model raises."""
        with working_on(job.case.device):
            workload = self.workload(job)
            find_optimization(job.case.optimization).prepare(workload.loaded, job.case.sequence_length, workload.probe)
            workload.generate(workload.inputs(0))

    def planned(self, job: Job) -> Record:
        """What will be known of the job's conditions, before it is measured. It is never stored."""
        reason = self.why_unavailable(job)
        return self._recorder.record(job, Status.PLANNED if reason is None else Status.UNAVAILABLE, reason=reason)

    def config_hash(self, job: Job) -> str:
        """By which a finished case is known again: `Record.config_hash`."""
        return self._recorder.settings(job).digest

    def settings(self, job: Job) -> Settings:
        """The conditions of the job's record."""
        return self._recorder.settings(job)

    def given_up(self, job: Job, reason: Reason) -> Record:
        """The record of a job that is not measured, since an earlier process ended while it was."""
        return self._recorder.stored(job, Status.FAILED, reason=reason)

    def absent_meters(self) -> dict[str, MeterError]:
        """Every energy domain that has no meter here, and why, by ``dram`` or ``gpu of cuda:0``."""
        return {name: error for meters in self.stock.known_meters() for name, error in meters.all_absent().items()}

    def _measured(self, job: Job, loop: Loop, found: Found) -> Found:
        watched = WatchedLoop(loop, job.case.device)
        with working_on(job.case.device):
            measured = watched.told(run_passes(self._context(job, watched, found)))
        if job.case.device != "cpu":
            # A card's allocator counts what is on it, whosever it is.
            self._first.evict()
        return measured

    def _context(self, job: Job, loop: Loop, found: Found) -> Context:
        workload = self.workload(job)
        first_row = None if job.turns_with is None else lambda: self._first_row(job)
        return Context(workload.job, workload, loop, self.tools, found, first_row)

    def _plain_loop(self, job: Job) -> PlainLoop:
        return PlainLoop(self._timer(job.case.device))

    def _note_lost(self, job: Job, error: BaseException) -> None:
        """Give CUDA up, where `error` left it unusable for the rest of the process."""
        device = job.case.device
        if device != "cpu" and is_device_error(error) and is_lost(device):
            self._cuda_lost = Reason.of("cuda_lost", device=device, case_id=job.case.id, error=said_by(error))
            self._models.give_cuda_up()
            self._first.give_cuda_up()

    def _is_lost(self, device: str) -> bool:
        return device != "cpu" and self._cuda_lost is not None

    def workload(self, job: Job) -> Workload:
        """The job's batches and its model, which is loaded where it is not the live one."""
        if self._first.is_held and preflight.too_large([job], self.stock, self._models.held_bytes):
            self._first.evict()
        return self._on(self._models, job)

    def _first_row(self, job: Job) -> Workload | Reason:
        """The first row of the job's table, its model beside the live one; or why there is no room."""
        first = job.first_row()
        reason = preflight.too_large([first], self.stock, self._first.held_bytes).get(first)
        return Reason.of("no_room_for_turns", why=str(reason)) if reason is not None else self._on(self._first, first)

    def _on(self, models: OneLiveModel, job: Job) -> Workload:
        loaded = models.get(self.stock.checkpoint(job), job.case.device, job.case.optimization)
        loaded.family.end_as_tokenizer(loaded.model, processor := self.stock.processor(job))
        return Workload(
            job=self.stock.resolved(job),
            loaded=loaded,
            processor=processor,
            samples=self.stock.samples(job),
            maker=self.stock.batch_maker(job),
        )


def _key(job: Job) -> Job:
    """A job without what does not decide whether it can run."""
    return msgspec.structs.replace(job, sweeps=(), again=False, process=1, turns_with=None)
