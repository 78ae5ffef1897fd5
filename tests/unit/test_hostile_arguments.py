"""Every argument of every command with hostile values: one sentence and the command's exit code, no traceback."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blip_fixtures import flops
from blip_fixtures.bounds import MOST_OF_TEXT
from blip_fixtures.data import __main__ as data
from blip_fixtures.engine.flops import BatchShape, FlopCount
from blip_fixtures.gate import __main__ as gate
from blip_fixtures.quality import __main__ as quality
from blip_fixtures.report import __main__ as report
from blip_fixtures.report.plots import Drawn
from tests.hostile import TEXTS
from tests.unit.records import make_record


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, its exit code for bad input, and arguments that are good, by name; a place has no name."""

    name: str
    main: Callable[[Sequence[str]], int]
    exit_code: int
    before: tuple[str, ...]
    good: dict[str, str]

    def arguments(self, changed: str, value: str) -> list[str]:
        """The good ones, with another value of one of them."""
        given = {**self.good, changed: value}
        words = [word for name, text in given.items() for word in _words(name, text)]
        return [*self.before, *words]


def _words(name: str, text: str) -> list[str]:
    # With the sign, so that a value that begins with a dash is one.
    return [f"{name}={text}"] if name.startswith("--") else [text]


COMMANDS = (
    Command(
        "flops",
        flops.main,
        2,
        (),
        {
            "MODEL": "instructblip-tiny",
            "--batch-size": "1",
            "--image-size": "224",
            "--text-tokens": "13",
            "--qformer-tokens": "13",
            "--new-tokens": "5",
            "--beams": "1",
            "--revision": "main",
        },
    ),
    Command("report", report.main, 2, (), {"RECORDS": "records.jsonl", "--out": "out", "--lang": "en"}),
    Command("quality", quality.main, 2, (), {"DATASET": "textvqa", "FILE": "predictions.jsonl", "--prompts": "paper"}),
    Command(
        "quality certify", quality.main, 2, ("certify",), {"MODEL": "instructblip-tiny", "RECORDS": "records.jsonl"}
    ),
    Command(
        "data",
        data.main,
        2,
        ("make-folder",),
        {"--dataset": "textvqa", "--images": ".", "--questions": "questions.json", "--out": "made"},
    ),
    Command(
        "gate compare",
        gate.main,
        4,
        ("compare",),
        {
            "--base": "records.jsonl",
            "--now": "records.jsonl",
            "--fail": "flops:0%",
            "--allow": "machine",
            "--missing": "fail",
            "--history": "records.jsonl",
            "--out": "gate",
        },
    ),
    Command(
        "gate ab",
        gate.main,
        4,
        ("ab",),
        {"--base": "exit 3", "--now": "exit 3", "--runs": "1", "--fail": "flops:0%", "--out": "ab"},
    ),
)
EVERY = [(command, name) for command in COMMANDS for name in command.good]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the good arguments name, no network, and a counter that only tells what it was asked for."""
    monkeypatch.chdir(tmp_path)
    Path("records.jsonl").write_text(make_record().to_json(indent=0).replace("\n", "") + "\n")
    Path("predictions.jsonl").write_text('{"prediction": "a", "answers": ["a"]}\n')
    Path("questions.json").write_text("[]")
    monkeypatch.setattr("blip_fixtures.hub.fetch", lambda *_, **__: pytest.fail("the hub was asked"))
    monkeypatch.setattr("blip_fixtures.report.document.draw_plots", lambda _selection, _prose: Drawn({}, {}))
    monkeypatch.setattr(flops, "FlopCounter", _Counter)


class _Counter:
    def __init__(self, _checkpoint: object) -> None: ...

    def count(self, shape: BatchShape) -> FlopCount:
        assert all(size < 10**7 for size in dataclasses.astuple(shape))
        return FlopCount(1.0, 1.0, 1.0, 1.0)


def exit_code(command: Command, arguments: Sequence[str]) -> object:
    """What the process would end with: argparse ends it, the command returns."""
    try:
        return command.main(arguments)
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize(("command", "name"), EVERY, ids=[f"{command.name} {name}" for command, name in EVERY])
def test_one_sentence_and_an_exit_code(
    command: Command, name: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.name == "gate ab" and name in ("--base", "--now") and "\0" in TEXTS[what]:
        pytest.skip("no argument of a process can have a NUL, and this one goes to a shell")
    code = exit_code(command, command.arguments(name, TEXTS[what]))
    said = capsys.readouterr().err
    assert code in (0, command.exit_code), said
    if code:
        # After what `gate ab` says stands the end of its command's output.
        (sentence,) = [line for line in said.split("\n") if line.startswith(("error: ", "python -m blip_fixtures"))]
        assert len(sentence) < 3 * MOST_OF_TEXT
    else:
        assert "rror" not in said


@pytest.mark.parametrize("name", [name for name in COMMANDS[0].good if name.endswith(("size", "tokens", "beams"))])
def test_the_counter_is_asked_for_sizes_within_bounds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("1000000000000", "9" * 5_000):
        assert flops.main(COMMANDS[0].arguments(name, text)) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {name} is {text[:13]}")
        assert "; give a whole number of at least 1 and at most " in said
