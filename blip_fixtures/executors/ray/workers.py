"""A machine of the cluster with the one process of ours that measures on it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.case import kind_of
from blip_fixtures.executors.ray.cluster import PATIENCE_S, only_on, said
from blip_fixtures.executors.ray.measurer import Given, Measurer
from blip_fixtures.executors.ray.nodes import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from blip_fixtures.executors.ray.nodes import Node
    from blip_fixtures.executors.ray.undertakings import Undertaking, Work
    from blip_fixtures.reasons import Reason


@dataclass(frozen=True)
class Task:
    """What a worker was asked, and when: work of an undertaking, or to say that it is there."""

    ref: Any
    since_s: float


@dataclass(frozen=True)
class WorkTask(Task):
    """The first of these."""

    undertaking: Undertaking
    work: Work


@dataclass(eq=False)
class Worker:
    """The actor of `node` measures the jobs of `devices`, one at a time, whatever they are called.

    It has all processors of the node and one GPU where one of the devices is a card, so that Ray starts nothing beside
    it; nothing is ever tried twice. `notes` are for the records of what it measures from now on.
    """

    node: Node
    devices: tuple[str, ...]
    given: Given
    measurer: type[Measurer] = Measurer
    actor: Any = None
    task: Task | None = None
    last: str = ""
    notes: list[Reason] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Whether nothing measures on this machine any more."""
        return self.actor is None and self.task is None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a job."""
        return self.actor is not None and self.task is None

    def start(self) -> None:
        """A new actor, whose first answer is its task."""
        import ray

        self.actor = (
            ray.remote(self.measurer)
            .options(
                num_cpus=self.node.cpus,
                num_gpus=1 if any(kind_of(device) == "cuda" for device in self.devices) else 0,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=only_on(self.node),
            )
            .remote(msgspec.json.encode(self.given))
        )
        self.task = Task(self.actor.ready.remote(), time.monotonic())

    def do(self, work: Work, undertaking: Undertaking) -> None:
        """Send it the work."""
        job = undertaking.job
        self.last = job.case.device
        self.task = WorkTask(work.ask(self.actor, job.to_json()), time.monotonic(), undertaking, work)

    @property
    def at_work(self) -> WorkTask | None:
        """What it does now for a job."""
        return self.task if isinstance(self.task, WorkTask) else None

    def kill(self) -> None:
        """End its process; Ray starts no other one."""
        if self.actor is not None:
            import ray

            ray.kill(self.actor, no_restart=True)
        self.actor = self.task = None

    def has_waited_too_long(self, now_s: float) -> bool:
        """Whether Ray has not started the actor in time."""
        return self.task is not None and self.at_work is None and now_s - self.task.since_s > PATIENCE_S

    @property
    def why_not_started(self) -> str:
        """One sentence on an actor that Ray has not started in time."""
        return (
            f"node {self.node} has not given its {self.node.cpus:g} processors"
            f"{' and a GPU' if any(kind_of(device) == 'cuda' for device in self.devices) else ''} within "
            f"{PATIENCE_S:.0f} s: something else holds them; see `ray status`, and measure when it has ended"
        )


def wait_for(worker: Worker, ref: Any, on_wait: Callable[[], None], *, most_s: float | None = None) -> Any:
    """The answer to one call, while `on_wait` is called a few times a second.

    Raises `ClusterError` where the actor died, failed, or did not answer in `most_s`.
    """
    import ray

    begun_s = time.monotonic()
    while True:
        ready, _ = ray.wait([ref], timeout=POLL_S)
        on_wait()
        if ready:
            break
        if most_s is not None and time.monotonic() - begun_s > most_s:
            raise ClusterError(worker.why_not_started)
    try:
        return ray.get(ref)
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"node {worker.node}: the process that measures ended: {said(error)}; see its logs"
        ) from None


def start_all(workers: Iterable[Worker], on_wait: Callable[[], None]) -> None:
    """Raise `ClusterError` where one of them does not start in time."""
    workers = list(workers)
    for worker in workers:
        worker.start()
    for worker in workers:
        assert worker.task is not None
        wait_for(worker, worker.task.ref, on_wait, most_s=PATIENCE_S)
        worker.task = None


# Seconds between two looks at what was asked: a result is there at once, and a signal waits no longer.
POLL_S = 0.5
