"""One document, several renderers."""

from __future__ import annotations

import pytest

from blip_fixtures import foreign
from blip_fixtures.report.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Details,
    Head,
    Heading,
    Lines,
    Notes,
    Paragraph,
    Picture,
    Table,
)
from blip_fixtures.report.document import document
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.render import markdown, terminal
from blip_fixtures.report.render.narrow import columns_of, narrow
from blip_fixtures.report.render.terminal import terminal_lines
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import find_sweep
from tests.unit.records import make_energy, make_latency, make_not_run, make_record, small_run

TABLE = Table((Head("Device"), Head("Energy  ", "J")), ((Cell("A|B"), Cell("3.500", 3.4999)),))


@pytest.mark.parametrize(
    ("block", "in_markdown", "in_terminal"),
    [
        (Heading("Quality"), "## Quality", ["", "Quality"]),
        (Heading("TextVQA", level=3), "### TextVQA", ["", "TextVQA"]),
        (Paragraph("A sentence."), "A sentence.", ["", "A sentence."]),
        (Lines(("BatchSize: 1", "Device: CPU")), "BatchSize: 1\nDevice: CPU", ["BatchSize: 1", "Device: CPU"]),
        (Bullets(("one", "two")), "- one\n- two", ["", "- one", "- two"]),
        (Notes("Notes", ("one.", "two.")), "Notes:\n- one.\n- two.", ["  one.", "  two."]),
        (Code(("pytest benchmarks",)), "```console\n$ pytest benchmarks\n```", ["", "  pytest benchmarks"]),
        (Picture("Batch plot", "plots/a.png"), "![Batch plot](plots/a.png)", []),
        (
            TABLE,
            "| Device | Energy   |\n|--------|----------|\n| A\\|B   | 3.500    |",
            ["", "Device  Energy", "------  ------", "A|B      3.500"],
        ),
    ],
)
def test_each_block_in_each_form(block: Block, in_markdown: str, in_terminal: list[str]) -> None:
    assert markdown.text([block]) == f"{in_markdown}\n"
    assert terminal.lines([block]) == in_terminal


def test_blocks_stand_apart_in_markdown() -> None:
    assert markdown.text([Heading("A"), Paragraph("b"), Paragraph("c")]) == "## A\n\nb\n\nc\n"


def test_cells_keep_the_numbers_that_their_texts_round() -> None:
    energy = {"cpu_package": make_energy(43.4412)}
    record = make_record(sweeps=["batch_size"], latency=make_latency([0.29876]), energy=energy)
    blocks = document(select([record], foreign.markdown), load_prose("en"))
    table = next(block for block in blocks if isinstance(block, Table))
    (row,) = table.rows
    assert [cell.text for cell in row] == ["1", "0.299", "43"]
    assert [cell.value for cell in row] == [None, 0.29876, 43.4412]
    assert [head.unit for head in table.heads] == ["", "s", "J"]


def test_every_row_of_every_table_has_a_cell_for_each_head() -> None:
    blocks = document(select(small_run(), foreign.markdown), load_prose("en"))
    details = [inner for block in blocks if isinstance(block, Details) for inner in block.blocks]
    tables = [block for block in (*blocks, *details) if isinstance(block, Table)]
    assert len(tables) > 10
    assert all(len(row) == len(table.heads) for table in tables for row in table.rows)


def test_terminal_lines_are_title_held_values_table_and_footnotes_of_each_sweep() -> None:
    records = [make_record(data={"dropped": 3}), make_not_run(sweeps=["two_axes"], batch_size=4)]
    assert terminal_lines(records, 79) == [
        "",
        "Device Tests",
        "Dataset TextVQA, batch_size 1, image_size 224, Sequence Len 200, Optimization",
        "fp32",
        "",
        "Device  Latency  Energy    FLOPS",
        "------  -------  ------  -------",
        "CPU       0.205   3.500  4.000 G",
        "  CPU: the partial last batch (3 samples) was left out.",
        "  The energy of CPU comes from intel-rapl package-0, scope machine, with an",
        "    error bound of up to 1.3 % of the figure.",
        "",
        "Two Axes Tests",
        "Device CPU, Optimization fp32, batch_size 4, image_size 224, Sequence Len 200",
        "",
        "Dataset  Latency  Energy  FLOPS  WER",
        "-------  -------  ------  -----  ---",
        "TextVQA        -       -      -    -",
        "  `-` for Latency, Energy, FLOPS, WER of TextVQA: not available; no such device",
        "    on this machine.",
    ]


def test_a_terminal_says_a_reason_once_whatever_the_sweep() -> None:
    lines = terminal_lines(small_run(), 120)
    said = [line for line in lines if "no permission; cannot read intel-rapl:0/energy_uj" in line]
    assert len(said) == 1
    assert said[0].startswith("  `-` for Energy of CPU: [1] no permission")
    assert "  `-` for Energy (per sample) of all rows: see [1]" in lines
    assert "  `-` for Energy of fp32, Compile: see [1]" in lines


def test_groups_of_a_sweep_are_one_table_in_a_terminal() -> None:
    records = [
        make_record(sweeps=["batch_size"], device=device, device_name=device, batch_size=size, notes=notes)
        for device, notes in (("cuda:0", []), ("cpu", ["slow"]))
        for size in (1, 4)
    ]
    lines = terminal_lines(records, 79)
    assert [line for line in lines if line.endswith("Tests")] == ["Batch Tests"]
    rows = [line.split()[:2] for line in lines if line.startswith(("GPU", "CPU"))]
    assert rows == [["GPU", "1"], ["GPU", "4"], ["CPU", "1"], ["CPU", "4"]]
    assert "  CPU, all rows: slow." in lines


@pytest.mark.parametrize("width", [20, 33, 50, 79, 120, 250])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = make_record(
        sweeps=["optimization", "mine"],
        optimization="bf16+compile+int4+int8_dynamic+漢字漢字漢字漢字漢字",
        dataset="a" * 60,
        notes=["n" * 300, "one two three " * 20],
    )
    for line in terminal_lines([*small_run(), wide], width):
        assert columns_of(line) <= width


def test_headers_give_way_before_labels_and_labels_before_figures() -> None:
    heads = (Head("Optimization"), Head("Latency (per batch)", "s"), Head("Energy (per sample)", "J"))
    table = Table(heads, ((Cell("bf16+int8_dynamic"), Cell("0.123", 0.123), Cell("-")),))
    assert narrow(table, 80) == [
        "Optimization       Latency (per batch)  Energy (per sample)",
        "-----------------  -------------------  -------------------",
        "bf16+int8_dynamic                0.123                    -",
    ]
    assert narrow(table, 40) == [
        "                     Latency      Energy",
        "                        (per        (per",
        "Optimization          batch)     sample)",
        "-----------------  ---------  ----------",
        "bf16+int8_dynamic      0.123           -",
    ]
    assert narrow(table, 28) == [
        "            Latency   Energy",
        "Optimizati     (per     (per",
        "on           batch)  sample)",
        "----------  -------  -------",
        "bf16+int8_    0.123        -",
        "dynamic",
    ]
    assert narrow(table, 5) == [
        "Optim",
        "izati",
        "on:",
        "bf16+",
        "int8_",
        "dynam",
        "ic",
        "Laten",
        "cy",
        "(per",
        "batch",
        "):",
        "0.123",
        "Energ",
        "y",
        "(per",
        "sampl",
        "e): -",
    ]


def test_each_of_the_four_plots_has_a_file_of_its_own() -> None:
    plots = [find_sweep(name).plot for name in ("batch_size", "image_size", "sequence_length", "optimization")]
    assert len({plot.file for plot in plots if plot is not None}) == 4
    assert find_sweep("device").plot is None
