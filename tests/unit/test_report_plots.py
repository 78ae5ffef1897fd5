from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from blip_fixtures import foreign
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.plots.bars import draw_bars
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import find_sweep
from tests.unit.records import make_energy, make_latency, make_not_run, make_record, small_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from blip_fixtures.record import Record


def lines(records: Sequence[Record], name: str) -> Figure:
    selection, sweep = select(records, foreign.plot), find_sweep(name)
    assert sweep.plot is not None
    return draw_lines(selection.groups(sweep), selection, sweep.plot, load_prose("en"))


def bars(records: Sequence[Record]) -> Figure:
    selection, sweep = select(records, foreign.plot), find_sweep("optimization")
    assert sweep.plot is not None
    return draw_bars(selection.groups(sweep), selection, sweep.plot, load_prose("en"))


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_plots_are_readable_images_for_the_sweeps_with_figures() -> None:
    images = draw_plots(select(small_run(), foreign.plot)).images
    assert set(images) == {"latency_energy_plot.png", "latency_img_size_plot.png", "optimization_bar_plot.png"}
    for content in images.values():
        assert Image.open(io.BytesIO(content)).width == 1600


def test_a_sweep_without_any_figure_has_no_plot() -> None:
    assert draw_plots(select([make_not_run(sweeps=["batch_size"])], foreign.plot)).images == {}


def test_axes_carry_units_and_error_bars_the_quartiles() -> None:
    rounds = [0.010, 0.012, 0.014, 0.016, 0.018]
    records = [make_record(sweeps=["batch_size"], batch_size=size, latency=make_latency(rounds)) for size in (1, 4)]
    panels: list[Any] = list(lines(records, "batch_size").axes)
    latency, energy = panels
    assert latency.get_xlabel() == "Batch size (samples)"
    assert latency.get_ylabel() == "Latency per batch (ms)"
    assert energy.get_ylabel() == "Energy per sample (J)"
    low, high = latency.containers[0].lines[1]
    assert list(low.get_ydata()) == pytest.approx([12, 12])
    assert list(high.get_ydata()) == pytest.approx([16, 16])


def test_the_highest_error_bar_ends_below_the_top_of_its_axis() -> None:
    rounds = [0.030, 0.037, 0.038, 0.060, 0.062]
    figure = lines([make_record(sweeps=["batch_size"], latency=make_latency(rounds))], "batch_size")
    assert figure.axes[0].get_ylim()[1] > 60 * 1.1


def test_the_bars_of_the_energy_are_its_error_bound() -> None:
    energies = [make_energy(2.0, samples=10, error_bound_j=4.0), make_energy(1.0, error_bound_j=None)]
    records = [
        make_record(sweeps=["batch_size"], batch_size=size, energy={"cpu_package": entry})
        for size, entry in zip((1, 4), energies, strict=True)
    ]
    figure = lines(records, "batch_size")
    panel: Any = figure.axes[1]
    low, high = panel.containers[0].lines[1]
    assert list(low.get_ydata()) == pytest.approx([1.6, 1.0])
    assert list(high.get_ydata()) == pytest.approx([2.4, 1.0])
    assert "for energy its error bound" in figure.get_suptitle()


def test_seconds_stay_seconds_from_one_second_on() -> None:
    record = make_record(sweeps=["batch_size"], latency=make_latency([1.5]))
    assert lines([record], "batch_size").axes[0].get_ylabel() == "Latency per batch (s)"


def test_missing_energy_is_said_in_the_plot() -> None:
    unread = {"cpu_package": make_energy(None, status="permission", reason="cannot read energy_uj")}
    record = make_record(sweeps=["batch_size"], energy=unread)
    (text,) = texts(lines([record], "batch_size").axes[1])
    assert text == "No energy figures:\nno permission; cannot read energy_uj"


def test_a_case_that_did_not_run_is_a_marked_gap() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=1),
        make_not_run("out_of_memory", sweeps=["batch_size"], batch_size=16),
    ]
    latency = lines(records, "batch_size").axes[0]
    assert texts(latency) == ["-"]
    assert [label.get_text() for label in latency.get_xticklabels()] == ["1", "16"]


def test_datasets_differ_in_colour_and_marker() -> None:
    records = [
        make_record(sweeps=["image_size"], dataset=dataset, image_size=size)
        for dataset in ("textvqa", "coco", "scienceqa")
        for size in (224, 448)
    ]
    containers: list[Any] = list(lines(records, "image_size").axes[0].containers)
    drawn = [container.lines[0] for container in containers]
    assert len({line.get_color() for line in drawn}) == len({line.get_marker() for line in drawn}) == 3


def test_far_apart_devices_get_a_logarithmic_axis() -> None:
    records = [
        make_record(sweeps=["batch_size"], device=device, device_name=device, latency=make_latency([seconds]))
        for device, seconds in (("cpu", 3.0), ("cuda:0", 0.03))
    ]
    assert lines(records, "batch_size").axes[0].get_yscale() == "log"
    assert lines(records[:1], "batch_size").axes[0].get_yscale() == "linear"


def test_missing_optimizations_keep_their_place_and_say_why() -> None:
    records = [
        make_record(sweeps=["optimization"]),
        make_not_run(sweeps=["optimization"], optimization="flash_attention_2"),
    ]
    latency, energy = bars(records).axes
    assert [label.get_text() for label in latency.get_yticklabels()] == ["fp32", "Flash Attention 2"]
    assert " -  not available" in texts(latency)
    assert " -  not available" in texts(energy)


def test_several_devices_share_a_bar_plot_with_a_legend() -> None:
    records = [
        make_record(sweeps=["optimization"], device=device, device_name=device, optimization=optimization)
        for device in ("cpu", "cuda:0")
        for optimization in ("fp32", "compile")
    ]
    figure = bars(records)
    assert len(figure.axes[0].patches) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["GPU", "CPU"]


def test_no_global_state_of_pyplot_is_touched() -> None:
    import sys

    draw_plots(select(small_run(), foreign.plot))
    assert "matplotlib.pyplot" not in sys.modules
