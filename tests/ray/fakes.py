"""A session that measures nothing: a case sleeps, fails or ends its process, as its batch size says."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from blip_fixtures.case import Case
from blip_fixtures.engine.inference import Answers, BatchFacts
from blip_fixtures.engine.session import Outcome
from blip_fixtures.engine.workload import BatchAnswers
from blip_fixtures.executors.ray.measurer import Measurer
from blip_fixtures.job import Job
from blip_fixtures.reasons import Reason
from blip_fixtures.record import CaseFields, Latency, Record
from blip_fixtures.settings import DeviceIdentity, Settings
from blip_fixtures.words import PassName, Status

QUICK, SLOW, FAILING, DYING, HANGING = 1, 2, 3, 4, 5
SLOW_S = 1.0


def make_job(device: str, batch_size: int = QUICK, *, timed: bool = True, **case: Any) -> Job:
    axes = {"optimization": "fp32", "dataset": "textvqa", "image_size": 224, "sequence_length": 50, **case}
    made = Case(model="instructblip-tiny", device=device, batch_size=batch_size, **axes)
    return Job.of(made, passes=(PassName.LATENCY if timed else PassName.QUALITY,), sweeps=("it",), timed=timed)


class SleepingSession:
    """As much of `Session` as a `Measurer` asks for. A quick case takes `sleep_s`."""

    def __init__(self, sleep_s: float = 0.0) -> None:
        self._sleep_s = sleep_s

    def prepare(self, jobs: list[Job], *, with_meters: bool) -> None:
        pass

    def close(self) -> None:
        pass

    def absent_meters(self) -> dict[str, Any]:
        return {}

    def sample_count(self, job: Job) -> int:
        return 16

    def planned(self, job: Job) -> Record:
        return self._record(job, Status.PLANNED)

    def settings(self, job: Job) -> Settings:
        return Settings.of(
            job,
            checkpoint_revision="a",
            checkpoint_files="b",
            data_revision="c",
            device=DeviceIdentity(name="Some Processor", threads=1),
            versions={},
            python="3.12",
        )

    def answer(self, job: Job, numbers: range) -> tuple[Outcome, dict[int, BatchAnswers]]:
        """Answers that tell their batch; as `attempt` where there are none."""
        found = self.attempt(job)
        size = job.case.batch_size
        if found.record.status != Status.OK:
            return found, {}
        facts = {number: range(number * size, (number + 1) * size) for number in numbers}
        return found, {
            number: BatchAnswers(
                BatchFacts(samples, (5,) * size, 5, (False,) * size), Answers((f"of {number}",) * size, (2,) * size, 2)
            )
            for number, samples in facts.items()
        }

    def attempt(self, job: Job, answered: dict[int, BatchAnswers] | None = None) -> Outcome:
        kind = job.case.batch_size
        if answered is not None:
            texts = [text for number in sorted(answered) for text in answered[number].answers.texts]
            return Outcome(self._record(job, Status.OK, predictions=tuple(texts)))
        time.sleep({QUICK: self._sleep_s, SLOW: SLOW_S, HANGING: 60.0}.get(kind, 0.0))
        if kind == DYING:
            # As the kernel does for want of memory.
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == FAILING:
            error = RuntimeError("it failed there")
            return Outcome(self._record(job, Status.FAILED, reason=Reason.verbatim(str(error))), error)
        latency = Latency(
            mean_s=0.5,
            median_s=0.5,
            stddev_s=0.0,
            p90_s=0.5,
            rounds_s=(0.5, 0.5),
            reference_s=(0.1, 0.1),
            warmup_rounds=1,
        )
        return Outcome(self._record(job, Status.OK, latency=latency))

    def _record(self, job: Job, status: Status, **parts: Any) -> Record:
        case = job.case
        return Record(
            case_id=case.id,
            config_hash="as at home",
            sweeps=job.sweeps,
            case=CaseFields(**{**case.__dict__, "device_name": "Some Processor"}),
            status=status,
            again=job.again,
            environment={"pid": os.getpid()},
            **parts,
        )


class SleepingMeasurer(Measurer):
    """An actor with that session; torch is never imported in it."""

    @staticmethod
    def make_session(facts: dict[str, Any], show: Any) -> Any:
        return SleepingSession(facts.get("sleep_s", 0.0))

    def check_machine(self) -> None:
        pass


class ListOfRounds:
    """A loop that keeps what it is told."""

    def __init__(self) -> None:
        self.rounds_s: list[float] = []

    def __call__(self, run: Any, setup: Any, rounds: int, warmup: int) -> list[float]:
        raise AssertionError("nothing is timed here")

    def listed(self, rounds_s: Any) -> None:
        self.rounds_s = list(rounds_s)
