"""What stands in the folders of bad inputs: records, journals, parquet files, pictures, checkpoints, each with a fault.

Functions of pyarrow and Pillow are called where a file is made, in the process that reads it then.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import shutil
import struct
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tools.faults.bad_inputs.given import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.faults.bad_inputs.given import Content

_PUBLISHED = ROOT / "reports" / "published" / "instructblip-tiny" / "records.json"
_PACKAGED = ROOT / "blip_fixtures" / "checkpoints" / "instructblip-tiny"
ROWS = 5
# The row with the fault, counted from 0.
BAD_ROW = 2
GONE = object()


@cache
def _document() -> dict[str, Any]:
    """A published file with its first case alone, which is that of the folder's benchmark."""
    document: dict[str, Any] = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    document["benchmarks"] = document["benchmarks"][:1]
    document["blip"] |= {"not_run": [], "again": [], "order": [_record_of(document)["case_id"]]}
    return document


def _record_of(document: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = document["benchmarks"][0]["extra_info"]["blip"]
    return record


def _changed(value: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with other values at these dotted paths."""
    value = copy.deepcopy(value)
    for path, new in changes.items():
        *way, last = path.split(".")
        place: Any = value
        for name in way:
            place = place[int(name) if isinstance(place, list) else name]
        key = int(last) if isinstance(place, list) else last
        if new is GONE:
            del place[key]
        else:
            place[key] = new
    return value


def records(**changes: Any) -> str:
    """A records.json of one case, whose record differs as `changes` say: the path's dots are two underscores."""
    document = copy.deepcopy(_document())
    record = _changed(_record_of(document), _paths(changes))
    document["benchmarks"][0]["extra_info"]["blip"] = record
    return json.dumps(document)


def document(**changes: Any) -> str:
    """As `records`, with changes of the file itself."""
    return json.dumps(_changed(_document(), _paths(changes)))


def journal(*lines: dict[str, Any]) -> bytes:
    """One line for each mapping of changes, with its checksum."""
    return b"".join(_sealed(_changed(_record_of(_document()), _paths(changes))) for changes in lines)


def _paths(changes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in changes.items()}


def _sealed(record: dict[str, Any]) -> bytes:
    body = json.dumps(record).encode()
    return b'%s,"checksum":"%s"}\n' % (body[:-1], hashlib.sha256(body).hexdigest()[:16].encode())


def picture(mode: str = "RGB", size: tuple[int, int] = (16, 16), kind: str = "PNG", **settings: Any) -> bytes:
    """An encoded picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format=kind, **settings)
    return buffer.getvalue()


def two_frames() -> bytes:
    """An animation."""
    from PIL import Image

    return picture(kind="GIF", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])


def cut_off() -> bytes:
    """The beginning of a picture whose rest is noise that no encoder shortens."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()[:2000]


def png_of(width: int, height: int) -> bytes:
    """A PNG that says to have so many pixels, and holds none."""

    def chunk(name: bytes, content: bytes) -> bytes:
        whole = name + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def textvqa(*, without: str = "", rows: int = ROWS, **bad: Any) -> Content:
    """A parquet file of questions; in row `BAD_ROW` stands what `bad` says, or what its function returns."""
    return partial(_write_textvqa, without=without, rows=rows, bad=bad)


def _write_textvqa(path: Path, without: str, rows: int, bad: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = picture()
    plain = [
        {
            "question_id": number,
            "question": f"what is in picture {number}?",
            "image": {"bytes": image, "path": None},
            "answers": [f"answer {number}"] * 10,
            "ocr_tokens": ["a"],
        }
        for number in range(rows)
    ]
    for column, value in bad.items():
        plain[BAD_ROW][column] = value() if callable(value) else value
    schema = pa.schema(
        [
            ("question_id", pa.int64()),
            ("question", pa.string()),
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("answers", pa.list_(pa.string())),
            ("ocr_tokens", pa.list_(pa.string())),
        ]
    )
    table = pa.Table.from_pylist(plain, schema=schema)
    pq.write_table(table.drop_columns(without) if without else table, path)


def encoded(make: Callable[[], bytes]) -> Callable[[], dict[str, Any]]:
    """The column `image` with the picture that `make` returns."""
    return lambda: {"bytes": make(), "path": None}


def in_place_of_the_end(content: Content, left_out: int) -> Content:
    """The file that `content` makes, without its last bytes."""

    def write(path: Path) -> None:
        assert callable(content)
        content(path)
        path.write_bytes(path.read_bytes()[:-left_out])

    return write


def checkpoint(spoil: Callable[[Path], object]) -> Content:
    """A copy of the packaged checkpoint that `spoil` has changed."""

    def write(path: Path) -> None:
        shutil.copytree(_PACKAGED, path)
        spoil(path)

    return write


def configured(**changes: Any) -> Content:
    """A copy of the packaged checkpoint with other settings; the path's dots are two underscores."""

    def spoil(folder: Path) -> None:
        config = folder / "config.json"
        changed = _changed(json.loads(config.read_text(encoding="utf-8")), _paths(changes))
        config.write_text(json.dumps(changed), encoding="utf-8")

    return checkpoint(spoil)


def empty_folder(path: Path) -> None:
    """A folder without files."""
    path.mkdir()
