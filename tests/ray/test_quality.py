"""The samples of one case shared among machines: what they answer is what one machine answers, whatever ends."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blip_fixtures.case import Case
from blip_fixtures.engine.session import Session
from blip_fixtures.executors.ray.bench import ClusterBench, Terms
from blip_fixtures.executors.ray.cluster import Cluster, connect
from blip_fixtures.executors.ray.measurer import Given, Measurer, on_device
from blip_fixtures.executors.ray.nodes import Node
from blip_fixtures.executors.ray.undertakings import MOST_TRIES
from blip_fixtures.job import Job, SampleSource
from blip_fixtures.record import Record
from blip_fixtures.words import LockMode, PassName, Status, Weights
from tests.ray.conftest import start_cluster
from tests.ray.fakes import DYING, FAILING, HANGING, QUICK, SLOW, ListOfRounds, SleepingMeasurer, make_job

ray = pytest.importorskip("ray")
DEVICE = "cpu@trio"
SAME = ("predictions", "sample_ids", "quality", "tokens", "data", "generation")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Three of one kind."""
    started = start_cluster(*[{"resources": {"trio": 1}, "labels": {}} for _ in range(3)])
    yield started
    started.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes: Any) -> Iterator[Cluster]:
    found = connect(nodes.address)
    yield found
    found.close()


@dataclass
class Run:
    """A bench on so many machines."""

    cluster: Cluster
    kept: list[Record] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None
    bench: Any = None
    processes: list[int] = field(default_factory=list)

    def begin(
        self, jobs: list[Job], nodes: list[Node], measurer: type[Measurer], timeout_s: float | None = None
    ) -> None:
        given = Given(host="", devices={}, facts={}, version="2", cwd=str(Path.cwd()), lock=LockMode.OFF)
        terms = Terms(
            given=given,
            show=lambda text: text,
            timeout_s=timeout_s,
            on_wait=lambda: self.on_wait(),
            keep=self.kept.append,
        )
        self.bench = ClusterBench(self.cluster, {DEVICE: nodes}, terms, measurer)
        self.bench.prepare(jobs)
        self.processes = [ray.get(worker.actor.process.remote()) for worker in self.bench._schedule.workers]
        self.bench.expect(jobs)

    def results(self, jobs: list[Job]) -> list[Record]:
        return [self.bench.attempt(job, loop=ListOfRounds()).record for job in jobs]


@pytest.fixture
def run(cluster: Cluster) -> Iterator[Run]:
    started = Run(cluster)
    yield started
    if started.bench is not None:
        started.bench.close()


def trio(run: Run) -> list[Node]:
    return [node for node in run.cluster.nodes() if "trio" in node.names]


def real_job() -> Job:
    case, samples = make_job(DEVICE, 2).case, SampleSource(limit=51)
    return Job.of(case, passes=(PassName.QUALITY,), samples=samples, timed=False, sweeps=("it",))


@pytest.fixture(scope="module")
def at_home() -> Record:
    job = real_job()
    with Session() as session:
        return session.measure(msgspec.structs.replace(job, case=on_device(job.case, "cpu")))


@pytest.mark.parametrize(("machines", "kills"), [(1, False), (2, False), (3, True)])
def test_the_answers_are_those_of_one_machine(run: Run, at_home: Record, machines: int, kills: bool) -> None:
    job = real_job()
    run.begin([job], trio(run)[:machines], Measurer)
    killed: list[str] = []

    def kill() -> None:
        """The first process, once, while it answers and others have."""
        worker = run.bench._schedule.workers[0]
        (lane,) = run.bench.lanes()
        if kills and not killed and worker.at_work is not None and lane.running and "(0 of" not in lane.running[0]:
            killed.append(lane.running[0])
            os.kill(run.processes[0], signal.SIGKILL)

    run.on_wait = kill
    (record,) = run.results([job])
    assert len(killed) == kills
    assert record.status == Status.OK
    for name in SAME:
        assert getattr(record, name) == getattr(at_home, name), name
    assert msgspec.json.encode(record.predictions) == msgspec.json.encode(at_home.predictions)
    assert len(record.predictions) == 50, "the partial batch is dropped"
    assert record.latency is None
    assert record.missing["latency"].code == "not_timed"
    (note,) = [note for note in record.notes if note.code.startswith("shared_samples")]
    assert note.code == ("shared_samples_again" if kills else "shared_samples")
    assert sum(int(said.rpartition(":")[2]) for said in note.args["nodes"]) == 25
    assert record.environment["ray"]["pooled"]
    assert "host" not in record.environment
    assert run.bench.lanes()[0].done == 1


def test_all_machines_take_part_and_the_next_case_is_begun_meanwhile(run: Run) -> None:
    jobs = [make_job(DEVICE, SLOW, timed=False, image_size=size) for size in (224, 336)]
    run.begin(jobs, trio(run), SleepingMeasurer)
    seen: Counter[int] = Counter()

    def look() -> None:
        seen[len(run.bench.lanes()[0].running)] += 1

    run.on_wait = look
    records = run.results(jobs)
    assert [record.predictions for record in records] == [tuple(f"of {n}" for n in range(8) for _ in range(2))] * 2
    assert seen[2], "two cases at a time, since no worker waits"
    assert len({record.config_hash for record in records}) == 2


def test_what_always_ends_its_process_is_given_up(run: Run) -> None:
    jobs = [make_job(DEVICE, DYING, timed=False), make_job(DEVICE, QUICK, timed=False)]
    run.begin(jobs, trio(run)[:1], SleepingMeasurer)
    died, after = run.results(jobs)
    assert (died.status, died.reason and died.reason.code) == (Status.FAILED, "died_while_measuring")
    assert [note.args["batches"] for note in died.notes] == [MOST_TRIES - 1]
    assert after.status == Status.OK
    assert len(after.predictions) == 16
    assert len(run.kept) == 2


def test_a_case_that_fails_or_hangs_is_one_record(run: Run) -> None:
    jobs = [make_job(DEVICE, kind, timed=False) for kind in (FAILING, HANGING, QUICK)]
    run.begin(jobs, trio(run)[:2], SleepingMeasurer, timeout_s=2.0)
    failed, hung, after = run.results(jobs)
    assert (failed.status, str(failed.reason)) == (Status.FAILED, "it failed there")
    assert (hung.status, hung.reason and hung.reason.code) == (Status.FAILED, "timed_out")
    assert after.status == Status.OK
    assert len(run.kept) == 3


def test_synthetic_weights_are_asked_nothing(run: Run) -> None:
    job = real_job()
    job = msgspec.structs.replace(job, case=Case(**{**job.case.__dict__, "weights": Weights.RANDOM}))
    run.begin([job], trio(run)[:1], Measurer)
    (record,) = run.results([job])
    assert record.missing["quality"].code == "synthetic_weights"
    assert [note.code for note in record.notes if note.code.startswith("shared")] == []


@pytest.mark.parametrize("last", [False, True])
def test_a_node_that_is_lost_while_it_answers(nodes: Any, run: Run, last: bool) -> None:
    name = f"lost-{last}"
    extra = [nodes.add_node(num_cpus=1, resources={name: 1}, labels={}) for _ in range(1 if last else 2)]
    nodes.wait_for_nodes()
    job = make_job(DEVICE, SLOW, timed=False)
    run.begin([job], [node for node in run.cluster.nodes() if name in node.names], SleepingMeasurer)
    removed: list[Any] = []

    def remove() -> None:
        worker = run.bench._schedule.workers[0]
        if not removed and worker.at_work is not None:
            removed.append(next(node for node in extra if node.node_id == worker.node.id))
            nodes.remove_node(removed[0], allow_graceful=False)

    run.on_wait = remove
    (record,) = run.results([job])
    run.on_wait = lambda: None
    for node in extra:
        if node not in removed:
            nodes.remove_node(node)
    if last:
        assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "node_lost")
    else:
        assert record.predictions == tuple(f"of {n}" for n in range(8) for _ in range(2))
