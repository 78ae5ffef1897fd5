"""``python -m tools.cluster_study``: ``overhead`` of many jobs, a campaign of ``kills``, the ``ratio`` of latencies.

All need `pytest-blip[ray]` and start clusters on this machine. A job sleeps, but for ``ratio``, which measures one.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from blip_fixtures.engine.session import Session
from blip_fixtures.executors.ray.bench import ClusterBench, Terms
from blip_fixtures.executors.ray.cluster import connect
from blip_fixtures.executors.ray.measurer import Given
from blip_fixtures.job import Job
from blip_fixtures.journal import Journal
from blip_fixtures.pytest_plugin.unfinished import Earlier
from blip_fixtures.record import Record, read_records
from blip_fixtures.words import LockMode, Status
from tests.ray.fakes import QUICK, ListOfRounds, SleepingMeasurer, make_job
from tools.faults import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_MB = 2**20
# Of a campaign, of which each takes so many seconds.
_CASES = 300
_CASE_S = 0.5
_ROUNDS = 30


def terms(keep: Callable[[Record], None], on_wait: Callable[[], None], **given: Any) -> Terms:
    """Of a run without locks; `given` changes what its actors are told."""
    facts: dict[str, Any] = {"host": "", "devices": {}, "facts": {}, "version": "", "cwd": os.getcwd()}  # noqa: PTH109
    told = Given(**{**facts, "lock": LockMode.OFF, **given})
    return Terms(given=told, show=lambda text: text, keep=keep, on_wait=on_wait)


def overhead(jobs: int, nodes: int, sleep_s: float) -> dict[str, float]:
    """What the driver of many jobs takes: processor seconds and wall seconds for each, and how its memory grows.

    The nodes are as many processes of one real node, so that the machine bears them.
    """
    from ray.cluster_utils import Cluster as Started

    started = Started(initialize_head=True, head_node_args={"num_cpus": nodes, "include_dashboard": False})
    cluster = connect(started.address)
    real = cluster.nodes()[0]
    fakes = [replace(real, cpus=1.0, label=f"n{number}") for number in range(nodes)]
    kept: Counter[str] = Counter()
    process, memory = psutil.Process(), []

    def keep(record: Record) -> None:
        kept[record.case_id] += 1
        memory.append(process.memory_info().rss)

    wanted = [make_job(f"cpu@n{number % nodes}", QUICK, sequence_length=1 + number // nodes) for number in range(jobs)]
    bench = ClusterBench(
        cluster,
        {f"cpu@n{number}": [fake] for number, fake in enumerate(fakes)},
        terms(keep, lambda: None, facts={"sleep_s": sleep_s}),
        SleepingMeasurer,
    )
    bench.prepare(wanted)
    bench.expect(wanted)
    cpu_s, begun_s = process.cpu_times(), time.monotonic()
    for job in wanted:
        bench.attempt(job, loop=ListOfRounds())
    wall_s, spent = time.monotonic() - begun_s, process.cpu_times()
    bench.close()
    cluster.close()
    started.shutdown()
    assert sum(kept.values()) == len(kept) == jobs, "each once"
    driver_s = spent.user + spent.system - cpu_s.user - cpu_s.system
    return {
        "jobs": jobs,
        "nodes": nodes,
        "sleep_s": sleep_s,
        "driver_cpu_ms_per_job": 1e3 * driver_s / jobs,
        "wall_s": wall_s,
        "least_wall_s": sleep_s * -(-jobs // nodes),
        "memory_after_a_tenth_mb": memory[jobs // 10] / _MB,
        "memory_at_the_end_mb": memory[-1] / _MB,
    }


def kills(count: int, seed: int) -> dict[str, int]:
    """Kill a random worker or a random node `count` times, going on with the journal; what became of the cases.

    Each round is a run of its own, as after `--blip-resume --blip-retry`.
    """
    from ray.cluster_utils import Cluster as Started

    chance, done = random.Random(seed), Counter[str]()  # for repetition, not for secrets
    jobs = [make_job("cpu@pool", QUICK, sequence_length=1 + number) for number in range(_CASES)]
    folder = Path(tempfile.mkdtemp(prefix="blip-kills-"))
    started = Started(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    rounds = 0
    left = True
    while left:
        rounds += 1
        alive = [started.add_node(num_cpus=1, resources={"pool": 1}) for _ in range(3)]
        started.wait_for_nodes()
        journal = Journal(folder / "journal.jsonl")
        left = _round(started, alive, jobs, journal, chance, done, count)
        for node in alive:
            started.remove_node(node)
    started.shutdown()
    return {"kills": sum(done.values()), **done, "rounds": rounds, **_check(folder / "journal.jsonl", len(jobs))}


def _round(
    started: Any,
    alive: list[Any],
    jobs: Sequence[Job],
    journal: Journal,
    chance: random.Random,
    done: Counter[str],
    count: int,
) -> bool:
    """One run until all its jobs have come to an end, with a kill now and then; whether some have to run once more."""
    cluster = connect(started.address)
    earlier = Earlier.read(journal, lambda _line: None) if journal.path.exists() else Earlier()
    next_s = [time.monotonic() + 3]

    def kill() -> None:
        if time.monotonic() < next_s[0] or sum(done.values()) >= count:
            return
        next_s[0] = time.monotonic() + chance.uniform(1, 4)
        if len(alive) > 1 and chance.random() < 1 / 3:
            started.remove_node(alive.pop(chance.randrange(len(alive))), allow_graceful=False)
            done["nodes"] += 1
            return
        workers = [each for each in psutil.process_iter() if _is_measuring(each)]
        if workers:
            chance.choice(workers).send_signal(signal.SIGKILL)
            done["workers"] += 1

    nodes = tuple(node for node in cluster.nodes() if "pool" in node.names)
    bench = ClusterBench(
        cluster,
        {"cpu@pool": nodes},
        terms(journal.append, kill, pooled=True, facts={"sleep_s": _CASE_S}),
        SleepingMeasurer,
    )
    try:
        bench.prepare(jobs)
        left = [job for job in jobs if earlier.finished((bench.config_hash(job), False, 1), retry=True) is None]
        bench.expect(left)
        ended = [bench.attempt(job, loop=ListOfRounds()).record for job in left]
    finally:
        bench.close()
        cluster.close()
    return any(record.status != Status.OK for record in ended)


def _is_measuring(process: psutil.Process) -> bool:
    try:
        return "ray::SleepingMeasurer" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _check(path: Path, jobs: int) -> dict[str, int]:
    """Of the journal: cases that finished, were lost, or are there twice."""
    records = read_records(path)
    good = Counter(record.case_id for record in records if record.status == Status.OK)
    statuses = Counter(str(record.status) for record in records if record.status != Status.OK)
    doubled = sum(times > 1 for times in good.values())
    return {"cases": jobs, "finished": len(good), "doubled": doubled, **statuses}


def ratio(repeats: int) -> dict[str, Any]:
    """The latency of one case through Ray over that at home, in turn, each side one process that lives on."""
    cluster = connect("local")
    node = cluster.nodes()[0]
    device = f"cpu@{node.host}"
    there = make_job(device, optimization="fp32")
    there = msgspec.structs.replace(there, rounds=_ROUNDS)
    bench = ClusterBench(cluster, {device: [node]}, terms(lambda _record: None, lambda: None))
    bench.prepare([there])
    here = msgspec.structs.replace(there, case=replace(there.case, device="cpu"))
    seconds: dict[str, list[float]] = {"home": [], "ray": []}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as home:
        sides: dict[str, Callable[[], Record]] = {
            "home": lambda: msgspec.json.decode(home.submit(measured_here, here.to_json()).result(), type=Record),
            "ray": lambda: bench.attempt(there, loop=ListOfRounds()).record,
        }
        for repeat in range(repeats + 1):
            for side in list(sides) if repeat % 2 else list(reversed(sides)):
                latency = sides[side]().latency
                assert latency is not None
                assert latency.median_s is not None
                # The first of each side loads the model.
                if repeat:
                    seconds[side].append(latency.median_s)
    bench.close()
    cluster.close()
    ratios = sorted(ray_s / home_s for ray_s, home_s in zip(seconds["ray"], seconds["home"], strict=True))
    # Ranks around the median that hold it in 95 of 100: the binomial distribution, as the normal one has it.
    within = round(0.98 * math.sqrt(repeats))
    return {
        "repeats": repeats,
        "home_ms": 1e3 * statistics.median(seconds["home"]),
        "ray_ms": 1e3 * statistics.median(seconds["ray"]),
        "median_ratio": statistics.median(ratios),
        "median_between": [ratios[max(repeats // 2 - within, 0)], ratios[min(repeats // 2 + within, repeats - 1)]],
        "lowest_ratio": ratios[0],
        "highest_ratio": ratios[-1],
    }


_HERE: list[Session] = []


def measured_here(job: bytes) -> bytes:
    """The record of a job, by the session of this process."""
    if not _HERE:
        _HERE.append(Session())
    return msgspec.json.encode(_HERE[0].measure(Job.from_json(job)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.cluster_study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser("overhead", help="the driver's cost of a job")
    many.add_argument("--jobs", type=int, default=1000)
    many.add_argument("--nodes", type=int, default=64)
    many.add_argument("--sleep", type=float, default=1.0)
    killing = commands.add_parser("kills", help="a campaign of kills")
    killing.add_argument("--count", type=int, default=20)
    killing.add_argument("--seed", type=int, default=0)
    compared = commands.add_parser("ratio", help="a latency through Ray over that at home")
    compared.add_argument("--repeats", type=int, default=100)
    for command in (many, killing, compared):
        command.add_argument("--out", type=Path, help="a file for what was found, with machine and versions, as JSON")
    chosen = parser.parse_args(arguments)
    if chosen.command == "overhead":
        found: dict[str, Any] = overhead(chosen.jobs, chosen.nodes, chosen.sleep)
    elif chosen.command == "ratio":
        found = ratio(chosen.repeats)
    else:
        found = kills(chosen.count, chosen.seed)
    print(facts.write({**found, "ray": version("ray")}, "tools.cluster_study", chosen.out), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
