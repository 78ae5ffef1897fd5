"""Jobs on a cluster of four nodes: side by side, each once, and what becomes of them where something ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from blip_fixtures.executors.ray import bench as bench_module
from blip_fixtures.executors.ray import workers
from blip_fixtures.executors.ray.bench import ClusterBench, Terms
from blip_fixtures.executors.ray.cluster import Cluster, connect
from blip_fixtures.executors.ray.measurer import Given, Measurer
from blip_fixtures.executors.ray.naming import resolve
from blip_fixtures.executors.ray.nodes import ClusterError, Node, facts_here
from blip_fixtures.executors.ray.schedule import RemoteError
from blip_fixtures.job import Job
from blip_fixtures.record import Record
from blip_fixtures.words import EnergyMode, LockMode, PassName, Status
from tests.ray.fakes import DYING, FAILING, HANGING, QUICK, SLOW, SLOW_S, ListOfRounds, SleepingMeasurer, make_job

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster(nodes: Any) -> Iterator[Cluster]:
    found = connect(nodes.address)
    yield found
    found.close()


@dataclass
class Run:
    """A bench with what it told, in the order in which it did."""

    cluster: Cluster
    kept: list[Record] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None
    bench: Any = None

    def begin(
        self,
        jobs: list[Job],
        *,
        measurer: type[Measurer] = SleepingMeasurer,
        timeout_s: float | None = None,
        **given: Any,
    ) -> None:
        facts: dict[str, Any] = {"host": "", "devices": {}, "facts": {}, "version": "2", "cwd": str(Path.cwd())}
        terms = Terms(
            given=Given(**{**facts, "lock": LockMode.OFF, **given}),
            show=lambda text: text,
            timeout_s=timeout_s,
            on_wait=lambda: self.on_wait(),
            keep=self.kept.append,
        )
        devices = resolve(list(dict.fromkeys(job.case.device for job in jobs)), self.nodes(), lambda _node: "x")
        self.bench = ClusterBench(self.cluster, devices, terms, measurer)
        self.bench.prepare(jobs)
        self.bench.expect(jobs)

    def nodes(self) -> list[Node]:
        return self.cluster.nodes()

    def results(self, jobs: list[Job]) -> list[Record]:
        return [self.bench.attempt(job, loop=ListOfRounds()).record for job in jobs]


@pytest.fixture
def run(cluster: Cluster) -> Iterator[Run]:
    started = Run(cluster)
    yield started
    started.bench.close()


def codes(record: Record) -> list[str]:
    return [reason.code for reason in (*([record.reason] if record.reason else []), *record.notes)]


def process_of(record: Record) -> int:
    return int(record.environment["pid"])


def wait_until(true: Callable[[], bool], most_s: float = 20.0) -> None:
    end_s = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_devices_work_side_by_side_and_each_job_once(run: Run) -> None:
    jobs = [make_job(device, SLOW, image_size=size) for device in ("cpu@a", "cpu@b") for size in (224, 336)]
    run.begin(jobs)
    assert ray.available_resources().get("CPU", 0) == 2, "an actor has its node's processors"
    begun_s = time.monotonic()
    loop = ListOfRounds()
    run.bench.attempt(jobs[0], loop=loop)
    records = [*run.results(jobs[1:])]
    assert time.monotonic() - begun_s < 3.5 * SLOW_S, "two seconds of work on each of two nodes"
    assert loop.rounds_s == [0.5, 0.5]
    assert sorted(record.case_id for record in run.kept) == sorted(job.case.id for job in jobs)
    assert len({process_of(record) for record in run.kept}) == 2
    assert {record.case.device for record in records} == {"cpu@a", "cpu@b"}
    assert all(record.config_hash == run.bench.config_hash(job) for record, job in zip(records, jobs[1:], strict=True))
    assert len({record.config_hash for record in run.kept}) == 4
    assert run.kept[0].environment["host"]
    again = jobs[0].second_timing()
    assert run.bench.attempt(again, loop=ListOfRounds()).record.again


def test_what_ray_disturbs_is_undone_and_recorded(run: Run) -> None:
    job = make_job("cpu@a")
    run.begin([job])
    through = run.results([job])[0].environment["ray"]
    said = [*through["undone"], *through["left"]]
    assert "all_gpus_visible" in through["undone"]
    assert "memory_monitor" in through["left"]
    assert "niceness=15" in said
    if os.geteuid() == 0:
        worker = run.bench._schedule.workers[0]
        assert psutil.Process(ray.get(worker.actor.process.remote())).nice() == 0


def test_a_case_that_ends_its_process_fails_and_the_next_one_says_so(run: Run) -> None:
    jobs = [make_job("cpu@a", DYING), make_job("cpu@a", QUICK), make_job("cpu@b", QUICK)]
    run.begin(jobs)
    died, after, elsewhere = run.results(jobs)
    assert (died.status, codes(died)) == (Status.FAILED, ["died_while_measuring"])
    assert "(a)" in str(died.reason), "it names the node"
    assert died.config_hash == run.bench.config_hash(jobs[0])
    assert (after.status, codes(after)) == (Status.OK, ["after_a_lost_process"])
    assert codes(elsewhere) == []
    assert len(run.kept) == 3


def test_a_case_that_fails_brings_its_traceback(run: Run) -> None:
    jobs = [make_job("cpu@a", FAILING), make_job("cpu@a", QUICK)]
    run.begin(jobs)
    outcome = run.bench.attempt(jobs[0], loop=ListOfRounds())
    assert outcome.record.status == Status.FAILED
    assert isinstance(outcome.error, RemoteError)
    assert "it failed there" in str(outcome.error)
    assert "on node" in str(outcome.error)
    assert run.results(jobs[1:])[0].status == Status.OK


def test_a_case_that_hangs_is_ended(run: Run) -> None:
    jobs = [make_job("cpu@a", HANGING), make_job("cpu@a", QUICK)]
    run.begin(jobs, timeout_s=1.5)
    hung, after = run.results(jobs)
    assert (hung.status, codes(hung)) == (Status.FAILED, ["timed_out"])
    assert (after.status, codes(after)) == (Status.OK, ["after_a_lost_process"])


class Holder:
    def held(self) -> bool:
        return True


def test_processors_that_somebody_holds_are_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from blip_fixtures.executors.ray.cluster import only_on

    node = next(node for node in run.nodes() if node.label == "a")
    holder = ray.remote(Holder).options(num_cpus=1, scheduling_strategy=only_on(node)).remote()
    assert ray.get(holder.held.remote())
    monkeypatch.setattr(workers, "PATIENCE_S", 2.0)
    with pytest.raises(ClusterError, match=r"node .* \(a\) has not given its 1 processors within 2 s: something else"):
        run.begin([make_job("cpu@a")])
    ray.kill(holder)


def test_a_stop_keeps_what_has_finished_and_leaves_no_process(run: Run) -> None:
    jobs = [make_job("cpu@a", QUICK), make_job("cpu@b", HANGING)]
    run.begin(jobs)
    assert run.results(jobs[:1])[0].status == Status.OK
    pids = [ray.get(w.actor.process.remote()) for w in run.bench._schedule.workers if w.task is None]
    run.on_wait = _interrupt
    with pytest.raises(KeyboardInterrupt):
        run.results(jobs[1:])
    run.on_wait = lambda: None
    run.bench.close()
    assert [record.case.device for record in run.kept] == ["cpu@a"]
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 4)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_finished_case_is_kept_before_its_test_asks(run: Run) -> None:
    jobs = [make_job("cpu@a", SLOW), make_job("cpu@b", QUICK)]
    run.begin(jobs)
    run.results(jobs[:1])
    assert [record.case.device for record in run.kept] == ["cpu@b", "cpu@a"]


def test_any_machine_of_a_kind_measures_where_that_was_asked_for(run: Run) -> None:
    jobs = [make_job("cpu@pair", SLOW, image_size=size) for size in (224, 336)]
    run.begin(jobs, pooled=True)
    records = run.results(jobs)
    assert len({process_of(record) for record in records}) == 2
    assert {record.case.device for record in records} == {"cpu@pair"}
    assert all(record.environment["ray"]["pooled"] for record in records)


def test_without_that_one_machine_measures(run: Run) -> None:
    jobs = [make_job("cpu@pair", SLOW, image_size=size) for size in (224, 336)]
    run.begin(jobs)
    assert len({process_of(record) for record in run.results(jobs)}) == 1


def test_a_processor_and_a_card_of_one_machine_take_turns(run: Run) -> None:
    node = next(node for node in run.nodes() if node.gpus)
    jobs = [make_job(device, SLOW) for device in ("cuda@pair", "cpu@pair")]
    devices = resolve(["cuda@pair"], run.nodes(), lambda _node: "x")
    run.begin(jobs[:1])
    run.bench.close()
    both = {"cuda@pair": devices["cuda@pair"], "cpu@pair": [node]}
    run.bench = ClusterBench(run.cluster, both, run.bench._terms, SleepingMeasurer)
    run.bench.prepare(jobs)
    run.bench.expect(jobs)
    assert len({process_of(record) for record in run.results(jobs)}) == 1


@pytest.mark.parametrize("pooled", [False, True])
def test_a_node_that_is_lost_while_it_measures(nodes: Any, run: Run, pooled: bool) -> None:
    name = f"lost-{pooled}"
    extra = [nodes.add_node(num_cpus=1, resources={name: 1}, labels={}) for _ in range(1 + pooled)]
    nodes.wait_for_nodes()
    jobs = [make_job(f"cpu@{name}", SLOW, image_size=size) for size in (224, 336, 448, 560)]
    run.begin(jobs, pooled=pooled)
    worker = run.bench._schedule.workers[0]
    removed: list[Any] = []

    def remove() -> None:
        """The worker's node, once, while a case runs there."""
        if not removed and worker.at_work is not None:
            removed.append(next(node for node in extra if node.node_id == worker.node.id))
            nodes.remove_node(removed[0], allow_graceful=False)

    run.on_wait = remove
    records = run.results(jobs)
    run.on_wait = lambda: None
    for node in extra:
        if node not in removed:
            nodes.remove_node(node)
    failed = [record for record in records if record.status == Status.FAILED]
    assert [codes(record) for record in failed] == [["died_while_measuring"]]
    rest = [record for record in records if record.status != Status.FAILED]
    assert len(run.kept) == 4, "each once"
    if pooled:
        assert {record.status for record in rest} == {Status.OK}
    else:
        assert {tuple(codes(record)) for record in rest} == {("node_lost",)}
        assert {record.status for record in rest} == {Status.UNAVAILABLE}


def test_the_package_travels(cluster: Cluster) -> None:
    node = next(node for node in cluster.nodes() if node.label == "a")
    assert cluster.facts([node]) == {node: facts_here()}
    sent, before = ray.get(ray.remote(what_was_sent).remote())
    assert sent == facts_here().package
    assert before, "it comes before what is installed there"


def what_was_sent() -> tuple[str, bool]:
    """The digest of the package that Ray unpacked for this process, and whether it hides an installed one."""
    import sys

    from blip_fixtures.executors.ray.nodes import package_digest

    places = [place for place in sys.path if "py_modules_files" in place]
    installed = [place for place in sys.path if place.endswith("site-packages")]
    is_first = sys.path.index(places[0]) < min(map(sys.path.index, installed))
    return package_digest(Path(places[0], "blip_fixtures")), is_first


def test_what_a_machine_lacks_is_said_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    job = make_job("cpu@a")
    energy = Job.of(
        job.case,
        passes=(PassName.LATENCY, PassName.ENERGY),
        energy=EnergyMode.REQUIRE,
        rapl_root=str(tmp_path / "none"),
    )
    with pytest.raises(ClusterError, match=r"^node .* \(a\): --blip-energy=require, and energy meters are missing"):
        run.begin([energy], measurer=Measurer)
    assert run.kept == []


def test_a_folder_that_is_not_on_a_node(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "local_folders", lambda _jobs: [str(tmp_path), str(tmp_path / "away")])
    with pytest.raises(ClusterError, match=r"^node .* \(a\): it has no .*away; copy it there"):
        run.begin([make_job("cpu@a")])
