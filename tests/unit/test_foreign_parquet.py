"""Parquet files from outside: nothing of their metadata is believed, and damage is one sentence."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.words import DataErrors
from tests.unit.test_sources import picture, write_textvqa

SEED, DAMAGED = 17, 150


class Asked(ThreadingHTTPServer):
    """A server on loopback that remembers whether anybody asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Asked

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Silence."""

    def do_HEAD(self) -> None:
        self.server.requests.append(self.path)
        self.send_response(200)
        self.end_headers()

    do_GET = do_HEAD


@pytest.fixture
def server() -> Iterator[Asked]:
    server = Asked()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def declare(path: Path, column: str, values: list[Any], feature: dict[str, Any]) -> None:
    """Give the file of `path` a column that its metadata declares as `feature`, and every other as it is."""
    table = pq.read_table(path)
    if column in table.column_names:
        table = table.drop_columns([column])
    # As the library stores them; of columns of other types it does not believe the declaration.
    stored = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = table.append_column(column, pa.array(values, stored))
    features = datasets.Features.from_arrow_schema(table.schema.remove_metadata()).to_dict()
    metadata = {b"huggingface": json.dumps({"info": {"features": {**features, column: feature}}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize("column", ["extra", "ocr_tokens", "question_id", "id", "image"])
@pytest.mark.parametrize("kind", ["Image", "Audio", "Video", "Pdf"])
def test_no_column_opens_a_path_or_an_address(
    tmp_path: Path, server: Asked, monkeypatch: pytest.MonkeyPatch, column: str, kind: str
) -> None:
    """Whatever the file says that the column holds."""
    outside = tmp_path / "outside.png"
    outside.write_bytes(picture()["bytes"])
    path = write_textvqa(tmp_path / "data")
    url = f"http://127.0.0.1:{server.server_port}/a.png"
    places = [str(outside), url, f"file://{outside}", url, str(outside)]
    declare(path, column, [{"bytes": None, "path": place} for place in places], {"_type": kind})
    opened: list[str] = []
    plain_open = io.open

    def watching(file: Any, *arguments: Any, **settings: Any) -> Any:
        opened.append(str(file))
        return plain_open(file, *arguments, **settings)

    monkeypatch.setattr("builtins.open", watching)
    monkeypatch.setattr("io.open", watching)
    with contextlib.suppress(DataError):
        assert len([sample.question for sample in load_samples("textvqa", str(tmp_path / "data"))]) == 5
    assert server.requests == []
    assert not [name for name in opened if name.endswith("outside.png")]


def test_only_the_columns_of_the_dataset_are_read(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.append_column("noise", pa.array([b"x" * 9] * 5)), path)
    samples = load_samples("textvqa", str(tmp_path))
    assert set(samples.rows[0]) == {"question_id", "question", "image", "answers", "ocr_tokens"}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("question", [{"a": 1}] * 5),
        ("question", [[[1]]] * 5),
        ("answers", [[{"raw": "a"}]] * 5),
        ("answers", [b"x"] * 5),
        ("ocr_tokens", [{"a": [1]}] * 5),
        ("question_id", [[["a"]]] * 5),
        ("image", [1] * 5),
        ("image", [{"url": "a"}] * 5),
        ("image", [[b"a"]] * 5),
        ("image", [{"bytes": 3, "path": None}] * 5),
        ("image", [{"bytes": b"", "path": [1]}] * 5),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, column: str, values: list[Any]) -> None:
    path = write_textvqa(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)
    with pytest.raises(
        DataError, match=rf"validation.parquet: the column {column} has the type .*; write the file again$"
    ):
        load_samples("textvqa", str(tmp_path))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_in_any_of_its_types(tmp_path: Path, kind: Any) -> None:
    path = write_textvqa(tmp_path)
    table = pq.read_table(path)
    pq.write_table(
        table.set_column(1, "question", pa.array(table["question"].to_pylist(), pa.string()).cast(kind)), path
    )
    assert load_samples("textvqa", str(tmp_path))[1].question == "question 1?"


def test_files_of_one_dataset_that_differ(tmp_path: Path) -> None:
    write_textvqa(tmp_path).rename(tmp_path / "textvqa" / "a.parquet")
    path = write_textvqa(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "question", pa.array([[1]] * 5)), path)
    with pytest.raises(DataError, match=r"cannot read .*; write the file again"):
        load_samples("textvqa", str(tmp_path))


def test_a_column_twice(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.append_column("question", table["question"]), path)
    with pytest.raises(DataError, match=r"has 2 columns question; write the file again with one"):
        load_samples("textvqa", str(tmp_path))


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    whole, draw = path.read_bytes(), random.Random(SEED)
    for _ in range(DAMAGED):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            # The footer is at the end, and says where everything is.
            place = draw.choice(
                [draw.randrange(len(content)), draw.randrange(max(len(content) - 1500, 0), len(content))]
            )
            content[place] = draw.choice([0, 127, 128, 255, content[place] ^ (1 << draw.randrange(8))])
        cut = draw.randrange(len(content))
        del content[cut : cut + draw.choice([0, 0, 1, 50])]
        path.write_bytes(bytes(content))
        with contextlib.suppress(DataError):
            load_samples("textvqa", str(tmp_path), errors=draw.choice(list(DataErrors)))


def test_a_text_that_is_no_utf_8(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    pq.write_table(pq.read_table(path), path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"question 2?", b"question \xff?"))
    assert load_samples("textvqa", str(tmp_path), errors=DataErrors.SKIP).skipped == 1
    with pytest.raises(DataError, match=r"row 2 \(counted from 0\): a text of it is not UTF-8; mend the row"):
        load_samples("textvqa", str(tmp_path))


def test_a_link_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path / "elsewhere")
    folder = tmp_path / "data" / "textvqa"
    folder.mkdir(parents=True)
    (folder / "a.parquet").symlink_to(path)
    with pytest.raises(DataError, match=r"a\.parquet is no file of .*, or a link that leads out of it; put the file"):
        load_samples("textvqa", str(tmp_path / "data"))
    (folder / "a.parquet").unlink()
    os.mkfifo(folder / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet is no file of "):
        load_samples("textvqa", str(tmp_path / "data"))


def test_a_folder_of_a_dataset_that_leads_out(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "textvqa").symlink_to(path.parent)
    with pytest.raises(DataError, match=r"data/textvqa is a link that leads out of .*; put the folder itself there"):
        load_samples("textvqa", str(tmp_path / "data"))
    # Who gives a link gives what it names.
    (tmp_path / "link").symlink_to(path.parent.parent)
    assert len(load_samples("textvqa", str(tmp_path / "link"))) == 5


def test_a_link_within_the_folder_and_the_layout_of_the_hubs_cache(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path / "data")
    path.rename(path.parent / "kept")
    path.symlink_to("kept")
    assert len(load_samples("textvqa", str(tmp_path / "data"))) == 5
    snapshot = tmp_path / "hub" / "datasets--a--b" / "snapshots" / "c0ffee" / "textvqa"
    blob = tmp_path / "hub" / "datasets--a--b" / "blobs" / ("0a" * 32)
    snapshot.mkdir(parents=True)
    blob.parent.mkdir()
    (path.parent / "kept").rename(blob)
    (snapshot / "v.parquet").symlink_to("../../../blobs/" + "0a" * 32)
    assert len(load_samples("textvqa", str(snapshot.parent))) == 5


@pytest.mark.parametrize("source", ["a" * 5000, "a\0b"])
def test_a_folder_that_no_file_system_can_have(source: str) -> None:
    with pytest.raises(DataError, match=r"^data folder .{1,140} does not exist; give sample, hub, or a folder"):
        load_samples("textvqa", source)
