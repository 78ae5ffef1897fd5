"""`python -m blip_fixtures.quality`: predictions files in, a JSON object out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.quality.__main__ import main

ROWS: dict[str, list[dict[str, Any]]] = {
    "textvqa": [
        {"prediction": "Stop.", "answers": ["stop"] * 10},
        {"prediction": "go", "answers": ["left"] * 7 + ["go"] * 3},
    ],
    "coco": [
        {"prediction": "a red dog", "answer": ["a red dog", "the dog is red"]},
        {"prediction": "two cats sit", "answer": ["two cats sit on grass"]},
    ],
    "scienceqa": [
        {"prediction": "(b)", "choices": ["Mars", "Venus"], "answer": 1},
        {"prediction": "0", "choices": ["yes", "no"], "answer": 0},
    ],
}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def scores(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, float]:
    assert main(arguments) == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


def test_textvqa(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scores(capsys, "textvqa", write(tmp_path / "p.jsonl", ROWS["textvqa"]))
    assert found == {"wer": 0.0, "vqa_accuracy": pytest.approx((1 + 0.9) / 2)}


def test_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scores(capsys, "coco", write(tmp_path / "p.jsonl", ROWS["coco"]))
    assert found.keys() == {"wer", "cider", "bleu4", "rouge_l"}
    assert found["wer"] == pytest.approx(2 / 8)


def test_scienceqa_digits_depend_on_the_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "p.jsonl", ROWS["scienceqa"])
    assert scores(capsys, "scienceqa", path)["accuracy"] == 0.5
    assert scores(capsys, "scienceqa", path)["unparsed_share"] == 0.5
    assert scores(capsys, "scienceqa", path, "--prompts", "seed")["accuracy"] == 1


@pytest.mark.parametrize(
    ("dataset", "change", "complaint"),
    [
        ("textvqa", {"answers": ["stop"] * 9}, "line 1: answers has 9 texts where those of 10 people are needed"),
        ("textvqa", {"prediction": None}, "line 1: prediction is None where a text is needed"),
        ("coco", {"answer": []}, "line 1: answer is [] where a list of texts is needed"),
        ("coco", {"answer": "a dog"}, "line 1: answer is 'a dog' where a list of texts is needed"),
        ("scienceqa", {"answer": 2}, "line 1: answer is 2 where an index into its 2 choices is needed"),
        ("scienceqa", {"answer": True}, "line 1: answer is True where an index into its 2 choices is needed"),
    ],
)
def test_a_bad_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, change: dict[str, Any], complaint: str
) -> None:
    path = write(tmp_path / "p.jsonl", [{**ROWS[dataset][0], **change}])
    assert main([dataset, path]) == 2
    assert capsys.readouterr().err == f"error: {path}, {complaint}; mend the line or remove it\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no predictions"),
        ("[1]\n", "line 1: it is no object"),
        ('{"prediction"\n', "line 1: it is no JSON ("),
    ],
)
def test_a_file_that_is_no_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    assert main(["coco", str(path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coco", str(tmp_path / "none.jsonl")]) == 2
    assert "cannot read" in capsys.readouterr().err
