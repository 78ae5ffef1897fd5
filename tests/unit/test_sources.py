"""Data sources: packaged samples, folders, and folders that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.datasets.base import RowContext
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.words import DataErrors


def picture(mode: str = "RGB", size: tuple[int, int] = (8, 8), kind: str = "PNG", **settings: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format=kind, **settings)
    return {"bytes": buffer.getvalue(), "path": None}


def animation() -> dict[str, Any]:
    return picture(kind="GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])


def noise() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


NOISE = noise()
HERE = RowContext(0, Path())
# The first rows of a hundred: another machine must draw these very ones.
PINNED = ["87", "46", "15", "44", "99", "76", "36"]


def write_textvqa(folder: Path, rows: int = 5, drop: str | None = None, **changed: Any) -> Path:
    columns: dict[str, Any] = {
        "question_id": list(range(rows)),
        "question": [f"question {i}?" for i in range(rows)],
        "image": [picture() for _ in range(rows)],
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


@pytest.mark.parametrize("dataset", dataset_names())
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


def test_a_folder_is_read(tmp_path: Path) -> None:
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
    assert first == PINNED


def test_a_smaller_limit_takes_fewer_of_the_same_rows(tmp_path: Path) -> None:
    write_textvqa(tmp_path, rows=100)
    many, few = ([sample.id for sample in load_samples("textvqa", str(tmp_path), limit=n)] for n in (20, 5))
    assert many[:5] == few


def test_a_larger_limit_changes_nothing(tmp_path: Path) -> None:
    write_textvqa(tmp_path)
    assert [sample.id for sample in load_samples("textvqa", str(tmp_path), limit=99)] == ["0", "1", "2", "3", "4"]


def test_revision_follows_the_bytes(tmp_path: Path) -> None:
    write_textvqa(tmp_path / "a", rows=3)
    write_textvqa(tmp_path / "b", rows=4)
    revisions = {load_samples("textvqa", str(tmp_path / name)).revision for name in "ab"}
    assert len(revisions) == 2


def test_missing_folder() -> None:
    with pytest.raises(DataError, match="data folder 'nowhere' does not exist; give sample, hub, or a folder"):
        load_samples("textvqa", "nowhere")


def test_folder_without_the_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no parquet files in .*textvqa; put the textvqa split there"):
        load_samples("textvqa", str(tmp_path))


def test_missing_column_is_named_with_those_found(tmp_path: Path) -> None:
    write_textvqa(tmp_path, drop="answers")
    with pytest.raises(
        DataError,
        match=r"has the columns .*question_id; textvqa needs .*answers or answer; missing: answers",
    ):
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
        ({"answers": ["tea"] * 9}, "answers has 9 texts where those of 10 people are needed"),
        ({"image": {"bytes": None, "path": None}}, "image holds neither bytes nor a path"),
        ({"image": {"bytes": None, "path": "a.png"}}, "image names 'a.png', which is not in .*"),
        (
            {"image": {"bytes": None, "path": "../../etc/a.png"}},
            r"image names .*/etc/a.png', which lies outside .*",
        ),
        ({"image": {"bytes": None, "path": "/etc/a.png"}}, r"image names '/etc/a.png', which lies outside .*"),
        ({"image": {"bytes": NOISE[:2000], "path": None}}, r"image cannot be decoded \(.*\)"),
        (
            {"image": {"bytes": b"no picture", "path": None}},
            r"image is of no known format \(give one of JPEG, PNG, WEBP, GIF, BMP, TIFF\)",
        ),
        (
            {"image": picture("CMYK", kind="JPEG")},
            r"image has the mode CMYK where RGB is needed .*",
        ),
        (
            {"image": picture("L")},
            r"image has the mode L where RGB is needed \(--blip-data-errors=convert .*\)",
        ),
        ({"image": picture("RGBA")}, r"image has the mode RGBA where RGB is needed .*"),
        (
            {"image": animation()},
            r"image is animated, or has several pages \(--blip-data-errors=convert takes the first frame\)",
        ),
        (
            {"image": picture(size=(1, 1))},
            "image has 1 x 1 pixels where at least 8 a side are .*",
        ),
        ({"image": picture("1", size=(20_000, 20_000))}, r"image has too many pixels \(.*\)"),
    ],
    ids=[
        *("question", "blank", "no-answers", "nine-answers", "no-image", "no-file", "outside", "absolute"),
        *("cut", "no-picture", "cmyk", "grey", "transparent", "animated", "tiny", "huge"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    write_textvqa(tmp_path, **changed)
    match = rf"validation.parquet, row 2 \(counted from 0\): {complaint}; mend the row, or pass --blip-data-errors=skip"
    with pytest.raises(DataError, match=match):
        load_samples("textvqa", str(tmp_path))


def test_a_bad_row_of_a_second_file_is_named_there(tmp_path: Path) -> None:
    write_textvqa(tmp_path).rename(tmp_path / "textvqa" / "a.parquet")
    write_textvqa(tmp_path, question=None).rename(tmp_path / "textvqa" / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet, row 2 \(counted from 0\): question is None"):
        load_samples("textvqa", str(tmp_path))


@pytest.mark.parametrize("answer", [2, -1, None])
def test_an_answer_outside_its_choices(answer: int | None) -> None:
    row = {"question": "q?", "image": picture(), "choices": ["a", "b"], "answer": answer}
    with pytest.raises(ValueError, match=f"answer is {answer} where an index into its 2 choices is needed"):
        find_dataset("scienceqa").sample(row, HERE)


def test_answers_that_are_one_text_are_refused() -> None:
    row = {"question": "q?", "image": picture(), "answers": "tea"}
    with pytest.raises(ValueError, match="answers is 'tea' where a list of texts is needed"):
        find_dataset("textvqa").sample(row, HERE)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file; give sample, hub, or a folder with parquet files in it"):
        load_samples("textvqa", str(tmp_path / "file"))


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    write_textvqa(tmp_path, image=picture("CMYK", kind="JPEG"))
    samples = load_samples("textvqa", str(tmp_path), errors=DataErrors.SKIP)
    assert [sample.id for sample in samples] == ["0", "1", "3", "4"]
    assert samples.skipped == 1


def test_a_limit_is_filled_with_sound_rows(tmp_path: Path) -> None:
    write_textvqa(tmp_path, question=None)
    samples = load_samples("textvqa", str(tmp_path), limit=4, errors=DataErrors.SKIP)
    assert len(samples) == 4
    assert "2" not in [sample.id for sample in samples]


def test_nothing_but_bad_rows(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path, rows=3)
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "question", pa.array([None] * 3, pa.string())), path)
    with pytest.raises(DataError, match="holds no sound row: all 3 were skipped; mend the split"):
        load_samples("textvqa", str(tmp_path), errors=DataErrors.SKIP)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA"])
def test_other_modes_are_converted_when_asked(tmp_path: Path, mode: str) -> None:
    write_textvqa(tmp_path, image=picture(mode))
    samples = load_samples("textvqa", str(tmp_path), errors=DataErrors.CONVERT)
    assert samples[2].image.mode == "RGB"
    assert samples.skipped == 0


def test_a_picture_beside_its_file(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path, image={"bytes": None, "path": "pictures/a.png"})
    (path.parent / "pictures").mkdir()
    (path.parent / "pictures" / "a.png").write_bytes(picture()["bytes"])
    assert load_samples("textvqa", str(tmp_path))[2].image.size == (8, 8)


@pytest.mark.parametrize("name", ["answer", "answers", "captions", "sentences"])
def test_captions_by_each_of_their_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "coco"
    folder.mkdir()
    pq.write_table(pa.table({"image": [picture()], name: [["a dog", "the dog"]]}), folder / "val.parquet")
    (sample,) = load_samples("coco", str(tmp_path))
    assert sample.references == ("a dog", "the dog")


def test_one_dataset_from_elsewhere(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    by_folder = load_samples("textvqa", "sample", override=str(path.parent))
    by_file = load_samples("textvqa", "sample", override=str(path))
    assert len(by_folder) == len(by_file) == 5
    assert by_file.source == str(path)
    assert by_folder.revision == by_file.revision
