"""Which worker measures which job next, and what becomes of the jobs of one that is lost."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.executors.ray.cluster import said
from blip_fixtures.executors.ray.measurer import Answered, Measured
from blip_fixtures.executors.ray.undertakings import Answer, Shared
from blip_fixtures.executors.ray.workers import POLL_S, WorkTask
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.case import Case
    from blip_fixtures.executors.ray.undertakings import Undertaking
    from blip_fixtures.executors.ray.workers import Worker
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
    """The queues of the devices and the workers that empty them, each with one work at a time.

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
    _queues: dict[str, deque[Undertaking]] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=dict)
    _lost: dict[str, Reason] = field(default_factory=dict)

    def add(self, undertaking: Undertaking) -> None:
        """After the others of its device."""
        self._queues.setdefault(undertaking.job.case.device, deque()).append(undertaking)

    def is_under_way(self, job: Job) -> bool:
        """Whether it waits or runs."""
        running = [task.undertaking for task in self._running()]
        waiting = self._queues.get(job.case.device, ())
        return any(key_of(other.job) == key_of(job) for other in (*running, *waiting) if not other.is_over)

    def lane(self, device: str) -> Lane:
        """The device as it is now."""
        waiting = self._queues.get(device, ())
        begun = [each for each in waiting if each.since_s is not None]
        running = dict.fromkeys((*(task.undertaking for task in self._running()), *begun))
        named = tuple(_called(each) for each in running if each.job.case.device == device and not each.is_over)
        return Lane(device, named, self._done.get(device, 0), len(waiting) - len(begun))

    def step(self) -> None:
        """Give idle workers their next work, wait a moment, and take what is ready."""
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
        tasks = {task.ref: worker for worker in workers if (task := worker.at_work) is not None}
        ready = ray.wait(list(tasks), num_returns=len(tasks), timeout=0)[0] if tasks else []
        for ref in ready:
            self._collect(tasks[ref])
        for worker in workers:
            worker.kill()

    def _running(self) -> list[WorkTask]:
        return [task for worker in self.workers if (task := worker.at_work) is not None]

    def _give_out(self) -> None:
        for worker in self.workers:
            if worker.is_idle:
                # A model is loaded for one device; what is measured with it comes first.
                devices = sorted(worker.devices, key=lambda device: device != worker.last)
                any(self._give(worker, device) for device in devices)
        for device, queue in self._queues.items():
            if not any(device in worker.devices and not worker.is_lost for worker in self.workers):
                while queue:
                    undertaking = queue.popleft()
                    if not undertaking.is_over:
                        self._end(undertaking)
                        self.unmeasured(undertaking.job, Status.UNAVAILABLE, self._lost[device], (), None)

    def _give(self, worker: Worker, device: str) -> bool:
        """The first work of the device's undertakings that is to be had; whether there was one."""
        queue = self._queues.get(device, deque())
        for undertaking in list(queue):
            work = None if undertaking.is_over else undertaking.next()
            if work is not None:
                undertaking.since_s = time.monotonic() if undertaking.since_s is None else undertaking.since_s
                worker.do(work, undertaking)
            if undertaking.is_over or undertaking.is_given_out:
                queue.remove(undertaking)
            if work is not None:
                return True
        return False

    def _collect(self, worker: Worker) -> None:
        """Take the answer of a worker that has one, or find that it died."""
        import ray

        task, worker.task = worker.task, None
        assert task is not None
        try:
            answer = ray.get(task.ref)
        except ray.exceptions.RayTaskError as error:
            # The process lives, and what it was asked failed outside the case.
            if isinstance(task, WorkTask):
                self._fail(worker, task.undertaking, Reason.verbatim(said(error)), error)
            return
        except ray.exceptions.RayError as error:
            self._died(worker, task if isinstance(task, WorkTask) else None, said(error))
            return
        if isinstance(task, WorkTask) and not task.undertaking.is_over:
            self._take(worker, task, answer)

    def _take(self, worker: Worker, task: WorkTask, answer: bytes) -> None:
        undertaking, work = task.undertaking, task.work
        if isinstance(undertaking, Shared) and isinstance(work, Answer):
            answered = msgspec.json.decode(answer, type=Answered)
            if answered.failed is None:
                undertaking.take(work, bytes(answered.answers), self.name(worker))
                return
            found = answered.failed
        else:
            found = msgspec.json.decode(answer, type=Measured)
        failed = None if found.error is None else RemoteError(f"on node {worker.node}:\n{found.error}")
        self._end(undertaking)
        notes = (*found.record.notes, *self._notes(worker, undertaking))
        self.measured(undertaking.job, msgspec.structs.replace(found.record, notes=notes), failed)

    def _notes(self, worker: Worker, undertaking: Undertaking) -> tuple[Reason, ...]:
        """Of one that many worked at, its own: what became of one of these before is no fact of it."""
        return undertaking.notes() if isinstance(undertaking, Shared) else tuple(worker.notes)

    def _fail(self, worker: Worker, undertaking: Undertaking, reason: Reason, error: Exception | None = None) -> None:
        if not undertaking.is_over:
            self._end(undertaking)
            error = error or RemoteError(str(reason))
            self.unmeasured(undertaking.job, Status.FAILED, reason, self._notes(worker, undertaking), error)

    def _died(self, worker: Worker, task: WorkTask | None, how: str) -> None:
        """The running case has failed unless its work may be done again; those after it get a new process.

        Where the machine is gone too, nobody measures there any more.
        """
        if task is not None and not task.undertaking.is_over and not task.undertaking.take_back(task.work):
            reason = Reason.of("died_while_measuring", how=f"{self.name(worker)}: {how}")
            self._fail(worker, task.undertaking, reason)
        if task is None or not self.is_alive(worker):
            self._lose(worker, how)
        else:
            self._start_again(worker, task.undertaking.job)

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
            task = worker.at_work
            if worker.has_waited_too_long(now_s):
                self._lose(worker, worker.why_not_started)
            elif task is not None and most_s is not None and now_s - (task.undertaking.since_s or now_s) > most_s:
                self._fail(worker, task.undertaking, Reason.of("timed_out", seconds=most_s))
                self._start_again(worker, task.undertaking.job)

    def _end(self, undertaking: Undertaking) -> None:
        """It has a record, or will have no other."""
        undertaking.is_over = True
        device = undertaking.job.case.device
        self._done[device] = self._done.get(device, 0) + 1


def _called(undertaking: Undertaking) -> str:
    """Its case, with how far it is where it has parts."""
    case_id = undertaking.job.case.id
    return f"{case_id} ({undertaking.standing})" if isinstance(undertaking, Shared) else case_id
