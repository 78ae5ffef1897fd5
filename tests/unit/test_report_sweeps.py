"""Sweeps from outside, and datasets that the five tables do not know."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures import foreign
from blip_fixtures.reasons import Reason
from blip_fixtures.report.columns import ENERGY, LATENCY
from blip_fixtures.report.document import document, write_document
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.plots.page import Page
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.render import markdown
from blip_fixtures.report.render.terminal import terminal_lines
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import SWEEPS, Plot, PlotKind, Sweep, find_sweep, register_sweep
from blip_fixtures.report.tables import sweep_tables
from tests.unit.records import make_latency, make_metric, make_not_run, make_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from blip_fixtures.record import Record

# What a user's conftest.py would hold.
FEW_TOKENS = Sweep(
    name="few_tokens",
    title="A Few Tokens",
    axis="sequence_length",
    header="tokens",
    row_name="tokens",
    held=(("On: ", "device"), ("Data: ", "dataset")),
    shared=frozenset({"sequence_length"}),
    order=lambda case: case.sequence_length,
    columns=(LATENCY, dataclasses.replace(ENERGY, header="Joules")),
    plot=Plot("few_tokens.png", "Few tokens", PlotKind.LATENCY_AND_ENERGY, x_label="Tokens", is_log2=True),
)


@pytest.fixture
def few_tokens() -> Iterator[Sweep]:
    forget = register_sweep(FEW_TOKENS)
    yield FEW_TOKENS
    forget()
    assert FEW_TOKENS.name not in SWEEPS


def text_of(*records: Record) -> str:
    return markdown.text(document(select(records, foreign.markdown), load_prose("en")))


def in_few_tokens(*lengths: int, **overrides: Any) -> list[Record]:
    return [make_record(sweeps=["few_tokens"], sequence_length=length, **overrides) for length in lengths]


def test_a_sweep_from_outside_is_rendered_with_its_title_header_held_lines_and_plot(
    few_tokens: Sweep, tmp_path: Path
) -> None:
    records = [*in_few_tokens(8, 4, 2), make_not_run(sweeps=["few_tokens"], sequence_length=16)]
    text = write_document(records, tmp_path).readme.read_text(encoding="utf-8")
    shown = text.partition("## A Few Tokens\n")[2].partition("\n<details>")[0]
    assert shown.startswith(
        """
On: CPU
Data: TextVQA

| tokens | Latency | Joules |
|--------|---------|--------|
| 2      | 0.205   | 3.500  |
| 4      | 0.205   | 3.500  |
| 8      | 0.205   | 3.500  |
| 16     | -       | -      |

Against the first row (2 tokens), within one process:

| tokens | time per sample   | samples/s | 1000 samples (s) | 1000 samples (J) |
|--------|-------------------|-----------|------------------|------------------|
| 2      | first row         | 4.75      | 211              | 3500             |
| 4      | +0 %, cannot tell | 4.75      | 211              | 3500             |
| 8      | +0 %, cannot tell | 4.75      | 211              | 3500             |
| 16     | -                 | -         | -                | -                |

Notes:
- `-` for Latency, Joules of tokens 16: not available; no such device on this machine.
"""
    )
    assert shown.rstrip().endswith("![Few tokens](plots/few_tokens.png)")
    assert (tmp_path / "plots" / "few_tokens.png").stat().st_size > 10_000
    assert text.index("## Optimization Tests") < text.index("## A Few Tokens") < text.index("## Quality")


def test_a_sweep_from_outside_has_groups_remarks_and_terminal_lines_as_the_five(few_tokens: Sweep) -> None:
    odd = in_few_tokens(8, notes=[Reason.verbatim("odd", scope="few_tokens")])
    records = [*in_few_tokens(2, 4), *in_few_tokens(2, 4, dataset="coco"), *odd]
    tables = sweep_tables(records)
    assert [table.held for table in tables] == [("On: CPU", "Data: TextVQA"), ("On: CPU", "Data: COCO")]
    assert "tokens 8: odd." in tables[0].footnotes
    assert any(text.startswith("Same work in several rows: no prompt reaches") for text in tables[0].footnotes)
    # Both datasets are one table there.
    assert terminal_lines(records)[:5] == [
        "",
        "A Few Tokens",
        "Device CPU",
        "",
        "Dataset  tokens  Latency  Joules  vs first",
    ]


def test_a_sweep_from_outside_may_show_shares_of_its_first_row() -> None:
    forget = register_sweep(dataclasses.replace(FEW_TOKENS, columns=(LATENCY,), shares=True))
    try:
        (table,) = sweep_tables([*in_few_tokens(2, latency=make_latency([2.0])), *in_few_tokens(4)])
    finally:
        forget()
    assert [head.text for head in table.table.heads] == ["tokens", "Latency", "% of original Latency"]
    assert [row[2].text for row in table.table.rows] == ["100", "10.3"]
    assert '"% of original" is the share of the first row, 2.' in table.footnotes


def test_a_sweep_from_outside_may_have_datasets_side_by_side() -> None:
    column = dataclasses.replace(ENERGY, header="{dataset} energy")
    changes: dict[str, Any] = {"datasets": ("textvqa", "coco"), "columns": (column,)}
    shared = frozenset({"sequence_length", "dataset"})
    forget = register_sweep(dataclasses.replace(FEW_TOKENS, **changes, shared=shared))
    try:
        (table,) = sweep_tables([*in_few_tokens(2), *in_few_tokens(2, dataset="coco")])
    finally:
        forget()
    assert [head.text for head in table.table.heads] == ["tokens", "TextVQA energy", "COCO energy"]
    assert any(text.startswith("The energy of") for text in table.footnotes)


def test_a_registered_sweep_that_was_not_run_says_how_to_run_it(few_tokens: Sweep) -> None:
    text = text_of(make_record())
    assert "## A Few Tokens\n\nNot run. To measure it: `pytest benchmarks -k test_few_tokens`" in text


def test_without_its_registration_every_axis_is_a_column() -> None:
    (table,) = sweep_tables(in_few_tokens(2))
    assert table.sweep.title == "Few Tokens Tests"
    heads = [head.text for head in table.table.heads]
    assert heads[:6] == ["Dataset", "Device", "Optimization", "batch_size", "image_size", "Sequence Len"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "device"}, "the sweep 'device' is known already"),
        ({"plot": Plot("latency_seq_plot.png", "", PlotKind.BARS)}, "is that of the sweep 'sequence_length'"),
        ({"axis": "sequence_len"}, "names sequence_len; a case has model, "),
        ({"held": (("On: ", "gadget"),)}, "names gadget; a case has"),
        ({"shared": frozenset({"gadget"})}, "names gadget; a case has"),
    ],
)
def test_a_sweep_that_collides_or_misspells_is_refused(changes: dict[str, Any], message: str) -> None:
    before = dict(SWEEPS)
    with pytest.raises(ValueError, match=message):
        register_sweep(dataclasses.replace(FEW_TOKENS, **changes))
    assert before == SWEEPS


# Datasets beside the three of the size tables

SIZES = ("image_size", "sequence_length")


def sized(sweep: str, *datasets: str) -> list[Record]:
    return [
        make_record(sweeps=[sweep], dataset=dataset, **{sweep: size}, quality={"wer": make_metric(0.5)})
        for dataset in datasets
        for size in (100, 200)
    ]


@pytest.mark.parametrize("sweep", SIZES)
def test_a_fourth_dataset_has_a_table_of_its_own_behind_and_changes_nothing_of_the_first(sweep: str) -> None:
    three = sized(sweep, "textvqa", "coco", "scienceqa")
    (alone,) = sweep_tables(three)
    first, fourth = sweep_tables([*sized(sweep, "vizwiz"), *three])
    assert first == alone
    assert [head.text for head in fourth.table.heads][1:] == ["vizwiz", "vizwiz latency"]
    assert {tuple(cell.text for cell in row)[1:] for row in fourth.table.rows} == {("0.500", "0.205")}
    assert fourth.held == first.held
    assert not any("was not run" in text for text in fourth.footnotes)


def test_with_the_fourth_dataset_alone_the_three_have_no_table() -> None:
    (table,) = sweep_tables(sized("image_size", "vizwiz"))
    assert len(table.table.heads) == 3


def test_every_dataset_beside_the_three_has_its_own_table_each_device_too() -> None:
    gpu = [make_record(sweeps=["image_size"], dataset="vizwiz", device="cuda:0", device_name="NVIDIA H100")]
    tables = sweep_tables([*sized("image_size", "vizwiz", "coco", "aokvqa"), *gpu])
    assert [(table.table.heads[1].text, table.held[-1]) for table in tables] == [
        ("COCO", "Device: CPU"),
        ("aokvqa", "Device: CPU"),
        ("vizwiz", "Device: Cuda"),
        ("vizwiz", "Device: CPU"),
    ]


def test_tables_of_the_three_are_sorted_by_device_whichever_of_them_each_has() -> None:
    cpu = make_record(sweeps=["image_size"], dataset="textvqa")
    gpu = make_record(sweeps=["image_size"], dataset="scienceqa", device="cuda:0", device_name="NVIDIA H100")
    assert [table.held[-1] for table in sweep_tables([cpu, gpu])] == ["Device: Cuda", "Device: CPU"]


def test_the_plot_of_a_size_sweep_has_a_line_more_for_a_dataset_more() -> None:
    selection, sweep = select(sized("image_size", "textvqa", "vizwiz"), foreign.plot), find_sweep("image_size")
    assert sweep.plot is not None
    figure = draw_lines(selection.groups(sweep), page := Page(selection, load_prose("en")), sweep.plot)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["TextVQA", "vizwiz"]
    assert set(draw_plots(selection, page.prose).images) == {sweep.plot.file}


def test_a_dataset_that_nobody_registered_is_called_by_its_name_everywhere() -> None:
    text = text_of(make_record(dataset="vizwiz"), make_record())
    assert "packaged samples (32 TextVQA, 32 vizwiz)" in text
    assert text.index("Dataset: TextVQA") < text.index("Dataset: vizwiz")
    assert "### vizwiz" in text


def test_a_column_that_is_none_is_refused_before_anything_is_measured() -> None:
    strange: Any = ("latency",)
    with pytest.raises(ValueError, match="the sweep 'mine' has the column 'latency'; give"):
        register_sweep(Sweep(name="mine", title="Mine", columns=strange))
    assert "mine" not in SWEEPS
