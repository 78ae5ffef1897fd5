"""`Bench`: all that a run asks of what measures its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from blip_fixtures.engine.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.engine.session import Outcome
    from blip_fixtures.job import Job
    from blip_fixtures.meters import MeterError
    from blip_fixtures.reasons import Reason
    from blip_fixtures.record import Record


class ListingLoop(Loop, Protocol):
    """A loop that times rounds here, and takes over those that were timed elsewhere."""

    def listed(self, rounds_s: Sequence[float]) -> None:
        """Take these seconds of each round as if they had been timed by this loop."""
        ...


class Bench(Protocol):
    """Measures jobs. `in_this_process` says whether a case that ends its process would end this one.

    `Session` says of each method what it gives and raises; what follows is where others may differ.
    """

    @property
    def in_this_process(self) -> bool:
        """Whether jobs are measured by the process that asks for them."""
        ...

    def prepare(self, jobs: Sequence[Job], *, with_meters: bool = True) -> None:
        """Check everything that the jobs need where they will be measured. Raises `PreflightError`."""
        ...

    def sample_count(self, job: Job) -> int:
        """How many samples the job's dataset has."""
        ...

    def expect(self, jobs: Sequence[Job]) -> None:
        """These will be asked for, in this order; several may then be measured side by side."""
        ...

    def why_unavailable(self, job: Job) -> Reason | None:
        """Why the job's device cannot run it."""
        ...

    def planned(self, job: Job) -> Record:
        """What will be known of the job's conditions, before it is measured."""
        ...

    def config_hash(self, job: Job) -> str:
        """By which a finished case is known again."""
        ...

    def attempt(self, job: Job, *, loop: ListingLoop) -> Outcome:
        """The record of a job, its rounds in `loop`; with the error of one that failed."""
        ...

    def given_up(self, job: Job, reason: Reason) -> Record:
        """The record of a job that is not measured."""
        ...

    def try_out(self, job: Job) -> None:
        """Generate once, unmeasured. Raises what the model raises."""
        ...

    def absent_meters(self) -> Mapping[str, MeterError]:
        """Every energy domain that has no meter, and why."""
        ...

    def close(self) -> None:
        """Let go of models and processes. It may be called again."""
        ...
