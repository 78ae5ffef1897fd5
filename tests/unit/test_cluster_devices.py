"""Which machines of a cluster a name means, and what must be the same on all of them. Nothing here needs Ray."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blip_fixtures.case import kind_of
from blip_fixtures.executors.ray import cluster, undoing
from blip_fixtures.executors.ray.checks import check_alike, check_facts, local_folders
from blip_fixtures.executors.ray.cluster import connect, said
from blip_fixtures.executors.ray.measurer import Given
from blip_fixtures.executors.ray.naming import candidates, resolve
from blip_fixtures.executors.ray.nodes import ClusterError, Node, NodeFacts, facts_here, package_digest
from blip_fixtures.executors.ray.schedule import Lane, Schedule
from blip_fixtures.executors.ray.undertakings import Whole
from blip_fixtures.executors.ray.workers import Worker
from blip_fixtures.job import SampleSource
from blip_fixtures.pytest_plugin.side_by_side import SideBySide
from blip_fixtures.settings import DeviceIdentity
from blip_fixtures.words import Status
from tests.unit.records import make_record
from tests.unit.test_progress import Config, Terminal
from tests.unit.test_settings import JOB, settings

FAST, OLD = "Fast Processor", "Old Processor"
CPU = {"alpha": FAST, "beta": FAST, "gamma": OLD, "delta": OLD}


def node(host: str, label: str = "", gpus: float = 0, accelerators: tuple[str, ...] = (), **more: Any) -> Node:
    return Node(id=host, host=host, cpus=4, gpus=gpus, label=label, accelerators=accelerators, **more)


H100 = node("alpha", gpus=8, accelerators=("H100",))
OTHER_H100 = node("beta", gpus=1, accelerators=("H100",))
PLAIN = node("gamma", label="old", resources=("disk",))
BARE = node("delta")
NODES = (PLAIN, OTHER_H100, H100, BARE)


def cpu_of(one: Node) -> str:
    return CPU[one.host]


def names(found: Any) -> dict[str, list[str]]:
    return {device: [one.host for one in nodes] for device, nodes in found.items()}


def chosen(wanted: Sequence[str], nodes: Sequence[Node] = NODES, **more: Any) -> dict[str, list[str]]:
    return names(resolve(wanted, candidates(wanted, nodes), cpu_of, **more))


def test_a_node_as_ray_lists_it() -> None:
    listed = {
        "NodeID": "id",
        "NodeManagerHostname": "alpha",
        "Resources": {
            "CPU": 4.0,
            "GPU": 2.0,
            "memory": 1.0,
            "node:10.0.0.1": 1.0,
            "node:__internal_head__": 1.0,
            "accelerator_type:H100": 1.0,
            "object_store_memory": 1.0,
            "disk": 1.0,
        },
        "Labels": {"blip": "fast", "ray.io/node-id": "id"},
    }
    found = Node.of(listed)
    assert (found.cpus, found.gpus, found.names) == (4, 2, ("fast", "H100", "disk", "alpha"))
    assert str(found) == "alpha (fast)"
    assert (found.torch_device("cpu"), found.torch_device("cuda")) == ("cpu", "cuda:0")


@pytest.mark.parametrize(
    ("device", "hosts"),
    [
        ("cuda@H100", ["alpha", "beta"]),
        ("cpu@H100", ["alpha", "beta"]),
        ("cpu@old", ["gamma"]),
        ("cpu@disk", ["gamma"]),
        ("cpu@delta", ["delta"]),
    ],
)
def test_a_machine_by_its_names(device: str, hosts: list[str]) -> None:
    assert chosen([device]) == {device: hosts}


@pytest.mark.parametrize("word", ["every", "auto"])
def test_one_device_of_each_kind(word: str) -> None:
    assert chosen([word]) == {
        "cpu@delta": ["delta"],
        "cpu@old": ["gamma"],
        "cpu@alpha": ["alpha", "beta"],
        "cuda@H100": ["alpha", "beta"],
    }


def test_machines_with_resources_of_their_own_are_kinds_of_their_own() -> None:
    nodes = [node("alpha", resources=("left",)), node("beta", resources=("right",)), BARE]
    assert chosen(["every"], nodes) == {"cpu@left": ["alpha"], "cpu@right": ["beta"], "cpu@delta": ["delta"]}


def test_an_anonymous_run_names_no_host() -> None:
    found = chosen(["every"], named=False)
    assert not any(host in device for device in found for host in CPU)
    assert len(found) == 4


def test_kinds_that_share_a_name_stay_apart() -> None:
    nodes = [node("alpha", "x", 1, ("H100",)), node("beta", "y", 1, ("H100",)), node("gamma", "x")]
    assert chosen(["every"], nodes) == {
        "cpu@x": ["gamma"],
        "cpu@x.2": ["alpha"],
        "cpu@y": ["beta"],
        "cuda@H100": ["alpha"],
        "cuda@y": ["beta"],
    }


@pytest.mark.parametrize(
    ("wanted", "nodes", "sentence"),
    [
        (["cuda@H10O"], NODES, "no node of the cluster is called H10O; there are .*did you mean H100"),
        (["cuda@old"], NODES, r"node gamma \(old\) has no GPU that Ray knows of; .*cpu@old"),
        (["every"], [], "no node of the cluster has a processor to give"),
        (["cpu@x"], [node("alpha", "x"), node("gamma", "x")], "machines of several kinds: alpha .* gamma "),
    ],
)
def test_a_name_that_means_nothing_or_too_much(wanted: list[str], nodes: Sequence[Node], sentence: str) -> None:
    with pytest.raises(ClusterError, match=sentence):
        chosen(wanted, nodes)


def test_the_kind_of_a_device() -> None:
    assert list(map(kind_of, ("cpu", "cuda:1", "cuda@H100", "cpu@a.b"))) == ["cpu", "cuda", "cuda", "cpu"]


OWN = NodeFacts(cpu=FAST, python="3.12.1", versions={"torch": "2.13.0", "transformers": "5.17.0"}, package="abc")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"python": "3.11.9"}, "node alpha has Python 3.11.9 and this process 3.12.1; use"),
        ({"versions": {**OWN.versions, "torch": "2.12.0"}}, "node alpha has torch 2.12.0 and this process 2.13.0;"),
        ({"versions": {"torch": "2.13.0"}}, "node alpha has no transformers; install transformers 5.17.0 there"),
        ({"package": "xyz"}, "node alpha runs another pytest-blip than this process"),
    ],
)
def test_a_node_with_another_version(change: dict[str, Any], sentence: str) -> None:
    check_facts(OWN, {BARE: OWN, H100: msgspec.structs.replace(OWN, cpu=OLD)})
    with pytest.raises(ClusterError, match=sentence):
        check_facts(OWN, {BARE: OWN, H100: msgspec.structs.replace(OWN, **change)})


def test_the_facts_of_this_machine() -> None:
    found = facts_here()
    assert found.versions["torch"]
    assert "+" not in str(found.versions["torch"])
    assert found.package == package_digest()


@pytest.mark.parametrize("what", ["checkpoint_revision", "checkpoint_files", "data_revision"])
def test_other_files_on_another_node(what: str) -> None:
    first = ("node alpha", settings())
    check_alike([first, ("node beta", settings())])
    with pytest.raises(ClusterError, match=r"^node beta has other files of the .* than node alpha; copy the same"):
        check_alike([first, ("node beta", settings(JOB, **{what: "x"}))])


def test_what_must_lie_on_every_node(tmp_path: Path) -> None:
    for name in ("data", "model", "coco"):
        (tmp_path / name).mkdir()
    case = type(JOB.case)(**{**JOB.case.__dict__, "model": str(tmp_path / "model")})
    source = SampleSource(source=str(tmp_path / "data"), override=f"{tmp_path / 'coco'}:val")
    job = msgspec.structs.replace(JOB, case=case, samples=source)
    assert local_folders([job, JOB]) == [str(tmp_path / name) for name in ("data", "model", "coco")]


def test_hosts_tell_in_the_hash_of_a_cluster_and_leave_that_at_home_as_it_was() -> None:
    at_home = DeviceIdentity(name=FAST)
    assert b"host" not in msgspec.json.encode(at_home)
    hashes = {settings(device=DeviceIdentity(name=FAST, host=host)).digest for host in ("alpha", "beta")}
    assert len({settings(device=at_home).digest, *hashes}) == 3


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ClusterError, match=r"needs Ray, which is not installed; pip install 'pytest-blip\[ray\]'"):
        connect("auto")


def test_nobody_at_the_address_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ClusterError, match=r"there is no Ray cluster .*refused"):
            connect(address)


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("W RPC error: InvalidAuthToken: missing\nConnectionError: no\n", "wants a token .* RAY_AUTH_MODE=token"),
        ("Traceback\nRuntimeError: Version mismatch\n", r"there is no Ray cluster \(RuntimeError: Version mismatch\)"),
        (None, r"nobody answered as Ray does within 30 s"),
    ],
)
def test_a_cluster_that_does_not_take_this_process(
    monkeypatch: pytest.MonkeyPatch, stderr: str | None, sentence: str
) -> None:
    def tried(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if stderr is None:
            raise subprocess.TimeoutExpired(command, 30)
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", tried)
    with pytest.raises(ClusterError, match=sentence):
        cluster._try("alpha:6379")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("The actor died.\n\tclass_name: X", "The actor died"),
        ('ray::X()\n  File "x.py", line 1\nValueError: no', "ValueError: no"),
        ("", "RuntimeError"),
    ],
)
def test_what_ray_said_in_a_line(text: str, line: str) -> None:
    assert said(RuntimeError(text)) == line


def test_threads_that_a_person_chose_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen_by, undone in (("4", []), (None, ["OMP_NUM_THREADS=4"])):
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        monkeypatch.setattr(undoing, "_set_by_starter", lambda _name, value=chosen_by: value)
        monkeypatch.setattr(undoing, "_undo_niceness", lambda _found: None)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert undoing.undo(has_gpu=True).undone == undone
        assert (os.environ.get("OMP_NUM_THREADS") is None) == bool(undone)


def test_a_processor_sees_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set and taken away, so that what `undo` sets is taken away after the test.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(undoing, "_undo_niceness", lambda _found: None)
    assert "all_gpus_visible" in undoing.undo(has_gpu=False).undone
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_the_share_of_a_lost_node_is_noted_by_who_takes_it() -> None:
    given = Given(host="", devices={}, facts={}, version="2", cwd="/")
    lost, other, apart = (Worker(one, ("cpu@x",), given, actor=object()) for one in (PLAIN, BARE, H100))
    apart.devices = ("cpu@y",)
    lost.actor = None
    unmeasured: list[Any] = []
    schedule = Schedule(
        [lost, other, apart],
        measured=lambda *_: None,
        unmeasured=lambda *args: unmeasured.append(args),
        name=lambda worker: worker.node.host,
        is_alive=lambda _worker: False,
    )
    schedule._lose(lost, "it is gone")
    assert [[note.code for note in worker.notes] for worker in (other, apart)] == [["share_of_a_lost_node"], []]
    other.actor = None
    schedule.add(Whole(JOB_OF_X))
    apart.devices = ()
    schedule._give_out()
    job, status, reason, *_ = unmeasured[0]
    assert (job, status, reason.code, reason.args["node"]) == (JOB_OF_X, Status.UNAVAILABLE, "node_lost", "gamma")
    assert schedule.lane("cpu@x") == Lane("cpu@x", (), 1, 0)


JOB_OF_X = msgspec.structs.replace(JOB, case=type(JOB.case)(**{**JOB.case.__dict__, "device": "cpu@x"}))


def walk(*, isatty: bool) -> str:
    terminal = Terminal(isatty=isatty)
    config: Any = Config(terminal)
    progress = SideBySide(config, total=3, now=lambda: 100.0)
    lanes = [Lane("cpu@a", ("one",), 0, 1), Lane("cuda@b", (), 1, 0)]
    progress.lanes = lambda: lanes
    progress._drawn_s = 0.0
    progress.start("early")
    progress.finish("12 ms", is_taken_over=True)
    progress.start("one")
    progress.tick()
    other = make_record(device="cuda@b", batch_size=2)
    progress.arrived(other)
    first = make_record(device="cpu@a")
    progress._running = first.case_id
    progress.arrived(first)
    progress.finish("once more")
    progress.start(other.case_id)
    progress.finish("once more")
    return terminal.text


def test_a_case_has_its_line_when_it_ends() -> None:
    lines = walk(isatty=False).splitlines()
    assert lines[0] == "[1/3] early  taken over: 12 ms"
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert lines[1].endswith("(cuda@b: 1 done, 0 left)")


def test_the_bar_has_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "cpu@a: one, 0 done, 2 left  |  cuda@b: -, 1 done, 0 left" in walk(isatty=True)
