"""Does memory grow with the data set? ``python -m tools.data_memory [ROWS ...]``, from the repository's root.

Writes TextVQA folders of so many rows (500 and 5,000) with pictures as large as photographs, measures one case on each
in a process of its own, and prints the peak of the resident set and the median latency per sample. Pictures and
questions are alike in all of them, so time per sample compares.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT_ROWS = (500, 5000)
PICTURE = (640, 480)
ROWS_A_GROUP = 100


def write_folder(folder: Path, rows: int) -> None:
    """``folder/textvqa/`` in the hub's columns, written in groups so that this process stays small too."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    schema = pa.schema(
        [
            ("image_id", pa.string()),
            ("question_id", pa.int64()),
            ("question", pa.string()),
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("answers", pa.list_(pa.string())),
            ("ocr_tokens", pa.list_(pa.string())),
        ]
    )
    rng = np.random.default_rng(0)

    def row(number: int) -> dict[str, object]:
        coarse = rng.integers(0, 256, (PICTURE[1] // 8, PICTURE[0] // 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize(PICTURE).save(buffer, format="JPEG")
        return {
            "image_id": str(number),
            "question_id": number,
            "question": "what is written on the sign?",
            "image": {"bytes": buffer.getvalue(), "path": None},
            "answers": ["stop"] * 10,
            "ocr_tokens": ["stop"],
        }

    (folder / "textvqa").mkdir()
    with pq.ParquetWriter(folder / "textvqa" / "validation-00000.parquet", schema) as writer:
        for start in range(0, rows, ROWS_A_GROUP):
            group = [row(number) for number in range(start, min(start + ROWS_A_GROUP, rows))]
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def measure(folder: Path) -> tuple[int, float]:
    """(peak bytes, median seconds per sample) of one case over the whole folder."""
    from blip_fixtures.record import read_records

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "benchmarks/test_batch_size.py",
        "--blip-device=cpu",
        "--blip-energy=off",
    ]
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [*command, "-k", "batch16", f"--blip-data={folder}", f"--blip-report-dir={folder / 'reports'}"],
            cwd=ROOT,
            env={**os.environ, "HF_DATASETS_CACHE": str(folder / "cache")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "output.txt").read_text())
    (record,) = read_records(folder / "reports" / "instructblip-tiny" / "records.json")
    assert record.latency is not None
    return usage.ru_maxrss * 1024, (record.latency.median_s or 0) / record.case.batch_size


def main(arguments: list[str]) -> None:
    """One line for each number of rows."""
    for rows in [int(text) for text in arguments] or DEFAULT_ROWS:
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder), rows)
            peak_bytes, per_sample_s = measure(Path(folder))
        print(f"{rows} rows: peak {peak_bytes / 1e6:.0f} MB, {1e3 * per_sample_s:.2f} ms a sample", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
