"""A document of a model across cards: the sums in the tables, and each card by itself below them."""

from __future__ import annotations

from typing import Any

import pytest

from blip_fixtures import foreign
from blip_fixtures.record import CardEnergy, CardMemory, Record
from blip_fixtures.report.blocks import Paragraph, Table
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.sections.energy import ENERGY
from blip_fixtures.report.sections.limit import LIMIT
from blip_fixtures.report.sections.memory import MEMORY
from blip_fixtures.report.selection import Selection, select
from tests.unit.records import make_energy, make_record

MIB = 2**20
DEVICE = "cuda:0+cuda:1"


def record(**changes: Any) -> Record:
    energy = make_energy(40.0, source="nvml", scope="board")
    energy = type(energy)(
        **{
            **{name: getattr(energy, name) for name in energy.__struct_fields__},
            "by_card": {
                "cuda:0": CardEnergy(joules=960.0, error_bound_j=0.5, joules_per_sample=30.0),
                "cuda:1": CardEnergy(joules=320.0, error_bound_j=1.0, joules_per_sample=10.0),
            },
        }
    )
    parts = {
        "cuda:0": CardMemory(weights_bytes=5 * MIB, peak_bytes=60 * MIB, reserved_bytes=80 * MIB),
        "cuda:1": CardMemory(weights_bytes=3 * MIB, peak_bytes=40 * MIB, reserved_bytes=44 * MIB),
    }
    memory = {
        "weights_bytes": 8 * MIB,
        "peak_bytes": 100 * MIB,
        "reserved_bytes": 124 * MIB,
        "kind": "cuda_allocator",
        "by_card": parts,
    }
    return make_record(
        **{"device": DEVICE, "device_name": "NVIDIA H200 + NVIDIA H200", "energy": {"gpu": energy}, "memory": memory}
        | changes
    )


def selected(*records: Record) -> Selection:
    return select(records, foreign.markdown)


def tables(section: Any, records: list[Record], lang: str = "en") -> list[list[list[str]]]:
    blocks = section.blocks(selected(*records), load_prose(lang))
    return [[[cell.text for cell in row] for row in block.rows] for block in blocks if isinstance(block, Table)]


def test_the_device_is_called_by_all_its_cards() -> None:
    selection = selected(record())
    assert selection.device_label(selection.records[0].case) == "GPU (NVIDIA H200 + NVIDIA H200)"


def test_a_device_that_did_not_run_is_called_by_what_the_machine_has() -> None:
    environment = {"gpus": ["H200", "L4"]}
    absent = record(device_name=None, status="unavailable", environment=environment)
    assert selected(absent).records[0].case.device_name == "H200 + L4"
    other = record(device="cuda:0+cuda:2", device_name=None, status="unavailable", environment=environment)
    assert selected(other).records[0].case.device_name is None


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_each_card_has_a_row_below_the_sums(lang: str) -> None:
    sums, cards = tables(MEMORY, [record()], lang)
    assert sums[0][-3:] == ["8.0", "100.0", "124.0"]
    assert [row[-4:] for row in cards] == [["cuda:0", "5.0", "60.0", "80.0"], ["cuda:1", "3.0", "40.0", "44.0"]]
    sums, cards = tables(ENERGY, [record()], lang)
    assert "40.000" in sums[0]
    assert [row[-4:] for row in cards] == [["cuda:0", "30.000", "960.0", "0.50"], ["cuda:1", "10.000", "320.0", "1.0"]]
    said = [block.text for block in ENERGY.blocks(selected(record()), load_prose(lang)) if isinstance(block, Paragraph)]
    assert load_prose(lang).say("energy_by_card") in said


def test_rows_on_one_device_have_none() -> None:
    single = make_record()
    assert [len(tables(section, [single])) for section in (MEMORY, ENERGY)] == [1, 1]
    _, cards = tables(MEMORY, [single, record()])
    assert len(cards) == 2


def test_a_limit_across_cards_is_no_record_of_an_older_release() -> None:
    limit = {"seconds": 0.1, "ratio": 2.0, "bound_by": {}, "flops_per_s": 1e12, "bytes_per_s": {"decode": 1e9}}
    (first, *_) = [
        block for block in LIMIT.blocks(selected(record(limit=limit)), load_prose("en")) if isinstance(block, Paragraph)
    ]
    assert load_prose("en").say("limit_rounds") in first.text
