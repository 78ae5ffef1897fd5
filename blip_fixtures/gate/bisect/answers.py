"""What one comparison of two commits says: worse or not, and how likely that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.judging import logarithm_of_limit
from blip_fixtures.gate.sequential import ALPHA, BETA, Look, student_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.findings import Finding, Judgement


@dataclass(frozen=True)
class Said:
    """`is_bad` with `error`, how likely that is wrong (0 where it is exact), and the finding that tells."""

    is_bad: bool
    error: float
    finding: Finding | None


def said_by(judgement: Judgement) -> Said:
    """Of a comparison that was looked at until it was decided, or given up."""
    regressed = [finding for finding in judgement.findings if finding.verdict == Verdict.REGRESSION]
    if regressed:
        told = min(regressed, key=lambda finding: _error_of_regression(finding, judgement.hypotheses))
        return Said(True, _error_of_regression(told, judgement.hypotheses), told)
    by_processes = [finding for finding in judgement.findings if isinstance(finding.estimate, Look)]
    left = [finding for finding in by_processes if finding.verdict == Verdict.INCONCLUSIVE]
    if not left:
        nearest = max(by_processes, key=_chance_beyond, default=None)
        return Said(False, BETA if by_processes else 0.0, nearest)
    told = max(left, key=_chance_beyond)
    chance = _chance_beyond(told)
    # The looks are part of it: what was not decided is no surer than what was.
    return Said(chance > 0.5, max(min(chance, 1 - chance), ALPHA), told)


def regressed_cases(findings: Sequence[Finding]) -> set[str] | None:
    """Ids of the cases that are worse; `None` where all of them as one are."""
    regressed = [finding for finding in findings if finding.verdict == Verdict.REGRESSION]
    if any(finding.cases > 1 for finding in regressed):
        return None
    return {finding.case_id for finding in regressed}


def _error_of_regression(finding: Finding, hypotheses: int) -> float:
    """Among all comparisons that were tested (Bonferroni); none where it is exact."""
    return 0.0 if finding.p is None else min(finding.p * hypotheses, ALPHA)


def _chance_beyond(finding: Finding) -> float:
    look = finding.estimate
    assert isinstance(look, Look)
    gap, error = look.center - logarithm_of_limit(finding), look.error
    return student_tail(-gap / error, look.degrees) if error else float(gap > 0)
