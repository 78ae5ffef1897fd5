"""The search for a commit: doubtful answers are asked again, exact ones bisect, an interruption costs a step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from blip_fixtures.gate.__main__ import main
from blip_fixtures.gate.bisect.posterior import SURE, Answer, Posterior, most_steps
from blip_fixtures.gate.bisect.search import Search, as_markdown
from blip_fixtures.gate.bisect.state import FILE, Asked
from blip_fixtures.gate.bisect.trees import PREFIX, Commit, DoesNotBuild, GitTrees, Place
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.looks import Looks
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Process, Refusal
from blip_fixtures.gate.until import until_decided
from tests.unit.sides import noisy_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.gate.bisect.state import State
    from blip_fixtures.gate.findings import Judgement
    from blip_fixtures.gate.rules import Rule
    from blip_fixtures.gate.until import Decided

COUNT = 64


def search(posterior: Posterior, first_bad: int, error: float, rng: np.random.Generator) -> int:
    """Steps until the search is sure."""
    steps = 0
    while (place := posterior.next_place()) is not None and steps < most_steps(COUNT):
        is_wrong = rng.random() < error
        posterior.learn(Answer(place, (place >= first_bad) != is_wrong, error))
        steps += 1
    return steps


class TestPosterior:
    def test_exact_answers_are_a_plain_bisection(self) -> None:
        for first_bad in range(COUNT):
            posterior = Posterior(COUNT)
            assert search(posterior, first_bad, 0.0, np.random.default_rng(0)) <= 6
            assert posterior.likeliest() == (range(first_bad, first_bad + 1), 1.0)

    def test_answers_that_are_wrong_are_asked_again(self) -> None:
        rng, right, steps = np.random.default_rng(0), 0, []
        for first_bad in rng.integers(COUNT, size=200):
            posterior = Posterior(COUNT)
            steps.append(search(posterior, int(first_bad), 0.1, rng))
            right += posterior.likeliest()[0] == range(first_bad, first_bad + 1)
        assert right >= 0.97 * 200
        assert np.mean(steps) < 20

    def test_commits_that_do_not_build_are_told_as_one_with_the_next(self) -> None:
        posterior = Posterior(8, skipped=[3, 4])
        search(posterior, 4, 0.0, np.random.default_rng(0))
        assert posterior.likeliest() == (range(3, 6), 1.0)
        assert Posterior(3, skipped=[0, 1]).next_place() is None

    def test_exact_answers_that_contradict_leave_a_posterior(self) -> None:
        posterior = Posterior(4, [Answer(2, True, 0.0), Answer(2, False, 0.0)])
        assert sum(posterior.probabilities) == pytest.approx(1)


class FakeTrees:
    """Commits in memory; some do not build."""

    def __init__(self, count: int, broken: Sequence[int] = ()) -> None:
        self.all = [Commit(f"{place:040x}", f"change {place} | <b>") for place in range(1, count + 1)]
        self._broken = {self.all[place].sha for place in broken}
        self.open: set[str] = set()

    def place(self, commit: Commit) -> Place:
        if commit.sha in self._broken:
            raise DoesNotBuild("nothing builds")
        self.open.add(commit.sha)
        return Place(Path(commit.sha), Path("python"))

    def leave(self, commit: Commit) -> None:
        self.open.discard(commit.sha)

    def commits(self, good: str, bad: str) -> tuple[Commit, list[Commit]]:
        raise NotImplementedError

    def close(self) -> None:
        self.open.clear()


GOOD = Commit("0" * 40, "good")


class Machine:
    """Compares commits of which one made some cases slower; or one of which the FLOPs changed."""

    def __init__(self, first_bad: int, rule: str, *, flops: float = 4e9, slower: float = 1.0) -> None:
        self.first_bad, self.rules = first_bad, parse_rules([rule])
        self._worse = (flops, slower)
        self._rng = np.random.default_rng(0)
        self.compared = 0
        self.measured: list[int] = []
        self.dies_at: int | None = None

    def compare(
        self, _base: Place, now: Place, _folder: Path, without: Sequence[str], most: int
    ) -> tuple[Decided, list[Process]]:
        self.compared += 1
        if self.compared == self.dies_at:
            raise KeyboardInterrupt
        is_bad = int(now.folder.name, 16) - 1 >= self.first_bad
        looks, processes = Looks(most), list[Process]()

        def run(side: str, number: int, left: Sequence[str]) -> Process:
            flops, slower = self._worse if is_bad and side == "now" else (4e9, 1.0)
            sizes = [size for size in (1, 2, 4, 8) if f"it[{size}]" not in {*without, *left}]
            self.measured.append(len(sizes))
            records = [
                noisy_record(self._rng, batch_size=size, slower=slower if size == 4 else 1.0, flops={"total": flops})
                for size in sizes
            ]
            names = {record.case_id: (f"it[{record.case.batch_size}]",) for record in records}
            processes.append(Process.of(side, records, names))
            return processes[-1]

        def judged(base: Sequence[Process], now: Sequence[Process]) -> tuple[Judgement, Sequence[Rule]]:
            return judge(base, now, self.rules, looks=looks), self.rules

        return until_decided(run, judged, most, lambda _line: None), processes


def searched(folder: Path, machine: Machine, trees: FakeTrees) -> State:
    asked = Asked(GOOD.sha, trees.all[-1].sha, tuple(rule.text for rule in machine.rules), ())
    return Search(asked, GOOD, trees.all, trees, machine.compare, folder, 15, lambda _line: None).run()


def test_flops_are_found_in_six_steps_of_one_pair(tmp_path: Path) -> None:
    trees, machine = FakeTrees(COUNT), Machine(37, "flops:0%", flops=5e9)
    state = searched(tmp_path, machine, trees)
    assert state.found == [trees.all[37].sha]
    assert state.probability == 1.0
    # The first one checks that the bad commit is bad.
    assert len(state.steps) <= 1 + 6
    assert {step.pairs for step in state.steps} == {1}
    assert not trees.open - {GOOD.sha}


def test_a_slower_commit_is_found_and_later_steps_measure_what_is_slower_alone(tmp_path: Path) -> None:
    trees, machine = FakeTrees(16), Machine(5, "latency:10%", slower=1.35)
    state = searched(tmp_path, machine, trees)
    assert state.found == [trees.all[5].sha]
    assert state.probability >= SURE
    assert machine.measured[0] == 4
    assert machine.measured[-1] == 1
    assert all(0 < step.error <= 0.5 for step in state.steps)
    text = as_markdown(state, lambda text: text.replace("|", r"\|"))
    assert f"The first bad commit is {trees.all[5].sha[:10]}" in text
    assert r"change 6 \| <b>" in text
    stored = json.loads((tmp_path / FILE).read_text())
    assert stored["found"] == [trees.all[5].sha]
    assert sum(row["probability"] for row in stored["commits"]) == pytest.approx(1)


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path) -> None:
    trees, machine = FakeTrees(COUNT), Machine(20, "flops:0%", flops=5e9)
    machine.dies_at = 4
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, machine, trees)
    assert len(json.loads((tmp_path / FILE).read_text())["steps"]) == 3
    again = Machine(20, "flops:0%", flops=5e9)
    state = searched(tmp_path, again, trees)
    assert state.found == [trees.all[20].sha]
    assert again.compared == len(state.steps) - 3


def test_a_commit_that_does_not_build_is_skipped_and_named(tmp_path: Path) -> None:
    trees, machine = FakeTrees(8, broken=[3, 4]), Machine(4, "flops:0%", flops=5e9)
    state = searched(tmp_path, machine, trees)
    assert state.found == [commit.sha for commit in trees.all[3:6]]
    assert "cannot be told apart since some do not build" in as_markdown(state, str)
    assert "skipped: nothing builds" in as_markdown(state, str)


def test_a_bad_commit_that_is_not_worse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is not worse than --good 0000000000: every rule passes"):
        searched(tmp_path, Machine(99, "flops:0%", flops=5e9), FakeTrees(8))


def test_the_state_of_another_search_is_refused(tmp_path: Path) -> None:
    searched(tmp_path, Machine(3, "flops:0%", flops=5e9), FakeTrees(8))
    with pytest.raises(Refusal, match="is of another search; give another --out"):
        searched(tmp_path, Machine(3, "flops:1%", flops=5e9), FakeTrees(8))
    (tmp_path / FILE).write_text("{")
    with pytest.raises(Refusal, match="cannot be used: "):
        searched(tmp_path, Machine(3, "flops:0%", flops=5e9), FakeTrees(8))


# Stands for pytest with the plugin: FLOPs as the commit's own file says.
FAKE_PYTEST = """\
import os, pathlib, shlex, sys
sys.path.insert(0, {root!r})
import numpy as np
from tests.unit.sides import noisy_record, write_run
words = shlex.split(os.environ["PYTEST_ADDOPTS"])
into = pathlib.Path(next(word for word in words if word.startswith("--blip-report-dir=")).partition("=")[2])
flops = float(pathlib.Path("flops.txt").read_text())
record = noisy_record(np.random.default_rng(0), flops={{"total": flops}})
write_run(into / "instructblip-tiny" / "records.json", [record])
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five commits; the fourth takes more FLOPs, the second cannot be measured."""
    folder = tmp_path / "repository"
    (folder / "pytest").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    root = str(Path(__file__).parents[2])
    (folder / "pytest" / "__init__.py").write_text("")
    (folder / "pytest" / "__main__.py").write_text(FAKE_PYTEST.format(root=root))
    for number, flops in enumerate(("4e9", "none", "4e9", "5e9", "5e9")):
        (folder / "flops.txt").write_text(flops)
        (folder / "number.txt").write_text(str(number))
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"number {number}")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return folder


def left_behind(folder: Path) -> list[str]:
    worktrees = git(folder, "worktree", "list").splitlines()
    return [path.name for path in folder.parent.glob(f"{PREFIX}*")] + worktrees[1:]


ASKED = ["bisect", "--good", "main~4", "--bad", "main", "--fail", "flops:0%"]


def test_a_real_repository_is_bisected_and_nothing_is_left(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*ASKED, "--out", str(out), "--", "benchmarks", "-k", "anything"]) == 0
    said = capsys.readouterr().out
    bad = git(repository, "rev-parse", "main~1")
    assert f"The first bad commit is {bad[:10]} (number 3): 100.0%" in said
    stored = json.loads((out / FILE).read_text())
    assert stored["found"] == [bad]
    assert stored["asked"]["arguments"] == ["benchmarks", "-k", "anything"]
    assert (out / "bisect.md").exists()
    assert left_behind(repository) == []


def test_commits_that_leave_no_records_are_skipped(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "checkout", "--quiet", "-b", "short", "main~2")
    (repository / "flops.txt").write_text("5e9")
    git(repository, "commit", "--quiet", "-am", "worse")
    assert main([*ASKED[:4], "short", *ASKED[5:], "--out", str(tmp_path / "out")]) == 0
    assert "(worse)" in capsys.readouterr().out
    assert left_behind(repository) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--good", "nowhere", "--bad", "main"], "--good: there is no commit 'nowhere' here"),
        (["--good", "main", "--bad", "--help"], "expected one argument"),
        (["--good", "main", "--bad", "main"], "are the same commit"),
        (["--good", "main", "--bad", "main~2"], "--good main is no ancestor of --bad main~2"),
        (["--good", "main~2", "--bad", "main~3"], "is no ancestor"),
        (["--good", "main~1", "--bad", "main"], "is not worse than --good"),
        (["--good", "main~4", "--bad", "main~3"], "cannot be measured: it leaves no records"),
        (["--good", "main~3", "--bad", "main"], "the base command"),
        (["--good", "main~4", "--bad", "main", "--max-runs=0"], "at least 1 and at most 100"),
    ],
)
def test_what_cannot_be_bisected_is_one_sentence_and_leaves_nothing(
    repository: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["bisect", *arguments, "--fail=flops:0%", "--out", str(tmp_path / "out")])
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 4
    assert message in capsys.readouterr().err
    assert left_behind(repository) == []


def test_changes_that_no_commit_holds_are_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "flops.txt").write_text("6e9")
    assert main(ASKED) == 4
    assert "the working tree has changes that --bad main does not hold" in capsys.readouterr().err
    assert main([*ASKED[:4], "main~1", *ASKED[5:], "--out", str(repository.parent / "out")]) == 0


def test_a_disk_without_room_is_one_sentence(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert main([*ASKED, "--out", str(tmp_path / "out")]) == 4
    assert "has 1 MiB left, and a worktree needs" in capsys.readouterr().err
    assert left_behind(repository) == []


def test_a_folder_without_git_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(ASKED) == 4
    assert "is in no git repository" in capsys.readouterr().err


def test_an_environment_is_made_for_each_set_of_dependencies_alone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "pyproject.toml").write_text("[project]\nname = 'it'\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "needs something")
    made: list[str] = []

    def installed(_self: GitTrees, folder: Path, needs: str) -> Path:
        made.append(needs)
        return folder / "python"

    monkeypatch.setattr(GitTrees, "_installed", installed)
    trees = GitTrees(repository)
    try:
        _, commits = trees.commits("main~5", "main")
        places = [trees.place(commit) for commit in commits]
    finally:
        trees.close()
    assert places[-1].python == Path(sys.executable)
    assert {place.python for place in places[:-1]} == {places[0].folder / "python"}
    assert len(made) == 1
