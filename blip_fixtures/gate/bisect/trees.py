"""Commits on the disk: a worktree for each, an environment for each set of dependencies. All that calls git or pip."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from blip_fixtures.gate.sides import Refusal
from blip_fixtures.privacy import without_credentials
from blip_fixtures.whole_files import why

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "blip-bisect-"
# What says which packages a commit needs.
_NEEDS = ("pyproject.toml", "constraints.txt", "requirements.txt", "setup.py", "setup.cfg")
# Beside both worktrees: records, and what pytest leaves.
_ROOM_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Commit:
    """Its full hash, and the first line of its message."""

    sha: str
    subject: str


@dataclass(frozen=True)
class Place:
    """Where a commit lies, and the Python that has what it needs."""

    folder: Path
    python: Path


class DoesNotBuild(RuntimeError):  # as git says of a commit
    """A commit that cannot be measured; the message says why."""


class Trees(Protocol):
    """Commits that can be measured."""

    def commits(self, good: str, bad: str) -> tuple[Commit, list[Commit]]:
        """The good one, and those after it up to the bad one, oldest first. Raises `Refusal`."""
        ...

    def place(self, commit: Commit) -> Place:
        """Where it lies, checked out. Raises `DoesNotBuild`, or `Refusal` where the disk has no room."""
        ...

    def leave(self, commit: Commit) -> None:
        """Remove its worktree, if it has one."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class GitTrees:
    """Worktrees and environments in a temporary folder of their own."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._scratch: Path | None = None
        self._places: dict[str, Place] = {}
        self._environments: dict[str, Path | DoesNotBuild] = {}

    def commits(self, good: str, bad: str) -> tuple[Commit, list[Commit]]:
        """See `Trees`. Of a merge the first parent counts, so that commits stand in one line."""
        if shutil.which("git") is None:
            raise Refusal("bisect needs git; install it")
        if self._git("rev-parse", "--git-dir").returncode:
            raise Refusal(f"{self._repository} is in no git repository; run bisect inside of one")
        first, last = (self._resolved(option, revision) for option, revision in (("--good", good), ("--bad", bad)))
        if first.sha == last.sha:
            raise Refusal(f"--good {good} and --bad {bad} are the same commit; there is nothing between them")
        if self._git("merge-base", "--is-ancestor", first.sha, last.sha).returncode:
            raise Refusal(f"--good {good} is no ancestor of --bad {bad}; give a commit that the bad one is built on")
        self._refuse_changes(bad, last)
        listed = self._lines("log", "--reverse", "--first-parent", "--format=%H %s", f"{first.sha}..{last.sha}")
        return first, [Commit(sha, subject) for sha, _, subject in (line.partition(" ") for line in listed)]

    def place(self, commit: Commit) -> Place:
        """See `Trees`."""
        if commit.sha not in self._places:
            folder = self._checked_out(commit)
            self._places[commit.sha] = Place(folder, self._python(folder))
        return self._places[commit.sha]

    def leave(self, commit: Commit) -> None:
        """See `Trees`."""
        self._places.pop(commit.sha, None)
        if self._scratch is not None:
            self._remove(self._scratch / commit.sha[:12])

    def close(self) -> None:
        """See `Trees`."""
        if self._scratch is None:
            return
        for folder in self._scratch.iterdir():
            self._remove(folder)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._git("worktree", "prune")
        self._scratch, self._places = None, {}

    def _resolved(self, option: str, revision: str) -> Commit:
        found = self._git("log", "-1", "--format=%H %s", "--end-of-options", revision, "--")
        if found.returncode or revision.startswith("-"):
            raise Refusal(f"{option}: there is no commit {revision!r} here; fetch it, or look with git log")
        sha, _, subject = found.stdout.strip().partition(" ")
        return Commit(sha, subject)

    def _refuse_changes(self, bad: str, commit: Commit) -> None:
        """Changes that no commit holds would not be measured, though who gives HEAD as bad thinks of them."""
        if commit.sha != self._resolved("HEAD", "HEAD").sha:
            return
        changed = [line[3:] for line in self._lines("status", "--porcelain", "--untracked-files=no")]
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise Refusal(
                f"the working tree has changes that --bad {bad} does not hold, and they would not be measured: "
                f"{', '.join(changed[:3])}{more}; commit or stash them"
            )

    def _checked_out(self, commit: Commit) -> Path:
        folder = self._room(commit) / commit.sha[:12]
        done = self._git("worktree", "add", "--detach", "--force", str(folder), commit.sha)
        if done.returncode:
            said = without_credentials((done.stderr.strip().splitlines() or ["git said nothing"])[-1])
            self._remove(folder)
            raise DoesNotBuild(f"git cannot check it out: {said}")
        return folder

    def _room(self, commit: Commit) -> Path:
        """The temporary folder. Raises `Refusal` where it has no room for one more worktree."""
        if self._scratch is None:
            try:
                self._scratch = Path(tempfile.mkdtemp(prefix=PREFIX))
            except OSError as error:
                raise Refusal(f"cannot make a folder for worktrees: {why(error)}; set TMPDIR to another one") from None
        listed = self._lines("ls-tree", "-r", "-l", commit.sha)
        sizes = [line.split(maxsplit=4)[3] for line in listed]
        needed = sum(int(size) for size in sizes if size.isdigit()) + _ROOM_BYTES
        free = shutil.disk_usage(self._scratch).free
        if free < needed:
            raise Refusal(
                f"{self._scratch.parent} has {free // 2**20} MiB left, and a worktree needs {needed // 2**20} MiB; "
                "make room, or set TMPDIR to another folder"
            )
        return self._scratch

    def _python(self, folder: Path) -> Path:
        """The present one where a commit needs what the working tree needs; else that of an environment of its own."""
        needs = _digest(folder)
        if needs == _digest(Path(self._lines("rev-parse", "--show-toplevel")[0])):
            return Path(sys.executable)
        if needs not in self._environments:
            self._environments[needs] = self._installed(folder, needs)
        found = self._environments[needs]
        if isinstance(found, DoesNotBuild):
            raise found
        return found

    def _installed(self, folder: Path, needs: str) -> Path | DoesNotBuild:
        assert self._scratch is not None
        into = self._scratch / f"environment-{needs[:12]}"
        pins = ["-c", "constraints.txt"] if (folder / "constraints.txt").exists() else []
        python = into / "bin" / "python"
        for command in (
            [sys.executable, "-m", "venv", str(into)],
            [str(python), "-m", "pip", "install", "--quiet", *pins, "."],
        ):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                said = without_credentials((done.stderr.strip().splitlines() or ["nothing was said"])[-1])
                shutil.rmtree(into, ignore_errors=True)
                return DoesNotBuild(f"what it needs cannot be installed: {said}")
        return python

    def _remove(self, folder: Path) -> None:
        if folder.exists():
            self._git("worktree", "remove", "--force", str(folder))
            shutil.rmtree(folder, ignore_errors=True)

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # A hook of a commit that is bisected is not run, and git asks nobody for a password.
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
        return subprocess.run(
            command,
            cwd=self._repository,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            check=False,
        )

    def _lines(self, *arguments: str) -> Sequence[str]:
        return self._git(*arguments).stdout.splitlines()


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for name in _NEEDS:
        path = folder / name
        found.update(name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return found.hexdigest()
