"""Data sources: packaged samples, folders, and folders that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blip_fixtures.case import DATASETS
from blip_fixtures.data.adapters import ADAPTERS
from blip_fixtures.data.sources import DataError, load_samples


def png(size: int = 8) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("P", (size, size)).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(buffer, format="PNG")
    return buffer.getvalue()


NOISE = noise()


def write_textvqa(folder: Path, rows: int = 5, drop: str | None = None, **changed: Any) -> Path:
    columns: dict[str, Any] = {
        "question_id": list(range(rows)),
        "question": [f"question {i}?" for i in range(rows)],
        "image": [png() for _ in range(rows)],
        "answers": [[f"answer {i}"] * 10 for i in range(rows)],
        "ocr_tokens": [["a"] for _ in range(rows)],
    }
    for column, value in changed.items():
        columns[column][2] = value
    columns.pop(drop or "", None)
    schema = None
    if rows == 0:
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        schema = pa.schema(
            [
                ("question_id", pa.int64()),
                ("question", pa.string()),
                ("image", image),
                ("answers", pa.list_(pa.string())),
                ("ocr_tokens", pa.list_(pa.string())),
            ]
        )
    path = folder / "textvqa" / "validation.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


@pytest.mark.parametrize("dataset", DATASETS)
def test_packaged_samples(dataset: str) -> None:
    samples = load_samples(dataset, "sample")
    assert len(samples) == 64
    assert len({sample.id for sample in samples}) == 64
    for sample in samples[:3]:
        assert sample.question
        assert sample.image.mode == "RGB"


def test_packaged_references_follow_the_hubs_columns() -> None:
    assert all(len(sample.references) == 10 for sample in load_samples("textvqa", "sample"))
    assert all(len(sample.references) == 5 for sample in load_samples("coco", "sample"))
    for sample in load_samples("scienceqa", "sample"):
        assert 2 <= len(sample.choices) <= 5
        assert sample.answer_index is not None
        assert sample.references == (sample.choices[sample.answer_index],)


def test_a_folder_is_read_and_its_images_become_rgb(tmp_path: Path) -> None:
    write_textvqa(tmp_path)
    samples = load_samples("textvqa", str(tmp_path))
    assert [sample.references[0] for sample in samples] == [f"answer {i}" for i in range(5)]
    assert samples[0].ocr_tokens == ("a",)
    assert samples[0].image.mode == "RGB"


def test_limit_takes_the_same_rows_every_time(tmp_path: Path) -> None:
    write_textvqa(tmp_path, rows=100)
    first = [sample.id for sample in load_samples("textvqa", str(tmp_path), limit=7)]
    assert first == [sample.id for sample in load_samples("textvqa", str(tmp_path), limit=7)]
    assert len(set(first)) == 7
    # Pinned: another machine must draw these very rows.
    assert first == ["49", "97", "53", "5", "33", "65", "62"]


def test_a_larger_limit_changes_nothing(tmp_path: Path) -> None:
    write_textvqa(tmp_path)
    assert [sample.id for sample in load_samples("textvqa", str(tmp_path), limit=99)] == ["0", "1", "2", "3", "4"]


def test_revision_follows_the_bytes(tmp_path: Path) -> None:
    write_textvqa(tmp_path / "a", rows=3)
    write_textvqa(tmp_path / "b", rows=4)
    revisions = {load_samples("textvqa", str(tmp_path / name)).revision for name in "ab"}
    assert len(revisions) == 2


def test_missing_folder() -> None:
    with pytest.raises(DataError, match="data folder 'nowhere' does not exist; give sample, or a folder"):
        load_samples("textvqa", "nowhere")


def test_folder_without_the_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no parquet files in .*textvqa; put the textvqa split there"):
        load_samples("textvqa", str(tmp_path))


def test_missing_column_is_named_with_those_found(tmp_path: Path) -> None:
    write_textvqa(tmp_path, drop="answers")
    with pytest.raises(DataError, match=r"has the columns .*question_id; textvqa also needs answers"):
        load_samples("textvqa", str(tmp_path))


def test_empty_split(tmp_path: Path) -> None:
    write_textvqa(tmp_path, rows=0)
    with pytest.raises(DataError, match="holds no rows; put the textvqa split there"):
        load_samples("textvqa", str(tmp_path))


def test_truncated_file(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cannot read .*validation.parquet: .*; write the file again"):
        load_samples("textvqa", str(tmp_path))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"question": None}, "question is None where a text is needed"),
        ({"question": " "}, "question is ' ' where a text is needed"),
        ({"answers": []}, r"answers is \[\] where a list of texts is needed"),
        ({"image": {"bytes": None, "path": "a.png"}}, "image holds no bytes"),
        ({"image": {"bytes": NOISE[:2000], "path": None}}, r"image cannot be decoded \(.*\)"),
        ({"image": {"bytes": b"no picture", "path": None}}, r"image cannot be decoded \(.*\)"),
    ],
    ids=["question", "blank", "answers", "no-image", "cut-image", "no-picture"],
)
def test_a_bad_row_is_named(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    write_textvqa(tmp_path, **changed)
    match = rf"validation.parquet, row 2 \(counted from 0\): {complaint}; mend the row or leave it out"
    with pytest.raises(DataError, match=match):
        load_samples("textvqa", str(tmp_path))


def test_a_bad_row_of_a_second_file_is_named_there(tmp_path: Path) -> None:
    write_textvqa(tmp_path).rename(tmp_path / "textvqa" / "a.parquet")
    write_textvqa(tmp_path, question=None).rename(tmp_path / "textvqa" / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet, row 2 \(counted from 0\): question is None"):
        load_samples("textvqa", str(tmp_path))


@pytest.mark.parametrize("answer", [2, -1, None])
def test_an_answer_outside_its_choices(answer: int | None) -> None:
    row = {"question": "q?", "image": png(), "choices": ["a", "b"], "answer": answer}
    with pytest.raises(ValueError, match=f"answer is {answer} where an index into its 2 choices is needed"):
        ADAPTERS["scienceqa"].to_sample(row, 0)


def test_answers_that_are_one_text_are_refused() -> None:
    row = {"question": "q?", "image": png(), "answers": "tea"}
    with pytest.raises(ValueError, match="answers is 'tea' where a list of texts is needed"):
        ADAPTERS["textvqa"].to_sample(row, 0)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file; give sample, or a folder with parquet files in it"):
        load_samples("textvqa", str(tmp_path / "file"))
