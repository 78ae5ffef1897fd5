"""What a judgement is made of: a finding for each metric of a case, and the cases that were lost."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from blip_fixtures.gate.rules import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.spreads import Bounded
    from blip_fixtures.reasons import Reason


class Verdict(StrEnum):
    """What came of a comparison, in the order in which they are shown."""

    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"
    PASS = "pass"


class SideName(StrEnum):
    """What sentences call a side."""

    BASELINE = "baseline"
    RUN = "run"


@dataclass(frozen=True)
class Finding:
    """One metric of one case on both sides.

    `base` and `now` are in the record's units. `change`, `low` and `high` are shares of the baseline, for quality
    differences of the score; the bounds are one-sided, 95 % each. `p` is how likely the change is within the limit.
    `cases` is how many are judged as one; `decided_after` the number of pairs of processes after which a comparison
    that is looked at again and again was decided.
    """

    case_id: str
    metric: str
    rule: Rule
    base: float | None
    now: float | None
    verdict: Verdict
    change: float | None = None
    low: float | None = None
    high: float | None = None
    reason: Reason | None = None
    needed: int | None = None
    p: float | None = None
    part: str = ""
    higher_is_better: bool = False
    estimate: Bounded | None = field(default=None, compare=False, repr=False)
    cases: int = 1
    decided_after: int | None = None

    @property
    def name(self) -> str:
        """``latency``, ``memory (weights)``, ``quality (cider)``."""
        return f"{self.metric} ({self.part})" if self.part else self.metric

    @property
    def has_fallen(self) -> bool:
        """Whether an earlier look has called it a regression."""
        return self.verdict == Verdict.REGRESSION and self.decided_after is not None

    @property
    def worsening(self) -> float:
        """The change, so that more is worse."""
        return (-1 if self.higher_is_better else 1) * (self.change or 0.0)


@dataclass(frozen=True)
class Lost:
    """A case of the baseline that was asked for and has no numbers now."""

    case_id: str
    reason: Reason


@dataclass(frozen=True)
class Judgement:
    """All verdicts, worst first. `hypotheses` is how many of them were tested together.

    `new` are cases that the baseline lacks, for want of an end where its run was `interrupted`. `tests` are the
    pytest ids of the run's cases, by the id of the case.
    """

    findings: tuple[Finding, ...]
    lost: tuple[Lost, ...] = ()
    new: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL
    hypotheses: int = 0
    sources: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    interrupted: bool = False
    tests: Mapping[str, str] = field(default_factory=dict)

    def again(self, finding: Finding) -> str | None:
        """The command that measures a finding's case again, where the run's file knows its test."""
        test = self.tests.get(finding.case_id)
        return None if test is None else shlex.join(["pytest", test])

    @property
    def regressed(self) -> bool:
        """Whether the change must not go on."""
        return any(finding.verdict == Verdict.REGRESSION for finding in self.findings) or bool(
            self.lost and self.missing == Missing.FAIL
        )

    def count(self, verdict: Verdict) -> int:
        """Findings of one verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)
