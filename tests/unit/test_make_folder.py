"""`python -m blip_fixtures.data make-folder`: a folder of pictures and a JSON become what `--blip-data` reads."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from blip_fixtures.data import __main__ as command
from blip_fixtures.data.sources import load_samples
from blip_fixtures.whole_files import UNFINISHED

ENTRIES: dict[str, dict[str, Any]] = {
    "textvqa": {"image": "a.png", "question": "what does it say?", "answer": "stop"},
    "coco": {"image": "a.png", "captions": ["a sign", "a red sign"]},
    "scienceqa": {"image": "a.png", "question": "which?", "choices": ["Mars", "Venus"], "answer": "Venus", "hint": "h"},
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (9, 9), "red").save(folder / "a.png")
    Image.new("L", (9, 9)).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def make(images: Path, dataset: str, entries: Any) -> tuple[int, Path]:
    questions, out = images.parent / "questions.json", images.parent / "out"
    questions.write_text(json.dumps(entries), encoding="utf-8")
    arguments = ["make-folder", "--dataset", dataset, "--images", str(images), "--questions", str(questions)]
    return command.main([*arguments, "--out", str(out)]), out


@pytest.mark.parametrize("dataset", ENTRIES)
def test_each_dataset(images: Path, dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = make(images, dataset, [ENTRIES[dataset]] * 3)
    assert code == 0
    assert f"pytest benchmarks -k {dataset} --blip-data {out}" in capsys.readouterr().out
    samples = load_samples(dataset, str(out))
    assert len(samples) == 3
    assert samples[0].image.size == (9, 9)
    if dataset == "textvqa":
        assert samples[0].references == ("stop",) * 10
    if dataset == "scienceqa":
        assert (samples[0].answer_index, samples[0].context) == (1, "h")
    if dataset == "coco":
        assert samples[0].references == ("a sign", "a red sign")


def test_many_rows_become_several_files(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ROWS_A_FILE", 2)
    entries = [{**ENTRIES["textvqa"], "answer": str(number)} for number in range(5)]
    _, out = make(images, "textvqa", entries)
    assert len(list((out / "textvqa").glob("*.parquet"))) == 3
    assert [sample.references[0] for sample in load_samples("textvqa", str(out))] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("dataset", "change", "complaint"),
    [
        ("textvqa", {"image": "none.png"}, "image 'none.png' cannot be read (No such file or directory)"),
        ("textvqa", {"image": "../questions.json"}, "image '../questions.json' lies outside "),
        ("textvqa", {"image": "broken.png"}, "image is of no known format"),
        ("textvqa", {"question": ""}, "question is missing"),
        ("textvqa", {"answer": None}, "answer is missing"),
        ("textvqa", {"answers": ["a"] * 9}, "answers has 9 texts where those of 10 people are needed"),
        ("scienceqa", {"answer": "Earth"}, "answer 'Earth' is none of its choices"),
        ("scienceqa", {"answer": 5}, "answer is 5 where an index into its 2 choices is needed"),
        ("coco", {"captions": []}, "answer is [] where a list of texts is needed"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_written(
    images: Path, capsys: pytest.CaptureFixture[str], dataset: str, change: dict[str, Any], complaint: str
) -> None:
    code, out = make(images, dataset, [ENTRIES[dataset], {**ENTRIES[dataset], **change}])
    assert code == 2
    # One line, without a bar of progress where nobody watches it.
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: entry 1 (counted from 0): {complaint}")
    assert list(out.iterdir()) == []


WRONG = [5, -1, 2.5, True, "x" * 10_001, "a\0b", [1], [[1]], ["a", None], {}, {"a": 1}, 10**18, "<image>", "../a.png"]


@pytest.mark.parametrize(
    ("dataset", "field"),
    [(name, field) for name, entry in ENTRIES.items() for field in [*entry, "answers", "ocr_tokens", "hint"]],
)
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_a_value_of_any_type_is_written_or_named(
    images: Path, capsys: pytest.CaptureFixture[str], dataset: str, field: str, value: Any
) -> None:
    code, out = make(images, dataset, [{**ENTRIES[dataset], field: value}])
    said = capsys.readouterr().err.splitlines()[-1:]
    if code == 0:
        assert len(load_samples(dataset, str(out))) == 1
        return
    assert code == 2
    assert said[0].startswith("error: entry 0 (counted from 0): ")
    assert said[0].isprintable()
    assert len(said[0]) < 400
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("/etc/passwd", "image '/etc/passwd' lies outside "),
        ("link.png", "image 'link.png' lies outside "),
        ("folder/../../questions.json", "lies outside "),
        ("pipe", "image 'pipe' cannot be read: it is no file"),
        (".", "image '.' cannot be read: it is no file"),
        ("a.png/b", "cannot be read (Not a directory)"),
    ],
)
def test_a_path_that_leads_elsewhere(
    images: Path, capsys: pytest.CaptureFixture[str], name: str, complaint: str
) -> None:
    (images / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(images / "pipe")
    code, _ = make(images, "coco", [{**ENTRIES["coco"], "image": name}])
    assert code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[" * 50_000, "it is nested too deeply"),
        (b'[{"image": NaN}]', "it is no JSON ("),
        (b'[{"image": "\\ud800"}]', "it is no JSON ("),
        (b"\xff", "it is "),
        (b"", "it is no JSON ("),
        (b"[" + b"9" * 5_000 + b"]", "it is no JSON ("),
    ],
)
def test_questions_that_are_no_json(
    images: Path, capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    questions = images.parent / "questions.json"
    questions.write_bytes(content)
    arguments = ["make-folder", "--dataset", "coco", "--images", str(images), "--questions", str(questions)]
    assert command.main([*arguments, "--out", str(images.parent / "out")]) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


def test_a_byte_order_mark_is_no_fault(images: Path) -> None:
    questions = images.parent / "questions.json"
    questions.write_bytes(b"\xef\xbb\xbf" + json.dumps([ENTRIES["coco"]]).encode())
    assert command.make_folder("coco", images, questions, images.parent / "out") == 1


def test_no_other_process_can_take_the_unfinished_folder(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name cannot be guessed; a folder or a link that is there is no place to write to."""
    names = []
    write = command._write

    def noting(*arguments: Any) -> None:
        names.append(arguments[-1].parent.name)
        write(*arguments)

    monkeypatch.setattr(command, "_write", noting)
    for _ in range(2):
        _, out = make(images, "coco", [ENTRIES["coco"]])
        shutil.rmtree(out / "coco")
    assert len(set(names)) == 2
    monkeypatch.setattr("secrets.token_hex", lambda _count: "known")
    elsewhere = images.parent / "elsewhere"
    elsewhere.mkdir()
    (out / f".coco.known{UNFINISHED}").symlink_to(elsewhere)
    assert make(images, "coco", [ENTRIES["coco"]])[0] == 2
    assert list(elsewhere.iterdir()) == []


def test_nothing_is_left_where_writing_fails(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    code, out = make(images, "coco", [ENTRIES["coco"]])
    assert code == 2
    assert list(out.iterdir()) == []


def test_a_full_folder_is_left_alone(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(images, "coco", [ENTRIES["coco"]])
    code, out = make(images, "coco", [ENTRIES["coco"]] * 2)
    assert code == 2
    assert "is not empty; give another --out, or remove it" in capsys.readouterr().err
    assert len(load_samples("coco", str(out))) == 1


def test_a_file_in_the_place_of_the_folder(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images.parent / "out").write_text("")
    code, out = make(images, "coco", [ENTRIES["coco"]])
    assert code == 2
    assert capsys.readouterr().err == f"error: cannot write to {out}: file exists; give another folder as --out\n"


@pytest.mark.parametrize("entries", [[], {"a": 1}, [1]])
def test_no_list_of_questions(images: Path, capsys: pytest.CaptureFixture[str], entries: Any) -> None:
    code, _ = make(images, "coco", entries)
    assert code == 2
    assert "error: " in capsys.readouterr().err
