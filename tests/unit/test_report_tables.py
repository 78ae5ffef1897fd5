from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from blip_fixtures.record import read_records
from blip_fixtures.report.render.grid import grid
from blip_fixtures.report.tables import sweep_tables
from tests.unit.records import make_energy, make_latency, make_metric, make_not_run, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.tables.sweep_table import SweepTable

ROOT = Path(__file__).parents[2]
SEED = ROOT / "reports" / "seed" / "instructblip-flan-t5-xl.json"
GOLDEN = Path(__file__).parent / "golden"


def only_table(records: Sequence[Record], title: str, **options: Any) -> SweepTable:
    (table,) = [table for table in sweep_tables(records, **options) if table.sweep.title == title]
    return table


def cells(table: SweepTable) -> list[list[str]]:
    """The texts of a table's rows."""
    return [[cell.text for cell in row] for row in table.table.rows]


def column(table: SweepTable, index: int) -> list[str]:
    return [row[index] for row in cells(table)]


def footnote(table: SweepTable, part: str) -> str:
    """The one footnote that contains `part`."""
    (found,) = [text for text in table.footnotes if part in text]
    return found


def others(table: SweepTable) -> tuple[str, ...]:
    """The footnotes without the one that names the source of the energy."""
    return tuple(text for text in table.footnotes if not text.startswith("The energy of"))


# The seed's figures


def test_seed_figures_give_the_five_tables_byte_for_byte() -> None:
    tables = sweep_tables(read_records(SEED))
    blocks = ["\n".join([f"## {table.sweep.title}", "", *table.held, "", grid(table.table)]) for table in tables]
    assert "\n\n".join(blocks) + "\n" == (GOLDEN / "seed_tables.md").read_text(encoding="utf-8")


def test_seed_file_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "seed_records.py"))
    assert SEED.read_text(encoding="utf-8") == script["text"]()


def test_seed_faults_stand_under_the_tables_they_concern() -> None:
    tables = {table.sweep.title: table for table in sweep_tables(read_records(SEED))}
    assert "degraded; the GPU's counter" in footnote(tables["Device Tests"], "Energy of CPU")
    assert "nothing compiled ran" in footnote(tables["Optimization Tests"], "Compile: the model")
    assert "shorter than 50 tokens" in footnote(tables["Sequence Length Tests"], "limit only cuts")
    assert not any("thumbnail" in text for text in tables["Sequence Length Tests"].footnotes)
    assert not any("cut off by mistake" in text for text in tables["Optimization Tests"].footnotes)
    assert all(any("the mean over the rounds" in text for text in table.footnotes) for table in tables.values())


# Rows, labels, order


def test_device_rows_are_gpu_then_cpu() -> None:
    gpu = make_record(device="cuda:0", device_name="NVIDIA H100", energy={"gpu": make_energy(2.0)})
    assert column(only_table([make_record(), gpu], "Device Tests"), 0) == ["GPU", "CPU"]


def test_the_source_of_the_energy_and_its_largest_bound_are_a_footnote() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=size, energy={"cpu_package": entry})
        for size, entry in (
            (1, make_energy(2.0, joules=64.0, error_bound_j=0.64, source="powercap")),
            (4, make_energy(1.0, joules=64.0, error_bound_j=1.28, source="powercap")),
            (8, make_energy(1.0, error_bound_j=None, source="perf")),
            (16, make_energy(None, status="lost", reason="the counter vanished")),
        )
    ]
    table = only_table(records, "Batch Tests")
    assert footnote(table, "powercap") == (
        "The energy of batch_size 1, 4 comes from powercap, scope machine, with an error bound of up to 2.0 % of the "
        "figure."
    )
    assert "batch_size 8 comes from perf, scope machine, with an unknown error bound." in footnote(table, "perf")
    assert (
        footnote(table, "vanished") == "`-` for Energy (per sample) of batch_size 16: meter lost; the counter vanished."
    )


def test_a_row_shows_the_energy_of_its_own_device() -> None:
    both = {"gpu": make_energy(7.0), "cpu_package": make_energy(5.0)}
    gpu = make_record(device="cuda:0", device_name="NVIDIA H100", energy=both)
    assert column(only_table([gpu, make_record(energy=both)], "Device Tests"), 2) == ["7.000", "5.000"]


def test_another_domain_never_stands_in() -> None:
    table = only_table([make_record(energy={"gpu": make_energy(7.0)})], "Device Tests")
    assert column(table, 2) == ["-"]


def test_merged_devices_of_one_kind_are_named() -> None:
    records = [
        make_record(),
        *(make_record(device="cuda:0", device_name=name) for name in ("NVIDIA H200", "NVIDIA L4")),
    ]
    assert column(only_table(records, "Device Tests"), 0) == ["GPU (NVIDIA H200)", "GPU (NVIDIA L4)", "CPU"]


def test_merged_devices_get_tables_of_their_own() -> None:
    records = [
        make_record(sweeps=["batch_size"], device="cuda:0", device_name=name, batch_size=size)
        for name in ("NVIDIA H200", "NVIDIA L4")
        for size in (4, 1)
    ]
    tables = sweep_tables(records)
    assert [table.held[-1] for table in tables] == ["Device: Cuda (NVIDIA H200)", "Device: Cuda (NVIDIA L4)"]
    assert [column(table, 0) for table in tables] == [["1", "4"], ["1", "4"]]


def test_two_equal_devices_are_told_apart_by_their_torch_name() -> None:
    records = [make_record(device=device, device_name="NVIDIA H100") for device in ("cuda:0", "cuda:1")]
    labels = column(only_table(records, "Device Tests"), 0)
    assert labels == ["GPU (NVIDIA H100, cuda:0)", "GPU (NVIDIA H100, cuda:1)"]


def test_a_device_that_only_one_machine_lacks_leaves_no_gap() -> None:
    absent = make_not_run(device="cuda", device_name=None)
    gpu = make_record(device="cuda:0", device_name="NVIDIA H100")
    assert column(only_table([make_record(), absent, gpu], "Device Tests"), 0) == ["GPU", "CPU"]
    assert column(only_table([make_record(), absent], "Device Tests"), 1) == ["-", "0.205"]


def test_a_case_that_did_not_run_joins_the_table_of_its_device() -> None:
    ran = make_record(sweeps=["batch_size"], device="cuda:0", device_name="NVIDIA H100", batch_size=1)
    lost = make_not_run("out_of_memory", sweeps=["batch_size"], device="cuda:0", device_name=None, batch_size=16)
    assert column(only_table([ran, lost], "Batch Tests"), 0) == ["1", "16"]


@pytest.mark.parametrize(
    ("sweep", "axis", "title", "order"),
    [
        ("batch_size", "batch_size", "Batch Tests", ["1", "4", "16"]),
        ("image_size", "image_size", "Image Size Tests", ["224", "336", "448"]),
        ("sequence_length", "sequence_length", "Sequence Length Tests", ["200", "100", "50"]),
    ],
)
def test_row_order_of_the_numeric_sweeps(sweep: str, axis: str, title: str, order: list[str]) -> None:
    shuffled = [order[1], order[2], order[0]]
    records = [make_record(sweeps=[sweep], **{axis: int(value)}) for value in shuffled]
    assert column(only_table(records, title), 0) == order


def test_optimizations_keep_file_order_and_compare_with_the_first() -> None:
    records = [
        make_record(sweeps=["optimization"], optimization=name, latency=make_latency([seconds]))
        for name, seconds in (("fp32", 2.0), ("bf16+compile", 1.0), ("flash_attention_2", 3.0), ("int8", 0.5))
    ]
    table = only_table(records, "Optimization Tests")
    assert column(table, 0) == ["fp32", "bf16+Compile", "Flash Attention 2", "int8"]
    assert column(table, 2) == ["100", "50", "150", "25"]
    assert footnote(table, "% of original") == '"% of original" is the share of the first row, fp32.'


def test_without_a_baseline_figure_the_percentages_are_missing() -> None:
    lost = make_not_run("failed", "CUDA error", sweeps=["optimization"], optimization="fp32")
    compiled = make_record(sweeps=["optimization"], optimization="compile")
    table = only_table([lost, compiled], "Optimization Tests")
    assert column(table, 2) == ["-", "-"]
    assert "which has no Latency, FLOPS, Energy" in footnote(table, "% of original")


def test_size_tables_have_a_pair_of_columns_per_dataset() -> None:
    records = [
        make_record(
            sweeps=["image_size"],
            dataset=dataset,
            latency=make_latency([seconds]),
            quality={"wer": make_metric(wer, higher_is_better=False)},
        )
        for dataset, seconds, wer in (("textvqa", 0.3, 0.3), ("coco", 0.1, 0.1), ("scienceqa", 0.2, 0.2))
    ]
    table = only_table(records, "Image Size Tests")
    assert cells(table) == [["224", "0.100", "0.100", "0.200", "0.200", "0.300", "0.300"]]
    assert table.held == ("BatchSize: 1", "SeqLen:  200", "Optimization: fp32", "Device: CPU")


def test_datasets_side_by_side_may_come_from_different_files() -> None:
    def record(dataset: str, image_size: int, revision: str) -> Record:
        data = {"source": "sample", "revision": revision, "samples": 64, "batches": 4, "dropped": 0}
        return make_record(sweeps=["image_size"], dataset=dataset, image_size=image_size, data=data)

    alike = [record("coco", 224, "c1"), record("textvqa", 224, "t1"), record("coco", 336, "c1")]
    assert not [note for note in only_table(alike, "Image Size Tests").footnotes if "not measured alike" in note]
    changed = [*alike[:2], record("coco", 336, "c2")]
    assert "data" in footnote(only_table(changed, "Image Size Tests"), "not measured alike")


def test_a_sweep_of_the_users_own_has_the_axes_as_columns() -> None:
    records = [make_record(sweeps=["two_axes"], batch_size=size, dataset="coco") for size in (1, 4)]
    table = only_table(records, "Two Axes Tests")
    assert table.held == ()
    assert cells(table)[1][:6] == ["COCO", "CPU", "fp32", "4", "224", "200"]
    assert sweep_tables([make_record(), *records])[-1] == table


def test_only_sweeps_with_records_have_tables() -> None:
    titles = [table.sweep.title for table in sweep_tables([make_record(sweeps=["optimization", "device"])])]
    assert titles == ["Device Tests", "Optimization Tests"]


def test_different_held_values_make_different_tables() -> None:
    records = [make_record(sweeps=["batch_size"], dataset=dataset) for dataset in ("coco", "textvqa")]
    assert [table.held[0] for table in sweep_tables(records)] == ["Dataset: TextVQA", "Dataset: COCO"]


# Several measurements of one case


def test_of_one_case_the_last_measurement_wins_with_a_footnote() -> None:
    records = [make_record(latency=make_latency([seconds])) for seconds in (1.0, 2.0)]
    table = only_table(records, "Device Tests")
    assert column(table, 1) == ["2.000"]
    assert "measured more than once" in footnote(table, "CPU:")


def test_the_same_record_twice_is_no_remeasurement() -> None:
    assert others(only_table([make_record(), make_record()], "Device Tests")) == ()


def test_model_folders_do_not_make_cases_different() -> None:
    records = [make_record(model=model) for model in ("Salesforce/some", "/models/some")]
    assert len(cells(only_table(records, "Device Tests"))) == 1


def test_cuda_and_cuda_0_are_one_device() -> None:
    records = [make_record(device=device, device_name="NVIDIA H100") for device in ("cuda", "cuda:0")]
    assert column(only_table(records, "Device Tests"), 0) == ["GPU"]


# Gaps and their reasons


def test_every_gap_has_a_footnote_with_the_reason_of_the_case() -> None:
    lost = make_not_run("out_of_memory", "CUDA out of memory", sweeps=["batch_size"], batch_size=16)
    table = only_table([make_record(sweeps=["batch_size"]), lost], "Batch Tests")
    assert cells(table)[1] == ["16", "-", "-"]
    assert others(table) == (
        "`-` for Latency (per batch), Energy (per sample) of batch_size 16: out of memory; CUDA out of memory.",
    )


def test_equal_reasons_share_a_footnote() -> None:
    unread = {"cpu_package": make_energy(None, status="permission", reason="cannot read energy_uj")}
    records = [make_record(sweeps=["batch_size"], batch_size=size, energy=unread) for size in (1, 4, 8)]
    assert only_table(records, "Batch Tests").footnotes == (
        "`-` for Energy (per sample) of all rows: no permission; cannot read energy_uj.",
    )
    other = make_record(sweeps=["batch_size"], batch_size=16)
    assert footnote(only_table([*records, other], "Batch Tests"), "`-`").startswith(
        "`-` for Energy (per sample) of batch_size 1, 4, 8:"
    )


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"flops.total": "the exact one", "flops": "the general one"}, "the exact one"),
        ({"flops": "the general one"}, "the general one"),
        ({}, "flops left out of the test record"),
    ],
)
def test_the_most_exact_reason_is_shown(missing: dict[str, str], reason: str) -> None:
    table = only_table([make_record(flops=None, missing=missing)], "Device Tests")
    assert footnote(table, "`-`") == f"`-` for FLOPS of CPU: {reason}."


def test_a_gap_without_a_reason_says_so() -> None:
    table = only_table([make_record(energy={})], "Device Tests")
    assert "the record gives no reason" in footnote(table, "Energy")


def test_not_a_number_is_a_gap() -> None:
    # What the schema refuses, a caller of the report may still have.
    latency = replace(make_latency([0.1]), median_s=float("nan"), rounds_s=())
    table = only_table([replace(make_record(), latency=latency)], "Device Tests")
    assert column(table, 1) == ["0.100"]
    assert "the mean over the rounds" in footnote(table, "Latency")


def test_a_null_median_is_derived_from_the_rounds() -> None:
    table = only_table([make_record(latency=make_latency([0.1, 0.2, 0.9], median_s=None))], "Device Tests")
    assert column(table, 1) == ["0.200"]
    assert others(table) == ()


def test_a_dataset_that_was_not_run_says_how_to_run_it() -> None:
    table = only_table([make_record(sweeps=["image_size"])], "Image Size Tests")
    assert cells(table)[0][1:3] == ["-", "-"]
    assert '`pytest benchmarks -k "test_image_size and coco"`' in footnote(table, "COCO, COCO latency")


def test_a_figure_too_small_for_its_column_is_not_silently_zero() -> None:
    table = only_table([make_record(latency=make_latency([0.0002]))], "Device Tests")
    assert column(table, 1) == ["0.000"]
    assert "too small for this format; the figure is 2.00e-04" in footnote(table, "Latency")


def test_a_weak_energy_figure_is_shown_with_its_status() -> None:
    weak = {"cpu_package": make_energy(4.0, status="contended", reason="another process used the package")}
    table = only_table([make_record(energy=weak)], "Device Tests")
    assert column(table, 2) == ["4.000"]
    expected = "Energy of CPU: other processes on the device; another process used the package."
    assert footnote(table, "Energy") == expected


# Notes of the records


def test_a_scoped_note_stands_only_where_its_field_is_shown() -> None:
    record = make_record(
        sweeps=["device", "image_size"],
        notes=["quality: scored on few samples", "device: throttled", "the fan was loud"],
    )
    device, image = sweep_tables([record])
    assert others(device) == ("CPU: throttled.", "CPU: the fan was loud.")
    assert "TextVQA of image_size 224: scored on few samples." in image.footnotes
    assert not any("throttled" in text for text in image.footnotes)


def test_dropped_samples_are_named() -> None:
    table = only_table([make_record(data={"dropped": 3})], "Device Tests")
    assert others(table) == ("CPU: the partial last batch (3 samples) was left out.",)


# What makes rows less comparable


def test_different_numbers_of_generated_tokens_are_named() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=size, tokens={"output_mean": mean})
        for size, mean in ((1, 9.8), (4, 10.25))
    ]
    assert "(TextVQA 9.80 to 10.25)" in footnote(only_table(records, "Batch Tests"), "numbers of tokens")


def test_datasets_may_generate_different_numbers_of_tokens() -> None:
    records = [
        make_record(sweeps=["image_size"], dataset=dataset, tokens={"output_mean": mean})
        for dataset, mean in (("coco", 9.8), ("textvqa", 2.0))
    ]
    assert not any("numbers of tokens" in text for text in only_table(records, "Image Size Tests").footnotes)


def test_sequence_lengths_that_no_prompt_reaches_did_the_same_work() -> None:
    rows = ((200, 0.0, 12.0), (100, 0.0, 12.0), (5, 0.9, 4.9))
    records = [
        make_record(
            sweeps=["sequence_length"], sequence_length=length, tokens={"truncated_share": cut, "input_mean": mean}
        )
        for length, cut, mean in rows
    ]
    note = footnote(only_table(records, "Sequence Length Tests"), "Same work")
    assert "(TextVQA for Sequence Len 200, 100)" in note


def test_image_sizes_with_equal_vision_flops_did_the_same_work() -> None:
    def at(size: int, vision: float) -> Record:
        return make_record(sweeps=["image_size"], image_size=size, flops={"vision": vision})

    assert "Same work" in footnote(only_table([at(224, 2e9), at(448, 2e9)], "Image Size Tests"), "vision encoder")
    different = only_table([at(224, 2e9), at(448, 8e9)], "Image Size Tests")
    assert not any("Same work" in text for text in different.footnotes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"generation": {"new_tokens": 20}}, "number of new tokens"),
        ({"data": {"source": "hub"}}, "data"),
    ],
)
def test_rows_measured_differently_are_named(change: dict[str, Any], named: str) -> None:
    records = [make_record(sweeps=["batch_size"]), make_record(sweeps=["batch_size"], batch_size=4, **change)]
    assert named in footnote(only_table(records, "Batch Tests"), "not measured alike")


def test_versions_of_merged_machines_are_compared() -> None:
    gpu = make_record(device="cuda:0", device_name="NVIDIA H100", environment={"versions": {"torch": "2.9.0"}})
    assert "torch 2.8.0, 2.9.0" in footnote(only_table([make_record(), gpu], "Device Tests"), "versions")


def test_a_busy_machine_is_named() -> None:
    busy = make_record(environment={"load_average": [14.2, 9.0, 5.0], "torch_threads": 2})
    note = footnote(only_table([busy], "Device Tests"), "other work ran")
    assert "load average up to 14.2 while the run itself used 2 threads" in note
    calm = make_record(environment={"load_average": [2.3, 2.0, 2.0], "torch_threads": 2})
    assert others(only_table([calm], "Device Tests")) == ()


def test_every_table_shows_the_last_measurement_of_a_case() -> None:
    first = make_record(sweeps=["image_size"], latency=make_latency([0.1]))
    again = make_record(sweeps=["mine"], latency=make_latency([0.2]))
    tables = sweep_tables([first, again])
    assert [table.sweep.title for table in tables] == ["Image Size Tests", "Mine Tests"]
    assert all("0.200" in grid(table.table) and "0.100" not in grid(table.table) for table in tables)
    assert all(any("measured more than once" in note for note in table.footnotes) for table in tables)


@pytest.mark.parametrize(
    ("reference_s", "said"),
    [
        ([0.002] * 10, ""),
        ([0.002] * 9 + [0.128], ""),
        (
            [0.002] * 8 + [0.128] * 2,
            "took up to 64 times as long as at its fastest, more than twice as long in up to 20 %",
        ),
        ([0.002] + [0.0039] * 9, ""),
    ],
)
def test_disturbed_rounds_are_named(reference_s: list[float], said: str) -> None:
    latency = make_latency([0.1] * 10, reference_s=reference_s)
    notes = [
        note for note in only_table([make_record(latency=latency)], "Device Tests").footnotes if "disturbed" in note
    ]
    assert [said in note for note in notes] == ([True] if said else [])


def test_the_fastest_reference_may_be_another_rows() -> None:
    calm = make_record(sweeps=["batch_size"], latency=make_latency([0.1] * 4, reference_s=[0.002] * 4))
    slow = make_record(sweeps=["batch_size"], batch_size=4, latency=make_latency([0.1] * 4, reference_s=[0.008] * 4))
    note = footnote(only_table([calm, slow], "Batch Tests"), "disturbed")
    assert note.startswith("batch_size 4: ")
    assert "up to 4 times" in note
    assert "100 %" in note


def test_an_environment_that_says_nothing_is_fine() -> None:
    record = replace(make_record(), environment={"load_average": None, "versions": None})
    assert others(only_table([record], "Device Tests")) == ()


# Spread and language


def test_spread_gives_median_quartiles_and_rounds() -> None:
    table = only_table([make_record(latency=make_latency([0.010, 0.012, 0.014, 0.016, 0.100]))], "Device Tests")
    assert table.spread is not None
    (row,) = table.spread.rows
    assert [cell.text for cell in row] == ["CPU", "14.00 [12.00, 16.00] ms", "66.40", "5"]
    assert [cell.value for cell in row] == [None, pytest.approx(0.014), pytest.approx(0.0664), 5]


def test_without_rounds_there_is_no_spread() -> None:
    assert only_table([make_record(latency=make_latency([0.1], rounds_s=[]))], "Device Tests").spread is None


def test_language_changes_footnotes_and_nothing_else() -> None:
    record = make_record(energy={"cpu_package": make_energy(None, status="disabled", reason=None)})
    english, russian = (only_table([record], "Device Tests", lang=lang) for lang in ("en", "ru"))
    assert (english.held, english.table, english.spread) == (russian.held, russian.table, russian.spread)
    assert russian.footnotes == ("`-` (Energy, CPU): выключено.",)


def test_a_pipe_in_a_name_does_not_break_the_table() -> None:
    records = [make_record(device="cuda:0", device_name=name) for name in ("A|B", "C")]
    assert "GPU (A\\|B)" in grid(only_table(records, "Device Tests").table)
