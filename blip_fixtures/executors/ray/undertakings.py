"""How a job is handed out: whole to one worker, or its batches to all who are free and the answers to one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from blip_fixtures.reasons import Reason
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from blip_fixtures.job import Job

# So often is one piece tried; then the case has failed, since it ends whatever process answers it.
MOST_TRIES = 3
# Pieces for each worker: a quick one takes more of them, and little is lost with a process.
_PIECES_EACH = 4


class Work(ABC):
    """What a worker is asked to do for a job at a time."""

    @abstractmethod
    def ask(self, actor: Any, job: bytes) -> Any:
        """Send it; what will hold the answer."""


@dataclass(frozen=True)
class Measure(Work):
    """All of the job, by this worker alone."""

    def ask(self, actor: Any, job: bytes) -> Any:
        """Answered by `Measured`."""
        return actor.measure.remote(job)


@dataclass(frozen=True)
class Answer(Work):
    """These batches of it."""

    numbers: range

    def ask(self, actor: Any, job: bytes) -> Any:
        """Answered by `Answered`."""
        return actor.answer.remote(job, self.numbers.start, self.numbers.stop)


@dataclass(frozen=True)
class Conclude(Work):
    """Its record, of the answers to all batches, a text of JSON for each piece."""

    answered: tuple[bytes, ...]

    def ask(self, actor: Any, job: bytes) -> Any:
        """Answered by `Measured`."""
        return actor.conclude.remote(job, list(self.answered))


class Undertaking(ABC):
    """A job on its way to a record. `since_s` is when its first work was given out."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.since_s: float | None = None
        # Whether it has a record, so that what is still under way is of no use.
        self.is_over = False

    @abstractmethod
    def next(self) -> Work | None:
        """What is to be done now; nothing while others do it, and never again once it is over."""

    @property
    @abstractmethod
    def is_given_out(self) -> bool:
        """Whether nothing will be left to do, unless a process is lost."""

    @abstractmethod
    def take_back(self, work: Work) -> bool:
        """A process ended at this work. Whether somebody else may do it: else the job has failed."""

    def notes(self) -> tuple[Reason, ...]:
        """What its record says of how it was handed out."""
        return ()


class Whole(Undertaking):
    """Measured by one worker, once: a measurement is never tried again silently."""

    def next(self) -> Work | None:
        """The job, the first time."""
        return None if self.since_s is not None else Measure()

    @property
    def is_given_out(self) -> bool:
        """From the first time on."""
        return self.since_s is not None

    def take_back(self, work: Work) -> bool:  # noqa: ARG002  # all its work is the same
        """Nobody else may."""
        return False


class Shared(Undertaking):
    """A job that is not timed: its `batches` go in pieces to whoever is free of so many `workers`.

    An answer is the same whoever gives it, so a piece whose process ended is tried again.
    """

    def __init__(self, job: Job, batches: int, workers: int) -> None:
        super().__init__(job)
        pieces = min(batches, _PIECES_EACH * max(workers, 1))
        ends = [batches * number // pieces for number in range(pieces + 1)] if pieces else []
        self._batches = batches
        self._left: deque[Work] = deque(Answer(range(first, end)) for first, end in pairwise(ends))
        self._answered: dict[int, bytes] = {}
        self._by: Counter[str] = Counter()
        self._tries: Counter[Work] = Counter()
        self._repeated = 0

    def next(self) -> Work | None:
        """The next piece; the conclusion when all are answered."""
        if not self._left and self._is_answered and not self._tries[_CONCLUSION]:
            self._left.append(self._conclusion())
        if not self._left:
            return None
        work = self._left.popleft()
        self._tries[_key(work)] += 1
        return work

    @property
    def is_given_out(self) -> bool:
        """Never before it is over: pieces may come back, and the conclusion comes last."""
        return self.is_over

    def take(self, work: Answer, answered: bytes, by: str) -> None:
        """Keep the answers to a piece, and who gave them."""
        self._answered[work.numbers.start] = answered
        self._by[by] += len(work.numbers)

    def take_back(self, work: Work) -> bool:
        """Up to `MOST_TRIES` times for each piece, and for the conclusion."""
        if self._tries[_key(work)] >= MOST_TRIES:
            return False
        self._repeated += len(work.numbers) if isinstance(work, Answer) else 0
        self._left.appendleft(work)
        return True

    @property
    def standing(self) -> str:
        """``12 of 40 batches``."""
        return f"{self._by.total()} of {self._batches} batches"

    def notes(self) -> tuple[Reason, ...]:
        """Who answered how many batches, and whether some were answered again."""
        if not self._batches:
            return ()
        said: dict[str, Any] = {"nodes": [f"{name}: {batches}" for name, batches in sorted(self._by.items())]}
        if not self._repeated:
            return (Reason.of("shared_samples", scope=PassName.QUALITY, **said),)
        return (Reason.of("shared_samples_again", scope=PassName.QUALITY, batches=self._repeated, **said),)

    @property
    def _is_answered(self) -> bool:
        return self._by.total() == self._batches

    def _conclusion(self) -> Conclude:
        return Conclude(tuple(self._answered[first] for first in sorted(self._answered)))


# All conclusions of a job are one work, whatever they hold.
_CONCLUSION = Conclude(())


def _key(work: Work) -> Work:
    return _CONCLUSION if isinstance(work, Conclude) else work
