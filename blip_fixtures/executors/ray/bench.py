"""`ClusterBench`: the jobs of a run, measured by the actors of a cluster, side by side on as many machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.case import kind_of
from blip_fixtures.engine.session import Outcome
from blip_fixtures.executors.ray.checks import check_alike, local_folders
from blip_fixtures.executors.ray.measurer import Absent, Given, Measurer, Planned, Prepared
from blip_fixtures.executors.ray.nodes import ClusterError
from blip_fixtures.executors.ray.schedule import Key, RemoteError, Schedule, key_of
from blip_fixtures.executors.ray.undertakings import Shared, Whole
from blip_fixtures.executors.ray.workers import Worker, start_all, wait_for
from blip_fixtures.meters import MeterError
from blip_fixtures.record import shown
from blip_fixtures.words import EnergyStatus, Status, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.executors.base import ListingLoop
    from blip_fixtures.executors.ray.cluster import Cluster
    from blip_fixtures.executors.ray.nodes import Node
    from blip_fixtures.executors.ray.schedule import Lane
    from blip_fixtures.executors.ray.undertakings import Undertaking
    from blip_fixtures.job import Job
    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Record


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a run says of how to measure: `Given` without the machine, a limit for a case in seconds, and callbacks.

    `keep` gets every record as soon as it is here, and then `arrived`; `on_wait` is called while there is nothing to
    do, and may raise.
    """

    given: Given
    show: Callable[[str], str]
    timeout_s: float | None = None
    on_wait: Callable[[], None] = lambda: None
    keep: Callable[[Record], None] = lambda _record: None
    arrived: Callable[[Record], None] = lambda _record: None


class ClusterBench:
    """A `Bench`. `devices` has the machines of each device, of which without pooling the first one measures.

    Jobs of a device run in the order in which they are expected. A case that ends its process has failed, and is not
    tried again; what follows it on that device runs in a new process, and says so. Of jobs that are not timed all
    machines answer batches, and those of a process that ended are answered again.
    """

    in_this_process = False

    def __init__(
        self, cluster: Cluster, devices: Mapping[str, Sequence[Node]], terms: Terms, measurer: type[Measurer] = Measurer
    ) -> None:
        self._cluster = cluster
        self._terms = terms
        self._measurer = measurer
        self._nodes = {device: tuple(nodes) for device, nodes in devices.items()}
        self._schedule = Schedule(
            [],
            self._measured,
            self._unmeasured,
            self._name,
            lambda worker: cluster.is_alive(worker.node),
            terms.timeout_s,
        )
        self._outcomes: dict[Key, Outcome] = {}
        self._planned: dict[Key, Planned] = {}
        self._absent: dict[str, MeterError] = {}

    def prepare(self, jobs: Sequence[Job], *, with_meters: bool = True) -> None:
        """Start the actors, and check on every machine what it will measure.

        Raises `ClusterError` in one sentence that names the machine.
        """
        workers = self._schedule.workers = self._make_workers(jobs)
        start_all(workers, self._terms.on_wait)
        asked = {}
        for worker in workers:
            own = [job.to_json() for job in jobs if job.case.device in worker.devices]
            asked[worker] = worker.actor.prepare.remote(own, with_meters=with_meters)
        told: list[tuple[str, Planned]] = []
        for worker, ref in asked.items():
            found = msgspec.json.decode(wait_for(worker, ref, self._terms.on_wait), type=Prepared)
            if found.problem is not None:
                raise ClusterError(f"node {worker.node}: {found.problem}")
            told += [(f"node {worker.node}", planned) for planned in found.planned]
            absent = wait_for(worker, worker.actor.absent_meters.remote(), self._terms.on_wait)
            for each in msgspec.json.decode(absent, type=list[Absent]):
                error = MeterError(EnergyStatus(each.status), each.reason)
                self._absent[f"{each.name} on {worker.node}"] = error
        check_alike([(where, planned.settings) for where, planned in told])
        self._plan(told)

    def sample_count(self, job: Job) -> int:
        """As the machine that will measure it has them."""
        return self._planned[key_of(job)].samples

    def expect(self, jobs: Sequence[Job]) -> None:
        """They run from the first `attempt` on."""
        for job in jobs:
            self._schedule.add(self._undertaking(job))

    def why_unavailable(self, job: Job) -> Reason | None:
        """Why the machine cannot run it."""
        return self.planned(job).reason

    def planned(self, job: Job) -> Record:
        """What its machine knew of it when it was asked."""
        return msgspec.structs.replace(self._planned[key_of(job)].record, sweeps=job.sweeps)

    def config_hash(self, job: Job) -> str:
        """By which it is known again on any cluster that has the same machine under the same name."""
        return self._planned[key_of(job)].settings.digest

    def attempt(self, job: Job, *, loop: ListingLoop) -> Outcome:
        """That of the job; the other devices go on while it is waited for."""
        key = key_of(job)
        if key not in self._outcomes and not self._schedule.is_under_way(job):
            self._schedule.add(self._undertaking(job))
        while key not in self._outcomes:
            self._schedule.step()
            self._terms.on_wait()
        outcome = self._outcomes.pop(key)
        if outcome.record.latency is not None and outcome.record.status == Status.OK:
            loop.listed(outcome.record.latency.rounds_s)
        return outcome

    def given_up(self, job: Job, reason: Reason) -> Record:
        """A failed case that nothing measured."""
        return self._without_measurement(job, Status.FAILED, reason)

    def try_out(self, job: Job) -> None:
        """Generate once on the first machine of the device. Raises `RemoteError`."""
        worker = next(worker for worker in self._schedule.workers if job.case.device in worker.devices)
        error = wait_for(worker, worker.actor.try_out.remote(job.to_json()), self._terms.on_wait)
        if error is not None:
            raise RemoteError(f"on node {worker.node}:\n{error}")

    def absent_meters(self) -> Mapping[str, MeterError]:
        """Of all machines, as they were when they were asked."""
        return self._absent

    def close(self) -> None:
        """Keep what has finished, and end every actor."""
        if self._cluster.is_open:
            self._schedule.end()

    def lanes(self) -> list[Lane]:
        """Each device, as it is now."""
        return [self._schedule.lane(device) for device in self._nodes]

    def _make_workers(self, jobs: Sequence[Job]) -> list[Worker]:
        """One for each machine that jobs need."""
        served: dict[Node, list[str]] = {}
        for device in dict.fromkeys(job.case.device for job in jobs):
            timed = any(job.is_timed for job in jobs if job.case.device == device)
            nodes = self._nodes[device]
            for node in nodes[:1] if timed and not self._terms.given.pooled else nodes:
                served.setdefault(node, []).append(device)
        folders = local_folders(jobs)
        return [
            Worker(node, tuple(devices), self._given_to(node, devices, folders), self._measurer)
            for node, devices in served.items()
        ]

    def _undertaking(self, job: Job) -> Undertaking:
        if job.is_timed:
            return Whole(job)
        # Synthetic weights know no language: nobody asks them.
        asked = self.sample_count(job) // job.case.batch_size if job.case.weights != Weights.RANDOM else 0
        return Shared(job, asked, sum(job.case.device in worker.devices for worker in self._schedule.workers))

    def _given_to(self, node: Node, devices: Sequence[str], folders: list[str]) -> Given:
        torch_devices = {device: node.torch_device(kind_of(device)) for device in devices}
        return msgspec.structs.replace(self._terms.given, host=node.host, devices=torch_devices, folders=folders)

    def _plan(self, told: Sequence[tuple[str, Planned]]) -> None:
        """Keep what the first machine of each device says. Raises `ClusterError` where another is of another kind."""
        first: dict[str, tuple[str, str | None]] = {}
        for where, planned in told:
            name = planned.record.case.device_name
            other, known = first.setdefault(planned.job.case.device, (where, name))
            if name != known:
                why = "--blip-pool-alike" if self._terms.given.pooled else "samples shared among machines"
                raise ClusterError(
                    f"{why}: {where} has {name} and {other} has {known} for {planned.job.case.device}; "
                    "give them labels of their own"
                )
            self._planned.setdefault(key_of(planned.job), planned)

    def _measured(self, job: Job, record: Record, error: Exception | None) -> None:
        self._finish(job, Outcome(shown(record, self._terms.show), error))

    def _unmeasured(
        self, job: Job, status: Status, reason: Reason, notes: Iterable[Reason], error: Exception | None
    ) -> None:
        self._finish(job, Outcome(self._without_measurement(job, status, reason, *notes), error))

    def _finish(self, job: Job, outcome: Outcome) -> None:
        self._outcomes[key_of(job)] = outcome
        self._terms.keep(outcome.record)
        self._terms.arrived(outcome.record)

    def _without_measurement(self, job: Job, status: Status, reason: Reason, *notes: Reason) -> Record:
        known = self.planned(job)
        found = msgspec.structs.replace(known, status=status, reason=reason, notes=(*known.notes, *notes))
        return shown(found, self._terms.show)

    def _name(self, worker: Worker) -> str:
        """As records call the machine."""
        return worker.devices[0] if self._terms.given.anonymous else str(worker.node)
