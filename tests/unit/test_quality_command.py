"""`python -m blip_fixtures.quality`: predictions files in, a JSON object out."""

from __future__ import annotations

import json
import time
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


WRONG = [None, 5, -1, 2.5, True, 10**18, "x" * 10_001, [], [1], [""], [["a"]], ["a", None], {}, {"a": 1}, ["a"] * 5_001]


@pytest.mark.parametrize(("dataset", "column"), [(name, column) for name, rows in ROWS.items() for column in rows[0]])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_a_value_of_any_type_is_scored_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, column: str, value: Any
) -> None:
    path = write(tmp_path / "p.jsonl", [{**ROWS[dataset][0], column: value}])
    code = main([dataset, path])
    said = capsys.readouterr()
    if code == 0:
        json.loads(said.out)
        return
    assert code == 2
    assert said.err.startswith(f"error: {path}, line 1: ")
    assert said.err.removesuffix("\n").isprintable()
    assert len(said.err) < 500


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085", "\v", "\f", "\x1c"])
@pytest.mark.parametrize("is_escaped", [False, True])
def test_only_a_line_feed_ends_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, is_escaped: bool
) -> None:
    """Of these JSON wants three escaped, and three it does not."""
    path = tmp_path / "p.jsonl"
    row = {"prediction": f"a red{end}dog", "answer": ["a red dog"]}
    path.write_bytes((json.dumps(row, ensure_ascii=is_escaped) + "\r\n\r\n").encode())
    assert scores(capsys, "coco", str(path))["wer"] == 0.0


def test_a_byte_order_mark_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS["coco"][0]).encode())
    assert scores(capsys, "coco", str(path))["wer"] == 0.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"prediction": NaN, "answer": ["a"]}', "line 1: it is no JSON ("),
        (b'{"prediction": "a", "answer": ["a"], "x": Infinity}', "line 1: it is no JSON ("),
        (b'{"prediction": "\\ud800", "answer": ["a"]}', "line 1: it is no JSON ("),
        (b'{"prediction": "\xff", "answer": ["a"]}', "line 1: it is not UTF-8 text"),
        (b'{"prediction": ' + b"[" * 50_000, "line 1: it is nested too deeply"),
        (b'{"prediction": ' + b"9" * 5_000 + b"}", "line 1: it is no JSON ("),
        (b'{"prediction": "' + b"a" * 10**6 + b'"}', "line 1: prediction has a text of 1,000,000 characters"),
        (b'{"prediction": "a", "answer": ["a"], "x": "' + b"a" * 10 * 2**20 + b'"}', "line 1: it has more than 10 MiB"),
    ],
    ids=["nan", "infinity", "surrogate", "no-utf-8", "deep", "digits", "long-text", "long-line"],
)
def test_a_hostile_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, complaint: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(line + b"\n")
    assert main(["coco", str(path)]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.endswith("; mend the line or remove it\n")


def test_more_options_than_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "p.jsonl", [{"prediction": "a", "choices": ["a"] * 27, "answer": 0}])
    assert main(["scienceqa", path]) == 2
    assert "line 1: choices has 27 options where at most 26 have letters; mend" in capsys.readouterr().err


def test_a_file_without_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coco", "/dev/zero"]) == 2
    assert "cannot read /dev/zero: it has more than 200 MiB, the most that is read" in capsys.readouterr().err


LONG = 10_000
UNITS = [
    "@",
    "a@",
    "a@.",
    "a b ",
    ".",
    "a.",
    "1,",
    "<a",
    "n't",
    "'s ",
    "(A) ",
    "answer is ",
    "\u2028",
    "\U0001f600",
    " ",
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("dataset", ROWS)
def test_the_longest_text_is_scored_in_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, unit: str
) -> None:
    """Of any letters: no pattern and no comparison takes time with more than the square of the length."""
    text = (unit * LONG)[:LONG]
    row = dict(ROWS[dataset][0], prediction=text)
    if dataset != "scienceqa":
        row = {**row, "answer": [text] * 2, "answers": [text] * 10}
    start_s = time.perf_counter()
    scores(capsys, dataset, write(tmp_path / "p.jsonl", [row]))
    assert time.perf_counter() - start_s < 20


@pytest.mark.parametrize("prediction", ["", " ", ".", "!?", "\0", "\x1b[31m", "\ufeff", "A" * 30, "(z)", "9"])
@pytest.mark.parametrize("dataset", ROWS)
def test_an_odd_prediction_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, prediction: str
) -> None:
    assert scores(capsys, dataset, write(tmp_path / "p.jsonl", [{**ROWS[dataset][0], "prediction": prediction}]))


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
