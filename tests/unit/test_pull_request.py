"""What a pull request gets: a page short enough for a comment, and one comment that is updated."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from blip_fixtures.gate import show
from blip_fixtures.gate.judge import judge
from blip_fixtures.gate.rules import parse_rules
from blip_fixtures.gate.sides import Process
from tests.unit.sides import noisy_record

if TYPE_CHECKING:
    from blip_fixtures.gate.findings import Judgement

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "gate"
# Of a comment, as GitHub has it.
MOST_CHARACTERS = 65_536


def judgement(cases: int, *, slower: float = 1.0, test: str = "benchmarks/test_it.py::test_it[{}]") -> Judgement:
    sides = []
    for factor in (1.0, slower):
        rng = np.random.default_rng(0)
        records = [noisy_record(rng, batch_size=size, slower=factor) for size in range(1, cases + 1)]
        names = {record.case_id: (test.format(record.case.batch_size),) for record in records}
        sides.append([Process.of("run", records, names)])
    base, now = sides
    return judge(base, now, parse_rules(["latency:10%", "flops:0%", "quality:1"]))


def test_each_row_has_a_command_that_measures_its_case_again() -> None:
    found = judgement(2, slower=3.0)
    page = show.as_markdown(found)
    rows = [line for line in page.splitlines() if line.startswith("| textvqa")]
    assert len(rows) == 6
    for row in rows:
        size = re.search(r"batch0?(\d)", row)
        assert size is not None
        assert f"`pytest 'benchmarks/test_it.py::test_it[{size[1]}]'`" in row
    assert {entry["measure_again"] for entry in show.as_json(found)["findings"]} == {
        f"pytest 'benchmarks/test_it.py::test_it[{size}]'" for size in (1, 2)
    }


def test_what_passed_is_folded_and_what_did_not_is_not() -> None:
    page = show.as_markdown(judgement(2, slower=3.0))
    shown, _, folded = page.partition("<details><summary>4 pass</summary>\n\n")
    assert shown.count("| regression |") == 2
    assert folded.count("| pass") == 4
    assert "\n\n</details>" in folded


def test_a_command_is_text_alone() -> None:
    page = show.as_markdown(judgement(1, slower=3.0, test="a|b`c` $(rm)\n{}"))
    (row,) = (line for line in page.splitlines() if "| regression" in line)
    assert row.count("|") - row.count(r"\|") == 9
    assert "\\|b`c`" in row
    assert "'a" in row


@pytest.mark.parametrize("slower", [1.0, 3.0])
def test_a_page_of_hundreds_of_cases_fits_a_comment_and_says_what_it_leaves_out(slower: float) -> None:
    found = judgement(400, slower=slower, test="benchmarks/" + "x" * 150 + "[{}]")
    page = show.as_markdown(found)
    assert len(page) <= MOST_CHARACTERS
    rows = sum(line.startswith("| textvqa") or line.startswith("| all") for line in page.splitlines())
    assert f"... and {len(found.findings) - rows} more rows in gate.json" in page


# Stands for GitHub's command: writes down its arguments and the body, and lists one comment of the mark where told.
GH = """\
#!/usr/bin/env bash
echo "$*" >> "$GH_LOG"
for word in "$@"; do case "$word" in body=@*) cat "${word#body=@}" > "$GH_LOG.body";; esac; done
case "$*" in
  *--paginate*) echo -n "$GH_FOUND" ;;
  *) exit "$GH_EXIT" ;;
esac
"""


def commented(folder: Path, *, found: str = "", code: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    gh = folder / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH)
    gh.chmod(0o755)
    (folder / "gate.md").write_text("# Gate\n")
    environment = {
        **os.environ,
        "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "someone/it",
        "GH_LOG": str(folder / "log"),
        "GH_FOUND": found,
        "GH_EXIT": str(code),
    }
    done = subprocess.run(
        [str(ACTION / "comment.sh"), "7", str(folder / "gate.md")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, (folder / "log").read_text().splitlines()


def test_the_first_comment_is_made_and_begins_with_its_mark(tmp_path: Path) -> None:
    done, calls = commented(tmp_path)
    assert done.returncode == 0
    assert "--method POST repos/someone/it/issues/7/comments" in calls[-1]
    assert (tmp_path / "log.body").read_text() == "<!-- pytest-blip gate -->\n# Gate\n"


def test_a_later_one_is_the_first_one_updated(tmp_path: Path) -> None:
    done, calls = commented(tmp_path, found="41\n42\n")
    assert done.returncode == 0
    assert "--method PATCH repos/someone/it/issues/comments/41 " in calls[-1]
    assert len(calls) == 2


def test_a_token_that_may_not_comment_is_a_warning(tmp_path: Path) -> None:
    done, _ = commented(tmp_path, code=1)
    assert done.returncode == 0
    assert "::warning title=gate::the table could not be posted" in done.stdout


def loaded(path: Path) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(path.read_text())


def test_the_workflow_gives_the_action_inputs_that_it_has_and_may_comment() -> None:
    action = loaded(ACTION / "action.yml")
    workflow = loaded(ROOT / ".github" / "workflows" / "benchmarks.yml")
    (step,) = (each for each in workflow["jobs"]["gate"]["steps"] if each.get("uses") == "./.github/actions/gate")
    assert set(step["with"]) <= set(action["inputs"])
    assert workflow["permissions"]["pull-requests"] == "write"


def test_the_action_puts_no_input_into_a_script() -> None:
    for step in loaded(ACTION / "action.yml")["runs"]["steps"]:
        assert "${{" not in step["run"], step["name"]
        assert step["shell"] == "bash"
        subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
