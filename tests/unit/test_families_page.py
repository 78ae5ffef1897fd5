"""docs/families.md: its figures are those of the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.resolve import find_architecture
from blip_fixtures.engine.flops import BatchShape, FlopCounter
from tests.unit.test_catalog import PARAMETERS

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `Salesforce/")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def test_every_checkpoint_has_its_row() -> None:
    assert list(ROWS) == list(CATALOG)
    for model, (parameters, pixels, *_) in ROWS.items():
        assert int(parameters.replace(",", "")) == PARAMETERS[model]
        assert int(pixels) == CATALOG[model]["vision_config"]["image_size"]


@pytest.mark.parametrize("model", ["Salesforce/blip2-opt-2.7b-coco"])
def test_flops_are_those_that_are_counted(model: str) -> None:
    """Of one: each takes two seconds."""
    checkpoint = find_architecture(model, "random")
    tokens = 13 if "instructblip" in model else 0
    count = FlopCounter(checkpoint).count(BatchShape(1, checkpoint.image_size, tokens, 13, 50))
    phases = (count.vision, count.qformer, count.prefill, count.decode, count.total)
    assert ROWS[model][2:] == [f"{flops / 1e9:,.1f}" for flops in phases]
