"""What people see of a judgement: a table, worst first; `gate.md` and `gate.json`; annotations on GitHub."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from blip_fixtures import foreign, formats
from blip_fixtures.gate.findings import Verdict
from blip_fixtures.gate.metrics import find_metric
from blip_fixtures.gate.rules import Missing
from blip_fixtures.whole_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.gate.findings import Finding, Judgement

HEADERS = ("case", "metric", "baseline", "now", "change", "limit", "verdict")
# Rows of the terminal's table; what did not pass is always there.
MOST_ROWS = 30
# Rows of a kind and characters of a page: GitHub takes no comment of more than 65,536.
_MOST_IN_A_COMMENT, _MOST_CHARACTERS = 100, 60_000
# Percent beyond which digits say nothing more.
_MOST_PERCENT = 1e6


def table(
    findings: Iterable[Finding],
    style: str,
    escape: Callable[[str], str],
    again: Callable[[Finding], str | None] | None = None,
) -> str:
    """The findings as a table of `tabulate`'s `style`, whose texts `escape` makes fit for it.

    `again` is the command that measures a finding's case again, in a column of its own.
    """
    rows = [
        (
            escape(finding.case_id),
            escape(finding.name),
            number(finding.metric, finding.base),
            number(finding.metric, finding.now),
            change(finding),
            escape(finding.rule.limit),
            finding.verdict,
            *(() if again is None else (_span(again(finding)),)),
        )
        for finding in findings
    ]
    headers = HEADERS if again is None else (*HEADERS, "measure again")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def _span(command: str | None) -> str:
    """A command in a cell of Markdown, where a bar ends even a span of code."""
    return formats.MISSING if command is None else foreign.code_span(command).replace("|", "\\|")


def number(metric: str, value: float | None) -> str:
    """A metric's value with its unit."""
    return formats.MISSING if value is None else find_metric(metric).unit.show(value)


def change(finding: Finding) -> str:
    """``+12.3 % [+10.1, +14.5]``: the change and its bounds; points for a score."""
    if finding.change is None:
        return formats.MISSING
    unit = "points" if find_metric(finding.metric).unit.is_score else "%"
    shown = f"{_signed(finding.change)} {unit}"
    if finding.low is None or finding.high is None or finding.low == finding.high:
        return shown
    return f"{shown} [{_signed(finding.low)}, {_signed(finding.high)}]"


def _signed(share: float) -> str:
    percent = 100 * share
    return f"{percent:+.1f}" if abs(percent) < _MOST_PERCENT else f"{percent:+.3g}"


def verdict(judgement: Judgement) -> str:
    """One sentence: what came out, and of how much."""
    counts = ", ".join(f"{judgement.count(kind)} {kind}" for kind in Verdict if judgement.count(kind))
    base, now = map(len, judgement.sources)
    sides = f"{base} baseline {_processes(base)} against {now}"
    lost = f"; {len(judgement.lost)} cases lost" if judgement.lost else ""
    return f"{'FAIL' if judgement.regressed else 'pass'}: {counts or 'nothing judged'}{lost} ({sides})"


def _processes(count: int) -> str:
    return "process" if count == 1 else "processes"


def remarks(judgement: Judgement, escape: Callable[[str], str]) -> list[str]:
    """What the table does not say: reasons, lost and new cases, what differs between the sides, how it was judged.

    `escape` makes the texts of records fit for the place where they are shown.
    """
    judgement = _escaped(judgement, escape)
    reasons: dict[str, list[str]] = {}
    for finding in judgement.findings:
        if finding.reason is not None:
            reasons.setdefault(finding.reason.say(), []).append(f"{finding.case_id} {finding.name}")
    relaxed = "" if judgement.missing == Missing.FAIL else " (a warning, as was asked for)"
    found = [f"{_some(names)}: {reason}." for reason, names in reasons.items()]
    found += [f"Lost{relaxed}: {lost.case_id}: {lost.reason}." for lost in judgement.lost]
    if judgement.new:
        why = "Not judged, the interrupted baseline lacks them" if judgement.interrupted else "New, without a baseline"
        found.append(f"{why}: {_some(judgement.new)}.")
    found += [f"Allowed to differ: {note}." for note in judgement.notes]
    if any(find_metric(finding.metric).calibrated and finding.change is not None for finding in judgement.findings):
        found.append(
            "The change of a latency is that of its rounds, each divided by the reference product that was timed just "
            "before it, so it is not the quotient of the two medians."
        )
    if judgement.hypotheses > 1:
        found.append(
            f"{judgement.hypotheses} comparisons were tested together: at most 5 % of such families have a false alarm "
            "among them (Holm). The bounds in brackets are one-sided, 95 % each, and of each comparison alone."
        )
    if any(finding.decided_after is not None for finding in judgement.findings):
        found.append(
            "Comparisons were looked at after each pair of processes; bounds are those of the look that decided, with "
            "its share of the error of all looks (alpha spending)."
        )
    return found


def _escaped(judgement: Judgement, escape: Callable[[str], str]) -> Judgement:
    """With every text that a record or a person gave as `escape` makes it."""
    return replace(
        judgement,
        findings=tuple(
            replace(
                finding,
                case_id=escape(finding.case_id),
                part=escape(finding.part),
                reason=foreign.written(finding.reason, escape),
            )
            for finding in judgement.findings
        ),
        lost=tuple(
            replace(lost, case_id=escape(lost.case_id), reason=foreign.written(lost.reason, escape))
            for lost in judgement.lost
        ),
        new=tuple(map(escape, judgement.new)),
        notes=tuple(map(escape, judgement.notes)),
    )


def _some(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def as_text(judgement: Judgement) -> str:
    """For a terminal: the worst first, and how many passed."""
    shown = [finding for finding in judgement.findings if finding.verdict != Verdict.PASS]
    passed = [finding for finding in judgement.findings if finding.verdict == Verdict.PASS]
    room = max(MOST_ROWS - len(shown), 0)
    lines = [table([*shown, *passed[:room]], "simple", foreign.terminal)] if judgement.findings else []
    if len(passed) > room:
        lines.append(f"... and {len(passed) - room} more that pass")
    return "\n".join([*lines, *(f"  {remark}" for remark in remarks(judgement, foreign.terminal)), verdict(judgement)])


def as_markdown(judgement: Judgement) -> str:
    """Short enough for a comment: what did not pass, a command beside each row, and what passed folded.

    Rows that it has no room for are counted; `gate.json` has them all.
    """
    shown = [finding for finding in judgement.findings if finding.verdict != Verdict.PASS]
    passed = [finding for finding in judgement.findings if finding.verdict == Verdict.PASS]
    for most in (_MOST_IN_A_COMMENT, _MOST_IN_A_COMMENT // 4, 0):
        page = _page(judgement, shown[: max(most, 20)], passed[:most])
        if len(page) <= _MOST_CHARACTERS:
            break
    return page


def _page(judgement: Judgement, shown: Sequence[Finding], passed: Sequence[Finding]) -> str:
    sources = [
        f"{name}: {', '.join(map(foreign.code_span, side))}"
        for name, side in zip(("Baseline", "Now"), judgement.sources, strict=True)
    ]
    parts = ["# Gate", f"**{verdict(judgement)}**", *sources]
    if shown:
        parts.append(table(shown, "github", foreign.cell, judgement.again))
    count = judgement.count(Verdict.PASS)
    if passed:
        rows = table(passed, "github", foreign.cell, judgement.again)
        parts.append(f"<details><summary>{count} pass</summary>\n\n{rows}\n\n</details>")
    left = len(judgement.findings) - len(shown) - len(passed)
    parts += [f"... and {left} more rows in gate.json"] if left else []
    parts += [f"- {remark}" for remark in remarks(judgement, foreign.markdown)]
    return "\n\n".join(parts) + "\n"


def as_json(judgement: Judgement) -> dict[str, Any]:
    """The whole judgement, numbers in the units of the records."""
    return {
        "regressed": judgement.regressed,
        "missing": judgement.missing,
        "hypotheses": judgement.hypotheses,
        "base": list(map(foreign.plain, judgement.sources[0])),
        "now": list(map(foreign.plain, judgement.sources[1])),
        "findings": [
            {
                "case_id": finding.case_id,
                "metric": finding.metric,
                "part": finding.part or None,
                "rule": finding.rule.text,
                "base": finding.base,
                "now": finding.now,
                "change": _finite(finding.change),
                "low": _finite(finding.low),
                "high": _finite(finding.high),
                "p": finding.p,
                "verdict": finding.verdict,
                "reason": finding.reason.say() if finding.reason is not None else None,
                "reason_code": finding.reason.code if finding.reason is not None else None,
                "processes_needed": finding.needed,
                "decided_after": finding.decided_after,
                "measure_again": judgement.again(finding),
            }
            for finding in judgement.findings
        ],
        "lost": [
            {"case_id": lost.case_id, "reason": lost.reason.say(), "reason_code": lost.reason.code}
            for lost in judgement.lost
        ],
        "new": list(judgement.new),
        "notes": list(judgement.notes),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def write(judgement: Judgement, folder: Path) -> Path:
    """`gate.md` and `gate.json` in `folder`; returns the first. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gate.md"
    replace_file(path, as_markdown(judgement).encode())
    replace_file(folder / "gate.json", (json.dumps(as_json(judgement), indent=1, allow_nan=False) + "\n").encode())
    return path


def github_commands(judgement: Judgement) -> list[str]:
    """GitHub's workflow commands: an error for each regression and lost case, one warning for all that is open.

    GitHub shows ten of a kind, so they are not spent on what stops nothing.
    """
    lines = []
    for finding in judgement.findings:
        if finding.verdict == Verdict.REGRESSION:
            said = f"{change(finding)}, limit {finding.rule.limit}" + (f": {finding.reason}" if finding.reason else "")
            lines.append(_command("error", f"{finding.case_id} {finding.name}", said))
    unsettled = [
        finding for finding in judgement.findings if finding.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_JUDGED)
    ]
    if unsettled:
        names = _some(f"{finding.case_id} {finding.name}" for finding in unsettled)
        lines.append(_command("warning", f"{len(unsettled)} comparisons are not settled", names))
    level = "error" if judgement.missing == Missing.FAIL else "warning"
    return lines + [_command(level, lost.case_id, lost.reason.say()) for lost in judgement.lost]


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={foreign.command_property(title)}::{foreign.command_message(message)}"


def tell_github(judgement: Judgement, say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> None:
    """Annotations and the job's summary, inside of GitHub Actions alone."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    for line in github_commands(judgement):
        say(line)
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(as_markdown(judgement))
