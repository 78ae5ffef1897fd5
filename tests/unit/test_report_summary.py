"""What stands first in a document, how rows stand to the first one, and that a reason stands once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from blip_fixtures.record import Record, read_records
from blip_fixtures.report.document import write_document
from tests.unit.records import make_energy, make_latency, make_record

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports" / "published" / "instructblip-tiny" / "records.json"
ANSWERS = ("a", "b", "c", "d")


def in_processes(record: Record, *processes_s: float) -> list[Record]:
    """A record for each of these medians, whose rounds lie close around it."""
    found = []
    for number, median_s in enumerate(processes_s, start=1):
        latency = make_latency([median_s * share for share in (0.99, 1.0, 1.01)])
        made = replace(record, latency=latency, process=number)
        found.append(made if number == 1 else replace(made, quality={}, predictions=(), energy={}))
    return found


def row(optimization: str, *processes_s: float, answers: tuple[str, ...] = ANSWERS, **fields: Any) -> list[Record]:
    record = make_record(
        sweeps=["optimization"], optimization=optimization, predictions=answers, data={"batches": 3}, **fields
    )
    return in_processes(record, *processes_s)


def written(tmp_path: Path, *rows: list[Record], **options: Any) -> str:
    records = [record for each in rows for record in each]
    return write_document(records, tmp_path, **options).readme.read_text(encoding="utf-8")


def bullets(text: str) -> dict[str, str]:
    """The summary's, by what they are about."""
    summary = text.partition("## Summary\n")[2].partition("\n## ")[0]
    return {name: line for line in summary.splitlines() if (name := line.partition("**")[2].partition("**")[0])}


def told(text: str) -> dict[str, str]:
    """Row -> how it stands to the first one."""
    table = text.partition("Against the first row")[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: said for name, said, *_ in cells}


def test_the_fastest_row_is_named_where_it_can_be_told(tmp_path: Path) -> None:
    text = written(tmp_path, row("fp16", 1.0, 1.01, 0.99), row("bf16", 0.5, 0.5, 0.51), row("int8", 0.6, 0.61, 0.6))
    latency = bullets(text)["Latency"]
    assert "bf16 takes the least time, 0.500 s a batch, 50 % of fp16; 100 % of its answers are those of fp16" in latency
    assert "[Optimization Tests](#optimization-tests), TextVQA, CPU" in latency
    assert re.fullmatch(r"-49\.\d % \[-\d\d\.?\d?, -\d\d\.?\d?\], faster", told(text)["bf16"])
    assert "over 3 processes, with 90 % intervals" in text


def test_rows_that_cannot_be_told_apart_are_named_together(tmp_path: Path) -> None:
    text = written(tmp_path, row("fp16", 1.0), row("bf16", 0.5), row("int8", 0.6), row("fp32", 0.9))
    latency = bullets(text)["Latency"]
    assert "one of bf16, int8, which cannot be told apart; bf16 was seen at 0.500 s a batch" in latency
    assert told(text) == {
        "fp16": "first row",
        "bf16": "-50 %, faster",
        "int8": "-40 %, faster",
        "fp32": "-10 %, cannot tell",
    }
    assert "- fp32 cannot be told from the first row: one process tells only what is further apart than 1.61" in text


def test_no_row_is_called_faster_where_none_can_be_told_to_be(tmp_path: Path) -> None:
    text = written(tmp_path, row("fp16", 1.0), row("bf16", 0.9))
    assert bullets(text)["Latency"].endswith("no row can be told to be faster than fp16.")


def test_the_fastest_at_equal_answers_is_another_row(tmp_path: Path) -> None:
    other = ("a", "b", "c", "e")
    text = written(tmp_path, row("fp16", 1.0), row("int4", 0.2, answers=other), row("bf16", 0.4))
    found = bullets(text)
    assert "75 % of its answers are those of fp16" in found["Latency"]
    assert (
        "bf16 takes the least time of the rows with all the answers of fp16, 0.400 s a batch" in found["Same answers"]
    )
    assert (
        "no row with all the answers"
        in bullets(written(tmp_path, row("fp16", 1.0), row("int4", 0.2, answers=other)))["Same answers"]
    )


def test_what_a_thousand_samples_cost(tmp_path: Path) -> None:
    rows = (row("fp16", 2.0), row("bf16", 0.5))
    assert "money" not in written(tmp_path, *rows)
    text = written(tmp_path, *rows, price=3.6)
    assert "1,000 samples take 500 s and cost 0.50" in bullets(text)["Latency"]
    table = text.partition("Against the first row")[2]
    assert "1000 samples (money)" in table
    assert re.search(r"^\| fp16 .*\| 2000 +\|.*\| 2\.00 ", table, re.MULTILINE)


def batch_rows(*seconds: float) -> list[list[Record]]:
    return [
        in_processes(make_record(sweeps=["batch_size"], batch_size=size, predictions=ANSWERS), median_s)
        for size, median_s in zip((1, 4, 16), seconds, strict=True)
    ]


def test_the_batch_size_with_the_highest_throughput_and_the_smallest_that_nearly_has_it(tmp_path: Path) -> None:
    found = bullets(written(tmp_path, *batch_rows(1.0, 0.42, 1.6)))["Batch size"]
    assert "the highest throughput is that of one of batch 4, batch 16, which cannot be told apart" in found
    assert "batch 16 was seen at 10.0 samples/s, 10 times that of batch 1" in found
    assert "batch 4 has 95.2 % of it and answers after 0.420 s in place of 1.600 s" in found


def test_energies_within_their_bounds_are_not_ranked(tmp_path: Path) -> None:
    def of(joules: float) -> dict[str, Any]:
        return {"energy": {"cpu_package": make_energy(joules)}}

    far = bullets(written(tmp_path, row("fp16", 1.0, **of(4.0)), row("bf16", 0.5, **of(1.0))))
    assert "bf16 takes the least, 1.00 J a sample, 25 % of fp16" in far["Energy"]
    near = bullets(written(tmp_path, row("fp16", 1.0, **of(4.0)), row("bf16", 0.5, **of(3.999))))
    assert near["Energy"].endswith("no row can be told to take less than fp16.")


def test_a_reason_stands_once(tmp_path: Path) -> None:
    text = written(tmp_path, *batch_rows(1.0, 0.4, 1.6), row("fp16", 1.0), row("bf16", 0.9))
    long = "one process tells only what is further apart"
    assert text.partition("<details>")[0].count(long) == 1
    published = write_document(read_records(PUBLISHED), tmp_path).readme.read_text(encoding="utf-8")
    reason = "there is no powercap tree at"
    tables = published.partition("<details>")[0].partition("## Device Tests")[2]
    assert tables.count(reason) == 1
    assert "`-` for Energy (per sample) of all rows: as under Device Tests." in tables


def test_the_first_screen_of_the_published_document_answers(tmp_path: Path) -> None:
    text = write_document(read_records(PUBLISHED), tmp_path).readme.read_text(encoding="utf-8")
    above = text.partition("<details>")[0].splitlines()
    assert len(above) <= 150
    assert {"Batch size", "Latency", "Energy", "Quality"} <= set(bullets(text))
    assert text.rstrip().endswith("</details>")


def cells_of(text: str, heading: str) -> list[list[str]]:
    table = text.partition(f"## {heading}\n")[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_printed_figures_agree_with_each_other(tmp_path: Path) -> None:
    """Shares with what they are shares of, throughput with batch over latency, phases with their sum."""
    text = write_document(read_records(PUBLISHED), tmp_path).readme.read_text(encoding="utf-8")
    rows = cells_of(text, "Optimization Tests")
    first = float(rows[0][1])
    for _, latency, share, *_ in rows:
        # Each latency is printed to half a millisecond.
        bound = 100 * (0.0005 + 0.0005 * float(latency) / first) / first
        assert float(share) == pytest.approx(100 * float(latency) / first, abs=bound + 0.05)
    batches = {size: float(latency) for size, latency, _ in cells_of(text, "Batch Tests")}
    rates = cells_of(text, "Summary")
    assert {row[0] for row in rates} == set(batches)
    for size, _, samples, _, thousand, *_ in rates:
        # The rate is that of all rounds, the latency their median.
        assert float(samples) == pytest.approx(int(size) / batches[size], rel=0.05)
        assert float(thousand) == pytest.approx(1000 / float(samples), rel=0.01)
    for record in read_records(PUBLISHED):
        phases = record.phases
        if phases is not None and phases.sum_s is not None:
            parts = (phases.vision_s, phases.qformer_s, phases.prefill_s, phases.decode_s)
            assert sum(part or 0 for part in parts) == pytest.approx(phases.sum_s, rel=1e-6)
            assert phases.time_to_first_token_s == pytest.approx(sum(part or 0 for part in parts[:3]), rel=1e-6)


def test_several_processes_are_one_row_of_all_their_rounds(tmp_path: Path) -> None:
    text = written(tmp_path, row("fp16", 1.0, 1.2, 1.3), row("bf16", 0.5, 0.5, 0.5))
    (fp16, _) = cells_of(text, "Optimization Tests")
    assert fp16[1] == "1.200", "the median of the processes' medians"
    spread = text.partition("## Spread")[2]
    assert re.search(r"^\| fp16 .*\| 9 +\|$", spread, re.MULTILINE)
