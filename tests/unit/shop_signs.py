"""A dataset from outside the package, in one file: prices on the signs of shops."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from blip_fixtures.data.columns import needed, text
from blip_fixtures.data.datasets.base import Answers, ColumnType, Dataset, Question, Row, RowContext
from blip_fixtures.data.samples import Sample
from blip_fixtures.reasons import Reason, add_template
from blip_fixtures.record import Metric

add_template("few_signs", en="only {images} signs were read", ru="прочитано вывесок: {images}")


def _sample(row: Row, context: RowContext) -> Sample:
    return Sample(
        id=context.id(row), open_image=context.picture(row), question=text(row, "goods"), references=_prices(row)
    )


def _prices(row: Row) -> tuple[str, ...]:
    return (text(row, "price"),)


def _metrics(answers: Answers) -> dict[str, Metric]:
    from blip_fixtures.quality.metric import share_metric

    pairs = zip(answers.predictions, answers.references, strict=True)
    return {"right_price": share_metric([said.strip("$") == price for said, (price,) in pairs])}


def _row(entry: Row) -> dict[str, Any]:
    return {"goods": needed(entry, "goods"), "price": str(needed(entry, "price"))}


SHOP_SIGNS = Dataset(
    name="shop_signs",
    label="Shop Signs",
    columns={"image": ("photo", "image"), "goods": ("goods",), "price": ("price", "cost")},
    to_sample=_sample,
    always_filled=frozenset({"question"}),
    prompts={
        "paper": {"parts": ("Question: what do {question} cost?", "Short answer:")},
        "seed": {"parts": ["what do {question} cost?"]},
    },
    to_question=lambda row: Question(_prices(row)),
    metrics=_metrics,
    notes=lambda images: (Reason.of("few_signs", scope="quality", images=images),) if images < 5 else (),
    entry="``goods`` and ``price``",
    to_row=_row,
    row_types={"goods": ColumnType.TEXT, "price": ColumnType.TEXT},
)


def write_signs(folder: Path, rows: int = 5, **changed: Any) -> Path:
    """A folder with a parquet file in the dataset's own columns; `changed` are values of row 2."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "white").save(buffer, format="PNG")
    columns: dict[str, list[Any]] = {
        "photo": [{"bytes": buffer.getvalue(), "path": None}] * rows,
        "goods": [f"goods {number}" for number in range(rows)],
        "cost": [str(number) for number in range(rows)],
    }
    for column, value in changed.items():
        columns[column][2] = value
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "signs.parquet")
    return folder
