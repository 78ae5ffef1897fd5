"""What a search knows, as `bisect.json` holds it: written after each step, so that an interrupted one goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.gate.bisect.posterior import Answer, Posterior
from blip_fixtures.gate.sides import Refusal
from blip_fixtures.whole_files import BadFileError, read_bytes, replace_file, why

if TYPE_CHECKING:
    from pathlib import Path

    from blip_fixtures.gate.bisect.trees import Commit

FILE = "bisect.json"


class Asked(msgspec.Struct, frozen=True):
    """What is searched: a state goes on only where all of it is the same."""

    good: str
    bad: str
    rules: tuple[str, ...]
    arguments: tuple[str, ...]


class Step(msgspec.Struct, frozen=True):
    """One `ab` of the good commit and another: `error` is how likely the answer is wrong, 0 where it is exact.

    `change` is that of the comparison that told, as a share; `finding` its case and metric.
    """

    sha: str
    is_bad: bool
    error: float
    pairs: int
    finding: str = ""
    change: float | None = None


class Row(msgspec.Struct, frozen=True):
    """A commit, how likely it is the first bad one, and why it was skipped."""

    sha: str
    subject: str
    probability: float
    skipped: str | None = None


class State(msgspec.Struct):
    """`cases` are the pytest ids that the later steps need not measure, known after the first one."""

    asked: Asked
    commits: list[Row]
    steps: list[Step] = []
    without: list[str] | None = None
    found: list[str] = []
    probability: float = 0.0

    def posterior(self) -> Posterior:
        """What all steps say together."""
        places = {row.sha: place for place, row in enumerate(self.commits)}
        answers = [Answer(places[step.sha], step.is_bad, step.error) for step in self.steps]
        skipped = [place for place, row in enumerate(self.commits) if row.skipped is not None]
        return Posterior(len(self.commits), answers, skipped)

    def write(self, folder: Path) -> None:
        """Replace the file in one step, with what the steps say. Raises `OSError`."""
        posterior = self.posterior()
        shares = posterior.probabilities
        self.commits = [
            msgspec.structs.replace(row, probability=share) for row, share in zip(self.commits, shares, strict=True)
        ]
        group, self.probability = posterior.likeliest()
        self.found = [self.commits[place].sha for place in group] if posterior.next_place() is None else []
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / FILE, (json.dumps(msgspec.to_builtins(self), indent=1) + "\n").encode())


def begun(folder: Path, asked: Asked, commits: list[Commit]) -> State:
    """The state in the folder where it is of the same search, else a new one. Raises `Refusal`."""
    path = folder / FILE
    if not path.exists():
        return State(asked, [Row(commit.sha, commit.subject, 1 / len(commits)) for commit in commits])
    try:
        found = msgspec.json.decode(read_bytes(path), type=State)
    except (msgspec.DecodeError, msgspec.ValidationError, BadFileError, UnicodeError, OSError) as error:
        said = why(error) if isinstance(error, OSError) else str(error)
        raise Refusal(f"{path} cannot be used: {said}; remove it, or give another --out") from None
    known = {row.sha for row in found.commits}
    if found.asked != asked or known != {commit.sha for commit in commits}:
        raise Refusal(f"{path} is of another search; give another --out, or remove it")
    if not all(step.sha in known and 0 <= step.error <= 1 for step in found.steps):
        raise Refusal(f"{path} cannot be used: it has a step that is none of this search; remove it")
    return found
