"""A session measures jobs: `Session.measure(job)` gives the record of one.

It holds what jobs share: one live model at a time, the machine's rates, idle watts, references, and what `Stock` keeps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import msgspec

from blip_fixtures.checkpoints.loading import LoadedModel, OneLiveModel, load_model
from blip_fixtures.device_errors import is_device_error, is_lost, is_out_of_memory, reason_of, said_by
from blip_fixtures.devices import device_name, synchronizing_timer, why_unavailable, working_on
from blip_fixtures.engine import preflight
from blip_fixtures.engine.clocks import WatchedLoop
from blip_fixtures.engine.conditions import data_of, generation_of
from blip_fixtures.engine.environment import describe_machine, describe_moment, device_identity
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import Context, Found, run_passes
from blip_fixtures.engine.stock import Stock
from blip_fixtures.engine.tools import SharedTools
from blip_fixtures.engine.workload import Workload
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.privacy import without_secrets
from blip_fixtures.reasons import Reason
from blip_fixtures.record import CaseFields, Record, RecordError, shown, validated
from blip_fixtures.settings import Settings
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blip_fixtures.checkpoints.resolve import Checkpoint
    from blip_fixtures.engine.loop import Loop
    from blip_fixtures.job import Job
    from blip_fixtures.meters import MeterError
    from blip_fixtures.settings import DeviceIdentity


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
        self._facts = facts or {}
        self._show = show
        self._timer = timer
        self._models = OneLiveModel(load or load_for)
        self._unrunnable: dict[Job, Reason | None] = {}
        self._cuda_lost: Reason | None = None
        self._devices: dict[str, tuple[str | None, DeviceIdentity]] = {}
        self.tools = SharedTools(self.stock, timer, on_round)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the live model."""
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
            held_bytes=self._models.held_bytes,
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

    def attempt(self, job: Job, *, loop: Loop | None = None) -> Outcome:
        """As `measure`, with the error of a job that failed.

        A lack of memory is the answer of this machine, and no error: the next job starts with its model loaded again.
        An error that leaves CUDA unusable ends all later jobs on CUDA as well, before they are tried.
        """
        reason = self.why_unavailable(job)
        if reason is not None:
            return Outcome(self._stored(job, Status.UNAVAILABLE, reason=reason))
        self._about(job.case.device)
        moment, exhausted, found = describe_moment(), None, Found()
        try:
            found = self._measured(job, loop or PlainLoop(self._timer(job.case.device)))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model raises is the record of its case
            reason = reason_of(error)
            if not is_out_of_memory(error):
                self._note_lost(job, error)
                return Outcome(self._stored(job, Status.FAILED, reason=reason, moment=moment), error)
            exhausted = reason
        if exhausted is not None or found.exhausted:
            # Only here, after the handler, has the error let go of the frames that hold the model and its tensors.
            self._models.evict()
        if exhausted is not None:
            return Outcome(self._stored(job, Status.OUT_OF_MEMORY, reason=exhausted, moment=moment))
        try:
            return Outcome(self._stored(job, Status.OK, found=found, moment=moment))
        except RecordError as error:
            # A proof from outside may give facts that JSON does not have.
            return Outcome(self._stored(job, Status.FAILED, reason=reason_of(error), moment=moment), error)

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
        return self._record(job, Status.PLANNED if reason is None else Status.UNAVAILABLE, reason=reason)

    def config_hash(self, job: Job) -> str:
        """By which a finished case is known again: `Record.config_hash`."""
        return self.settings(job).digest

    def given_up(self, job: Job, reason: Reason) -> Record:
        """The record of a job that is not measured, since an earlier process ended while it was."""
        return self._stored(job, Status.FAILED, reason=reason)

    def absent_meters(self) -> dict[str, MeterError]:
        """Every energy domain that has no meter here, and why, by ``dram`` or ``gpu of cuda:0``."""
        return {name: error for meters in self.stock.known_meters() for name, error in meters.all_absent().items()}

    def _measured(self, job: Job, loop: Loop) -> Found:
        watched = WatchedLoop(loop, job.case.device)
        with working_on(job.case.device):
            workload = self.workload(job)
            return watched.told(run_passes(Context(workload.job, workload, watched, self.tools)))

    def _note_lost(self, job: Job, error: BaseException) -> None:
        """Give CUDA up, where `error` left it unusable for the rest of the process."""
        device = job.case.device
        if device != "cpu" and is_device_error(error) and is_lost(device):
            self._cuda_lost = Reason.of("cuda_lost", device=device, case_id=job.case.id, error=said_by(error))
            self._models.give_cuda_up()

    def _is_lost(self, device: str) -> bool:
        return device != "cpu" and self._cuda_lost is not None

    def workload(self, job: Job) -> Workload:
        """The job's batches and its model, which is loaded where it is not the live one."""
        loaded = self._models.get(self.stock.checkpoint(job), job.case.device, job.case.optimization)
        loaded.family.end_as_tokenizer(loaded.model, processor := self.stock.processor(job))
        return Workload(
            job=self.stock.resolved(job),
            loaded=loaded,
            processor=processor,
            samples=self.stock.samples(job),
            maker=self.stock.batch_maker(job),
        )

    def _stored(self, job: Job, status: Status, **parts: Any) -> Record:
        return validated(self._record(job, status, **parts))

    def _record(
        self,
        job: Job,
        status: Status,
        *,
        reason: Reason | None = None,
        found: Found | None = None,
        moment: Mapping[str, Any] | None = None,
    ) -> Record:
        """Without `found` every part is null and `reason` stands for all of them. The hash is of names as given."""
        case, found = job.case, found or Found()
        record = Record(
            case_id=case.id,
            config_hash=self.settings(job).digest,
            sweeps=job.sweeps,
            case=CaseFields(**{**asdict(case), "device_name": self._about(case.device)[0]}),
            status=status,
            reason=reason,
            again=job.again,
            latency=found.latency,
            throughput=found.throughput,
            phases=found.phases,
            energy=found.energy,
            flops=found.flops,
            memory=found.memory,
            quality=found.quality,
            predictions=found.predictions,
            sample_ids=found.sample_ids,
            model_load_s=found.model_load_s,
            tokens=found.tokens,
            limit=found.limit,
            data=data_of(self.stock.samples(job), case.batch_size),
            generation=generation_of(self.stock.resolved(job)),
            environment={**self._environment(job), **(moment or {})},
            applied=found.applied,
            notes=tuple(found.notes),
            missing=found.missing,
        )
        return shown(record, self._show)

    def settings(self, job: Job) -> Settings:
        """The conditions of the job's record."""
        samples = self.stock.samples(job)
        return Settings.of(
            self.stock.resolved(job),
            checkpoint_revision=self.stock.checkpoint(job).revision,
            data_revision=samples.revision,
            data_split=samples.split.name if samples.split else None,
            checkpoint_files=self.stock.checkpoint_files(job),
            device=self._about(job.case.device)[1],
            versions=self._machine["versions"],
            python=self._machine["python"],
        )

    def _about(self, device: str) -> tuple[str | None, DeviceIdentity]:
        """Its name and what tells it from others; of a lost device what it said while it answered."""
        if device not in self._devices or not self._is_lost(device):
            name = device_name(device) if why_unavailable(device) is None else None
            self._devices[device] = (name, device_identity(device))
        return self._devices[device]

    @cached_property
    def _machine(self) -> dict[str, Any]:
        return describe_machine(self._facts)

    def _environment(self, job: Job) -> dict[str, Any]:
        found = self.stock.checkpoint(job)
        return {**self._machine, "checkpoint_revision": found.revision, "hub_revision": found.hub_revision}


def _key(job: Job) -> Job:
    """A job without what does not decide whether it can run."""
    return msgspec.structs.replace(job, sweeps=(), again=False)


def load_for(checkpoint: Checkpoint, device: str, optimization: str) -> LoadedModel:
    """The checkpoint on `device` with the optimization applied. Raises `CheckpointError` and `NotApplied`."""
    chosen = find_optimization(optimization)
    attention = chosen.attention(device, checkpoint.family)
    loaded = load_model(checkpoint, device, optimization, chosen.dtype, attention)
    chosen.apply(loaded)
    return loaded
