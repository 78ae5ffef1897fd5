"""How long a run will still take: from the FLOPs and calls of the cases left, and the seconds that others took."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from blip_fixtures.engine.session import Session
from blip_fixtures.engine.work import Planner, Work
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from blip_fixtures.executors.base import Bench
    from blip_fixtures.job import Job
    from blip_fixtures.record import Record

# Until one was compiled here: on two cores the packaged checkpoint took 30 s, one of 4 B parameters 130 s.
COMPILE_S = 30.0
# The share of a call's time that does not grow with its FLOPs, until cases of two sizes were seen: weights are read and
# kernels launched whatever the batch. On processors and GPUs it was a third to two thirds for a batch of one.
CONSTANT_SHARE = 0.5
# How much that counts against one case, when both disagree.
_PRIOR_WEIGHT = 0.1


@dataclass(frozen=True)
class _Seen:
    """One call that was timed."""

    flops: float
    seconds: float


class Estimate:
    """Knows the jobs left and what those before them took. `work_of` may take long, and is not asked at the start.

    A call takes a constant and something for each FLOP, which are fitted for each device and optimization, and for each
    device where the optimization is new; a case takes something beside its calls; a model is loaded, and compiled, once
    for its device and optimization.
    """

    def __init__(
        self,
        work_of: Callable[[Job], Work],
        *,
        can_run: Callable[[Job], bool] = lambda _job: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work_of = work_of
        self._can_run = can_run
        self._now = now
        self._left: list[Job] = []
        self._works: dict[Job, Work] = {}
        self._seen: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
        self._beside_s: dict[str, list[float]] = defaultdict(list)
        self._load_s: dict[str, list[float]] = defaultdict(list)
        self._compile_s: list[float] = []
        self._live: tuple[str, str] | None = None
        self._running: Job | None = None
        self._began_s = 0.0

    @classmethod
    def of(cls, bench: Bench) -> Estimate:
        """For the jobs of a session of this process; elsewhere it expects none."""
        if not isinstance(bench, Session):
            return cls(lambda _job: Work(1.0, 1))
        return cls(Planner(bench.stock).work, can_run=lambda job: bench.why_unavailable(job) is None)

    def foresee(self, jobs: Iterable[Job]) -> None:
        """These will be measured, in this order, as far as the machine can."""
        self._left = [job for job in jobs if self._can_run(job)]

    def begin(self, job: Job) -> None:
        """A case begins."""
        self._running, self._began_s = job, self._now()

    def end(self, record: Record | None) -> None:
        """The running case ended; without a record here it tells nothing of the others."""
        job, took_s = self._running, self._now() - self._began_s
        if job is None:
            return
        self._running = None
        self._left = [other for other in self._left if other != job]
        if record is not None and record.status == Status.OK and record.latency is not None:
            self._learn(job, record, took_s)

    def left_s(self) -> float | None:
        """Seconds until the last case ends, the running one included; `None` before the first one ended."""
        if not self._seen:
            return None
        live, total_s = self._live, 0.0
        running_s = 0.0 if self._running is None else self._now() - self._began_s
        for job in self._left:
            group = _group(job)
            took_s = self._start_s(job) if group != live else 0.0
            work = self._work(job)
            took_s += work.calls * self._call_s(group, work.flops) + self._beside(group[0])
            # A case that takes longer than was thought is about to end.
            total_s += max(0.0, took_s - running_s) if job == self._running else took_s
            live = group
        return total_s

    def _learn(self, job: Job, record: Record, took_s: float) -> None:
        group, latency = _group(job), record.latency
        assert latency is not None
        seconds = latency.median_s or fmean(latency.rounds_s)
        work = self._work(job)
        flops = record.flops.total if record.flops is not None and record.flops.total else work.flops
        is_first_here = all(device != group[0] for device, _ in self._seen)
        started_s = 0.0
        if group != self._live:
            load_s, compile_s = record.model_load_s or 0.0, _compile_s(record)
            self._load_s[group[0]].append(load_s)
            self._compile_s += [compile_s] if compile_s else []
            started_s = load_s + compile_s
        self._live = group
        self._seen[group].append(_Seen(flops, seconds))
        # The first case of a device also waits for what is measured once for all.
        if not is_first_here and not job.again:
            self._beside_s[group[0]].append(max(0.0, took_s - started_s - work.calls * seconds))

    def _work(self, job: Job) -> Work:
        if job not in self._works:
            self._works[job] = self._work_of(job)
        return self._works[job]

    def _call_s(self, group: tuple[str, str], flops: float) -> float:
        """Seconds of one call: as this optimization's, else as the mean case of the device, else of all."""
        alike = [self._seen[group]] if group in self._seen else []
        alike = alike or [found for (device, _), found in self._seen.items() if device == group[0]]
        total_s, count = 0.0, 0
        for found in alike or self._seen.values():
            constant_s, per_flop_s = fitted(found)
            total_s += len(found) * (constant_s + per_flop_s * flops)
            count += len(found)
        return total_s / count

    def _beside(self, device: str) -> float:
        known = self._beside_s.get(device) or [seconds for found in self._beside_s.values() for seconds in found]
        return fmean(known) if known else 0.0

    def _start_s(self, job: Job) -> float:
        known = self._load_s.get(job.case.device) or [seconds for found in self._load_s.values() for seconds in found]
        load_s = fmean(known) if known else 0.0
        if "compile" not in job.case.optimization.split("+"):
            return load_s
        return load_s + (fmean(self._compile_s) if self._compile_s else COMPILE_S)


def fitted(seen: Sequence[_Seen]) -> tuple[float, float]:
    """Seconds of a call whatever its FLOPs, and for each: the least squares of the relative errors.

    Both are at least 0. What is known of calls in general counts as a fraction of one more.
    """
    mean_s, mean_flops = fmean(one.seconds for one in seen), fmean(one.flops for one in seen)
    if mean_s <= 0 or mean_flops <= 0:
        return mean_s, 0.0
    # With the constant and the slope in shares of the mean call; each row is one call divided by its own seconds.
    rows = [(mean_s / one.seconds, mean_s / one.seconds * one.flops / mean_flops, 1.0) for one in seen if one.seconds]
    weight = _PRIOR_WEIGHT**0.5
    rows += [(weight, 0.0, weight * CONSTANT_SHARE), (0.0, weight, weight * (1 - CONSTANT_SHARE))]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    ac, bc = (sum(row[i] * row[2] for row in rows) for i in (0, 1))
    determinant = aa * bb - ab * ab
    constant, slope = (ac * bb - bc * ab) / determinant, (bc * aa - ac * ab) / determinant
    if constant < 0:
        constant, slope = 0.0, bc / bb
    elif slope < 0:
        constant, slope = ac / aa, 0.0
    return constant * mean_s, slope * mean_s / mean_flops


def _group(job: Job) -> tuple[str, str]:
    return job.case.device, job.case.optimization


def _compile_s(record: Record) -> float:
    found = record.applied.get("compile_s")
    return float(found) if isinstance(found, (int, float)) else 0.0
