"""The time left: how it follows from the plan, and how much less it swings than the mean of the cases so far."""

from __future__ import annotations

import json
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.engine.stock import Stock
from blip_fixtures.engine.work import Planner, Work, calls_of
from blip_fixtures.job import Job
from blip_fixtures.pytest_plugin.estimate import COMPILE_S, CONSTANT_SHARE, Estimate, fitted
from blip_fixtures.pytest_plugin.progress import Progress
from blip_fixtures.record import read_records
from tests.unit.records import make_latency, make_not_run, make_record
from tests.unit.test_progress import Config, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Record

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
MODEL = "instructblip-tiny"


class Clock:
    """Goes as far as it is told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def job_of(record: Record) -> Job:
    case = record.case
    axes = {name: getattr(case, name) for name in ("dataset", "device", "optimization")}
    sizes = {name: getattr(case, name) for name in ("batch_size", "image_size", "sequence_length")}
    assert record.latency is not None
    job = Job.of(
        Case(model=case.model, weights=case.weights, **axes, **sizes),
        rounds=len(record.latency.rounds_s),
        warmup_rounds=record.latency.warmup_rounds,
    )
    return job.second_timing() if record.again else job


def recorded(folder: str) -> list[tuple[Record, float]]:
    """The cases of a published run in their order, each with the seconds from its start to that of the next."""
    path = PUBLISHED / folder / "records.json"
    document = json.loads(path.read_text())
    records = read_records(path)
    by_id = {record.case_id: record for record in records if not record.again}
    ordered = [by_id[name] for name in document["blip"]["order"]] + [record for record in records if record.again]
    ran = [record for record in ordered if record.status == "ok"]
    starts = [datetime.fromisoformat(record.environment["started_at"]) for record in ran]
    ends = [*starts[1:], datetime.fromisoformat(document["datetime"])]
    return [(record, (end - start).total_seconds()) for record, start, end in zip(ran, starts, ends, strict=True)]


def predicted_ends(run: Sequence[tuple[Record, float]], estimate: Estimate | None, clock: Clock) -> list[float]:
    """Elapsed and left together, in seconds, as progress says them at the start of each case but the first."""
    terminal = Terminal(isatty=False)
    config: Any = Config(terminal)
    clock.now_s = 0.0
    progress = Progress(config, total=len(run), now=clock)
    if estimate is not None:
        estimate.foresee([job_of(record) for record, _ in run])
        progress.ask(estimate)
    for record, took_s in run:
        if estimate is not None:
            estimate.begin(job_of(record))
        progress.start(record.case_id)
        clock.now_s += took_s
        if estimate is not None:
            estimate.end(record)
        progress.finish("done")
    shown = re.findall(r"elapsed ([\d:]+), left ([\d:]+)", terminal.text)
    return [sum(map(seconds, pair)) for pair in shown]


def seconds(clock: str) -> int:
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return total


def swing(ends: Sequence[float]) -> float:
    """The largest relative jump of the predicted end from one case to the next."""
    return max(abs(after - before) / before for before, after in pairwise(ends))


def planned(run: Sequence[tuple[Record, float]]) -> Callable[[Job], Work]:
    """The work as it is known before anything ran."""
    del run
    return Planner(Stock()).work


def as_recorded(run: Sequence[tuple[Record, float]]) -> Callable[[Job], Work]:
    """With the FLOPs of the records: the checkpoint itself is not here."""
    records = {record.case_id: record for record, _ in run if record.flops is not None}

    def work(job: Job) -> Work:
        record = records[job.case.id]
        assert record.flops is not None
        assert record.data is not None
        return Work(record.flops.total or 0.0, calls_of(job, record.data.batches or 1))

    return work


@pytest.mark.parametrize(
    ("folder", "work_of"), [("instructblip-tiny", planned), ("instructblip-flan-t5-xl", as_recorded)]
)
def test_the_estimate_swings_a_third_as_much_as_the_mean(folder: str, work_of: Any) -> None:
    run, clock = recorded(folder), Clock()
    mean = predicted_ends(run, None, clock)
    foreseen = predicted_ends(run, Estimate(work_of(run), now=clock), clock)
    assert len(mean) == len(foreseen) == len(run) - 1
    assert swing(mean) > 0.3
    assert swing(foreseen) <= swing(mean) / 3
    # The first one is nearer to the truth than it used to be at its worst.
    truth = sum(took_s for _, took_s in run)
    assert abs(foreseen[0] - truth) / truth < 0.15


def test_planned_flops_are_nearly_those_that_are_counted() -> None:
    work_of = Planner(Stock()).work
    for record, _ in recorded("instructblip-tiny"):
        if record.flops is not None:
            assert work_of(job_of(record)).flops == pytest.approx(record.flops.total, rel=0.05)


def job(optimization: str = "fp32", device: str = "cpu", batch_size: int = 1, **changes: Any) -> Job:
    case = Case(
        model=MODEL,
        dataset="textvqa",
        device=device,
        optimization=optimization,
        batch_size=batch_size,
        image_size=224,
        sequence_length=200,
    )
    return Job.of(case, **changes)


def record_of(job: Job, seconds: float, flops: float = 1e9, **changes: Any) -> Record:
    return make_record(
        device=job.case.device,
        optimization=job.case.optimization,
        batch_size=job.case.batch_size,
        latency=make_latency([seconds] * 3),
        flops={"total": flops},
        **changes,
    )


def known(flops: float = 1e9, calls: int = 10) -> Callable[[Job], Work]:
    return lambda job: Work(flops * job.case.batch_size, calls)


def after(estimate: Estimate, clock: Clock, job: Job, record: Record | None, took_s: float) -> None:
    estimate.begin(job)
    clock.now_s += took_s
    estimate.end(record)


def test_nothing_is_known_or_asked_before_the_first_case_ended() -> None:
    asked: list[Job] = []

    def work_of(job: Job) -> Work:
        asked.append(job)
        return Work(1.0, 1)

    clock = Clock()
    estimate = Estimate(work_of, now=clock)
    estimate.foresee([job(), job("bf16")])
    estimate.begin(job())
    assert estimate.left_s() is None
    assert asked == []


def test_a_case_that_runs_counts_down_and_never_below_what_follows() -> None:
    clock = Clock()
    estimate = Estimate(known(), now=clock)
    first, second, third = jobs = [job(batch_size=size) for size in (1, 2, 4)]
    estimate.foresee(jobs)
    after(estimate, clock, first, record_of(first, 1.0), 10.0)
    at_start = estimate.left_s()
    assert at_start is not None
    estimate.begin(second)
    assert estimate.left_s() == pytest.approx(at_start)
    clock.now_s += 2.0
    assert estimate.left_s() == pytest.approx(at_start - 2.0)
    clock.now_s += 1000.0
    estimate_of_third = estimate.left_s()
    estimate.end(record_of(second, 1.5, 2e9))
    assert estimate_of_third == pytest.approx(10 * (CONSTANT_SHARE + 4 * (1 - CONSTANT_SHARE)))
    after(estimate, clock, third, record_of(third, 2.5, 4e9), 25.0)
    assert estimate.left_s() == 0.0


def test_an_optimization_goes_by_its_own_speed_once_it_is_known() -> None:
    clock = Clock()
    estimate = Estimate(known(), now=clock)
    jobs = [job("fp16"), job("bf16"), job("bf16", batch_size=2)]
    estimate.foresee(jobs)
    after(estimate, clock, jobs[0], record_of(jobs[0], 8.0), 80.0)
    before = estimate.left_s() or 0.0
    after(estimate, clock, jobs[1], record_of(jobs[1], 1.0), 10.0)
    assert before > 150
    assert estimate.left_s() == pytest.approx(10 * 1.5, rel=0.01)


def test_loads_and_compiling_are_part_of_it() -> None:
    clock = Clock()
    estimate = Estimate(known(calls=1), now=clock)
    jobs = [job("fp32"), job("bf16"), job("bf16+compile"), job("fp32+compile")]
    estimate.foresee(jobs)
    after(estimate, clock, jobs[0], record_of(jobs[0], 1.0, model_load_s=20.0), 21.0)
    assert estimate.left_s() == pytest.approx(3 * (20 + 1) + 2 * COMPILE_S)
    after(estimate, clock, jobs[1], record_of(jobs[1], 1.0, model_load_s=20.0), 21.0)
    compiled = record_of(jobs[2], 1.0, model_load_s=20.0, applied={"compile_s": 100.0})
    after(estimate, clock, jobs[2], compiled, 121.0)
    assert estimate.left_s() == pytest.approx(20 + 1 + 100)


def test_what_ended_without_a_latency_teaches_nothing_and_is_not_waited_for() -> None:
    clock = Clock()
    estimate = Estimate(known(), can_run=lambda job: job.case.device == "cpu", now=clock)
    jobs = [job(), job(batch_size=2), job(batch_size=4), job(device="cuda:0")]
    estimate.foresee(jobs)
    after(estimate, clock, jobs[0], record_of(jobs[0], 1.0), 10.0)
    whole = estimate.left_s() or 0.0
    after(estimate, clock, jobs[1], None, 0.0)
    after(estimate, clock, jobs[2], make_not_run("out_of_memory"), 500.0)
    assert whole > 0
    assert estimate.left_s() == 0.0


def test_another_device_goes_by_the_only_one_that_is_known() -> None:
    clock = Clock()
    estimate = Estimate(known(), now=clock)
    jobs = [job(), job(device="cuda:0")]
    estimate.foresee(jobs)
    after(estimate, clock, jobs[0], record_of(jobs[0], 1.0), 10.0)
    assert estimate.left_s() == pytest.approx(10.0, rel=0.05)


def test_a_fit_of_one_call_shares_it_and_of_several_follows_them() -> None:
    Seen = msgspec.defstruct("Seen", [("flops", float), ("seconds", float)])
    one: Any = [Seen(2.0, 10.0)]
    assert fitted(one) == pytest.approx((5.0, 2.5))
    line: Any = [Seen(flops, 3.0 + 2.0 * flops) for flops in (1.0, 2.0, 4.0, 8.0, 16.0) for _ in range(20)]
    assert fitted(line) == pytest.approx((3.0, 2.0), rel=0.03)
    falling: Any = [Seen(flops, 10.0 / flops) for flops in (1.0, 2.0, 4.0) for _ in range(20)]
    constant, slope = fitted(falling)
    assert constant > 0
    assert slope == 0


@pytest.mark.parametrize(
    ("changes", "batches", "calls"),
    [
        ({}, 4, 2 + 10 + 4),
        ({}, 20, 2 + 20 + 20),
        ({"rounds": 5, "warmup_rounds": 1}, 20, 1 + 5 + 5 + 15),
        ({"passes": ("latency",)}, 4, 12),
        ({"new_tokens": NewTokens(5, fixed=True)}, 4, 2 + 10 + 4 + 4),
        ({"passes": ("quality",), "timed": False}, 7, 7),
    ],
)
def test_calls_of_a_case(changes: dict[str, Any], batches: int, calls: int) -> None:
    assert calls_of(job(**changes), batches) == calls


def test_a_job_whose_flops_cannot_be_counted_has_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner(stock := Stock())
    monkeypatch.setattr(stock, "flop_counter", lambda _key: 1 / 0)
    assert planner.work(job(batch_size=2)) == Work(2 * 224.0**2, 2 + 32 + 32)
