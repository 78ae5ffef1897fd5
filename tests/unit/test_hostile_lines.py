"""The campaign of hostile lines, shortened: predictions, prompts and rows of data are used or refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from blip_fixtures.checkpoints.resolve import Checkpoint
from tools.faults import hostile_lines
from tools.faults.hostile_lines import Outcomes, hostile_predictions, hostile_prompts, hostile_rows

COUNT, SEED = 400, 20


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def check(outcomes: Outcomes, kind: str) -> None:
    assert outcomes.tracebacks == {}
    assert outcomes.counts[kind, "used"] > COUNT / 40
    assert outcomes.counts[kind, "refused"] > COUNT / 4


def test_predictions(outcomes: Outcomes) -> None:
    hostile_predictions(COUNT, SEED, outcomes)
    check(outcomes, "predictions")


def test_prompts(outcomes: Outcomes) -> None:
    hostile_prompts(COUNT, SEED, outcomes)
    check(outcomes, "prompts")


@pytest.mark.filterwarnings("ignore:Token indices sequence length")
def test_rows(outcomes: Outcomes, checkpoint: Checkpoint, processor: Any) -> None:
    """What is accepted goes through everything that a case does with it before the model sees it."""

    def ask(prompt: str) -> object:
        return checkpoint.family.tokenize(checkpoint.config, processor, [prompt], 64)

    hostile_rows(COUNT, SEED, outcomes, ask)
    check(outcomes, "rows")


def test_the_same_seed_gives_the_same_inputs() -> None:
    counts = []
    for _ in range(2):
        outcomes = Outcomes()
        hostile_prompts(50, SEED, outcomes)
        counts.append(outcomes.counts)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("said", ["two\nlines", "\x1b[31mred", "x" * 1001])
def test_an_unclear_refusal_is_found(outcomes: Outcomes, said: str) -> None:
    outcomes.note("kind", b"input", lambda: said)
    assert (outcomes.bad, list(outcomes.tracebacks.values())) == (1, [b"input"])


def test_a_traceback_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("the fault")

    monkeypatch.setattr(hostile_lines, "_quality", broken)
    monkeypatch.setattr(hostile_lines, "_tokenizer", lambda: None)
    assert hostile_lines.main(["--count", "3", "--seed", "1"]) == 1
    printed = capsys.readouterr().out
    assert "predictions  traceback" in printed
    assert "KeyError: 'the fault'" in printed
    assert "seed 1: 3 neither used nor refused in a sentence" in printed
