"""Which worker measures which job next, and what becomes of the jobs of one that is lost."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.executors.ray.cluster import said
from blip_fixtures.executors.ray.measurer import Measured
from blip_fixtures.executors.ray.workers import POLL_S
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.case import Case
    from blip_fixtures.executors.ray.workers import Task, Worker
    from blip_fixtures.job import Job
    from blip_fixtures.record import Record

# A job of one run, and whether it is a second timing.
Key = tuple["Case", bool]


class RemoteError(Exception):
    """A case failed on a machine of the cluster; the message has the traceback from there."""


def key_of(job: Job) -> Key:
    """By which a run knows a job."""
    return job.case, job.again


@dataclass(frozen=True)
class Lane:
    """One device as progress shows it: what runs on it now, and how many cases are done and left."""

    device: str
    running: tuple[str, ...]
    done: int
    left: int


@dataclass
class Schedule:
    """The queues of the devices and the workers that empty them, one job at a time each, none twice.

    `measured` gets a job with its record and the error of one that failed; `unmeasured` one that has a status and
    reasons alone, the first of them why. `name` says how records call a worker's machine, `is_alive` whether it is
    there. A case takes `timeout_s` at most.
    """

    workers: list[Worker]
    measured: Callable[[Job, Record, Exception | None], None]
    unmeasured: Callable[[Job, Status, Reason, Iterable[Reason], Exception | None], None]
    name: Callable[[Worker], str]
    is_alive: Callable[[Worker], bool]
    timeout_s: float | None = None
    _queues: dict[str, deque[Job]] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=dict)
    _lost: dict[str, Reason] = field(default_factory=dict)

    def add(self, job: Job) -> None:
        """After the others of its device."""
        self._queues.setdefault(job.case.device, deque()).append(job)

    def is_under_way(self, job: Job) -> bool:
        """Whether it waits or runs."""
        running = [task.job for worker in self.workers if (task := worker.task) is not None]
        return any(
            other is not None and key_of(other) == key_of(job)
            for other in (*running, *self._queues.get(job.case.device, ()))
        )

    def lane(self, device: str) -> Lane:
        """The device as it is now."""
        jobs = [task.job for worker in self.workers if (task := worker.task) is not None and task.job is not None]
        running = tuple(job.case.id for job in jobs if job.case.device == device)
        return Lane(device, running, self._done.get(device, 0), len(self._queues.get(device, ())))

    def step(self) -> None:
        """Give idle workers their next job, wait a moment, and take what is ready."""
        import ray

        self._give_out()
        tasks = {task.ref: worker for worker in self.workers if (task := worker.task) is not None}
        if tasks:
            ready, _ = ray.wait(list(tasks), num_returns=1, timeout=POLL_S)
            for ref in ready:
                self._collect(tasks[ref])
        self._end_overdue()

    def end(self) -> None:
        """Take what has finished, and end every worker."""
        import ray

        workers, self.workers = self.workers, []
        tasks = {task.ref: worker for worker in workers if (task := worker.task) is not None and task.job is not None}
        ready = ray.wait(list(tasks), num_returns=len(tasks), timeout=0)[0] if tasks else []
        for ref in ready:
            self._collect(tasks[ref])
        for worker in workers:
            worker.kill()

    def _give_out(self) -> None:
        for worker in self.workers:
            waiting = [device for device in worker.devices if self._queues.get(device)]
            if worker.is_idle and waiting:
                # A model is loaded for one device; what is measured with it comes first.
                device = worker.last if worker.last in waiting else waiting[0]
                worker.measure(self._queues[device].popleft())
        for device, queue in self._queues.items():
            if not any(device in worker.devices and not worker.is_lost for worker in self.workers):
                while queue:
                    self._count(device)
                    self.unmeasured(queue.popleft(), Status.UNAVAILABLE, self._lost[device], (), None)

    def _collect(self, worker: Worker) -> None:
        """Take the answer of a worker that has one, or find that it died."""
        import ray

        task, worker.task = worker.task, None
        assert task is not None
        try:
            answer = ray.get(task.ref)
        except ray.exceptions.RayTaskError as error:
            # The process lives, and what it was asked failed outside the case.
            self._fail(worker, task, Reason.verbatim(said(error)), error)
            return
        except ray.exceptions.RayError as error:
            self._died(worker, task, said(error))
            return
        if task.job is not None:
            found = msgspec.json.decode(answer, type=Measured)
            failed = None if found.error is None else RemoteError(f"on node {worker.node}:\n{found.error}")
            self._count(task.job.case.device)
            notes = (*found.record.notes, *worker.notes)
            self.measured(task.job, msgspec.structs.replace(found.record, notes=notes), failed)

    def _fail(self, worker: Worker, task: Task, reason: Reason, error: Exception | None = None) -> None:
        if task.job is not None:
            self._count(task.job.case.device)
            error = error or RemoteError(str(reason))
            self.unmeasured(task.job, Status.FAILED, reason, worker.notes, error)

    def _died(self, worker: Worker, task: Task, how: str) -> None:
        """The running case has failed; those after it get a new process where the machine is still there."""
        self._fail(worker, task, Reason.of("died_while_measuring", how=f"{self.name(worker)}: {how}"))
        if task.job is None or not self.is_alive(worker):
            self._lose(worker, how)
        else:
            self._start_again(worker, task.job)

    def _start_again(self, worker: Worker, job: Job) -> None:
        worker.kill()
        if worker in self.workers:
            worker.notes = [Reason.of("after_a_lost_process", node=self.name(worker), case_id=job.case.id)]
            worker.start()

    def _lose(self, worker: Worker, how: str) -> None:
        """Nothing measures on the machine any more; others of its kind, where they may, take its share."""
        worker.kill()
        name = self.name(worker)
        for device in worker.devices:
            self._lost[device] = Reason.of("node_lost", node=name, how=how)
            for other in self.workers:
                if device in other.devices and not other.is_lost:
                    other.notes.append(Reason.of("share_of_a_lost_node", node=name))

    def _end_overdue(self) -> None:
        now_s, most_s = time.monotonic(), self.timeout_s
        for worker in self.workers:
            task = worker.task
            if worker.has_waited_too_long(now_s):
                self._lose(worker, worker.why_not_started)
            elif task is not None and task.job is not None and most_s is not None and now_s - task.since_s > most_s:
                self._fail(worker, task, Reason.of("timed_out", seconds=most_s))
                self._start_again(worker, task.job)

    def _count(self, device: str) -> None:
        self._done[device] = self._done.get(device, 0) + 1
