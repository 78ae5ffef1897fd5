from __future__ import annotations

import io
import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from blip_fixtures import foreign
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.plots.bars import draw_bars
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.plots.page import Page
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import find_sweep
from tests.unit.records import make_energy, make_latency, make_metric, make_not_run, make_record, small_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from blip_fixtures.record import Record


def page_of(records: Sequence[Record], lang: str = "en") -> Page:
    return Page(select(records, foreign.plot), load_prose(lang))


def lines(records: Sequence[Record], name: str, lang: str = "en") -> Figure:
    page, sweep = page_of(records, lang), find_sweep(name)
    assert sweep.plot is not None
    return draw_lines(page.selection.groups(sweep), page, sweep.plot)


def bars(records: Sequence[Record], lang: str = "en") -> Figure:
    page, sweep = page_of(records, lang), find_sweep("optimization")
    assert sweep.plot is not None
    return draw_bars(page.selection.groups(sweep), page, sweep.plot)


def containers(axes: Any) -> list[Any]:
    return list(axes.containers)


def caption(figure: Figure) -> list[str]:
    return figure.get_suptitle().split("\n")


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_plots_are_readable_images_for_the_sweeps_with_figures() -> None:
    images = draw_plots(select(small_run(), foreign.plot), load_prose("en")).images
    assert set(images) == {"latency_energy_plot.png", "latency_img_size_plot.png", "optimization_bar_plot.png"}
    for content in images.values():
        assert Image.open(io.BytesIO(content)).width == 1600


def test_a_sweep_without_any_figure_has_no_plot() -> None:
    assert draw_plots(select([make_not_run(sweeps=["batch_size"])], foreign.plot), load_prose("en")).images == {}


def test_axes_carry_units_and_error_bars_the_quartiles() -> None:
    rounds = [0.010, 0.012, 0.014, 0.016, 0.018]
    records = [make_record(sweeps=["batch_size"], batch_size=size, latency=make_latency(rounds)) for size in (1, 4)]
    panels: list[Any] = list(lines(records, "batch_size").axes)
    latency, energy = panels
    assert latency.get_xlabel() == "Batch size (samples), log scale"
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
    assert "error bound (energy)" in figure.get_suptitle()


def test_seconds_stay_seconds_from_one_second_on() -> None:
    record = make_record(sweeps=["batch_size"], latency=make_latency([1.5]))
    assert lines([record], "batch_size").axes[0].get_ylabel() == "Latency per batch (s)"


UNREAD = {"cpu_package": make_energy(None, status="permission", reason="cannot read energy_uj")}


def test_without_any_energy_the_second_half_shows_throughput_and_says_why() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=size, latency=make_latency([0.1, 0.3]), energy=UNREAD)
        for size in (1, 4)
    ]
    figure = lines(records, "batch_size")
    panel: Any = figure.axes[1]
    assert panel.get_ylabel() == "Throughput (samples/s)"
    assert list(containers(panel)[0].lines[0].get_ydata()) == pytest.approx([1 / 0.2, 4 / 0.2])
    assert "No energy figures (no permission); throughput is shown instead" in caption(figure)


def test_what_a_record_says_of_its_throughput_is_what_is_drawn() -> None:
    said = {"samples_per_s": 7.0, "tokens_per_s": None}
    record = make_record(sweeps=["batch_size"], energy=UNREAD, throughput=said)
    (container,) = containers(lines([record], "batch_size").axes[1])
    assert list(container.lines[0].get_ydata()) == [7.0]


def test_without_word_error_rates_there_is_throughput_and_no_empty_half() -> None:
    records = [
        make_record(sweeps=["image_size"], image_size=size, quality={}, missing={"quality": "synthetic weights"})
        for size in (224, 448)
    ]
    figure = lines(records, "image_size")
    assert figure.axes[1].get_ylabel() == "Throughput (samples/s)"
    assert "No word error rates (synthetic weights); throughput is shown instead" in caption(figure)


def test_without_rounds_there_is_one_panel_and_the_reason() -> None:
    latency = make_latency(rounds_s=(), mean_s=0.2, median_s=0.2)
    figure = lines([make_record(sweeps=["batch_size"], latency=latency, energy=UNREAD)], "batch_size")
    assert len(figure.axes) == 1
    assert "No energy figures (no permission)" in caption(figure)


def test_a_device_without_energy_beside_one_with_it_is_named() -> None:
    records = [
        make_record(sweeps=["batch_size"], device=device, device_name=device, energy=energy)
        for device, energy in (("cpu", UNREAD), ("cuda:0", {"gpu": make_energy(2.0)}))
    ]
    assert "Energy per sample: no figure of CPU (no permission)" in caption(lines(records, "batch_size"))


def test_a_case_that_did_not_run_is_a_gap_with_a_cross_and_a_word() -> None:
    records = [
        *(make_record(sweeps=["batch_size"], batch_size=size) for size in (1, 16)),
        make_not_run("out_of_memory", sweeps=["batch_size"], batch_size=4),
    ]
    latency: Any = lines(records, "batch_size").axes[0]
    assert texts(latency) == ["out of memory"]
    assert [label.get_text() for label in latency.get_xticklabels()] == ["1", "4", "16"]
    line = containers(latency)[0].lines[0]
    assert list(line.get_xdata()) == [1, 4, 16]
    assert math.isnan(line.get_ydata()[1])
    assert [list(each.get_xdata()) for each in latency.lines if each.get_marker() == "x"] == [[4]]


def test_a_value_that_one_device_was_not_asked_for_is_a_gap_too() -> None:
    records = [
        make_record(sweeps=["batch_size"], device=device, device_name=device, batch_size=size)
        for device, sizes in (("cpu", (1, 16)), ("cuda:0", (1, 4, 16)))
        for size in sizes
    ]
    latency = lines(records, "batch_size").axes[0]
    assert texts(latency) == ["not run"]


def test_a_word_covers_no_point() -> None:
    records = [
        make_record(sweeps=["batch_size"], batch_size=1, latency=make_latency([0.010])),
        make_record(sweeps=["batch_size"], batch_size=1, device="cuda:0", device_name="G", latency=make_latency([0.1])),
        make_record(sweeps=["batch_size"], batch_size=4, latency=make_latency([0.010])),
        make_not_run("out_of_memory", sweeps=["batch_size"], batch_size=4, device="cuda:0", device_name="G"),
    ]
    figure = lines(records, "batch_size")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (box,) = (text.get_window_extent() for text in axes.texts)
    assert box.y0 > axes.transData.transform((4, 10))[1]


def test_datasets_differ_in_colour_and_marker() -> None:
    records = [
        make_record(sweeps=["image_size"], dataset=dataset, image_size=size)
        for dataset in ("textvqa", "coco", "scienceqa")
        for size in (224, 448)
    ]
    drawn = [container.lines[0] for container in containers(lines(records, "image_size").axes[0])]
    assert len({line.get_color() for line in drawn}) == len({line.get_marker() for line in drawn}) == 3


@pytest.mark.parametrize(("apart", "scale", "said"), [(100, "log", ", log scale"), (3, "linear", "")])
def test_latency_has_one_kind_of_axis_in_all_plots_of_a_document(apart: float, scale: str, said: str) -> None:
    far = [
        make_record(sweeps=["batch_size"], device=device, device_name=device, latency=make_latency([seconds]))
        for device, seconds in (("cpu", 3.0), ("cuda:0", 3.0 / apart))
    ]
    near = [
        make_record(sweeps=sweeps, dataset="coco", latency=make_latency([seconds]), **{axis: value})
        for sweeps, axis, values in (
            (["image_size"], "image_size", (224, 448)),
            (["optimization"], "optimization", ("fp32", "bf16")),
        )
        for value, seconds in zip(values, (0.2, 0.4), strict=True)
    ]
    records = [*far, *near]
    batch, image, bar = lines(records, "batch_size"), lines(records, "image_size"), bars(records)
    assert [batch.axes[0].get_yscale(), image.axes[0].get_yscale(), bar.axes[0].get_xscale()] == [scale] * 3
    assert batch.axes[0].get_ylabel() == f"Latency per batch (s){said}"
    assert image.axes[0].get_ylabel() == f"Latency per batch (ms){said}"
    assert bar.axes[0].get_xlabel() == f"Latency per batch (ms){said}"
    # A length on a logarithmic axis says nothing.
    assert bool(bar.axes[0].patches) is (scale == "linear")
    assert image.axes[1].get_yscale() == "linear"


def test_linear_axes_begin_at_zero_also_where_a_value_is_zero() -> None:
    records = [
        make_record(sweeps=["image_size"], image_size=size, quality={"wer": make_metric(wer, higher_is_better=False)})
        for size, wer in ((224, 0.0), (448, 0.5))
    ]
    figure = lines(records, "image_size")
    assert [axes.get_ylim()[0] for axes in figure.axes] == [0, 0]
    assert not containers(figure.axes[1])[0].lines[0].get_clip_on()


def test_word_error_rates_have_their_interval() -> None:
    metric = make_metric(0.5, higher_is_better=False, per_sample=[0.4, 0.5, 0.6], interval=(0.4, 0.65))
    figure = lines([make_record(sweeps=["image_size"], quality={"wer": metric})], "image_size")
    low, high = containers(figure.axes[1])[0].lines[1]
    assert [*low.get_ydata(), *high.get_ydata()] == pytest.approx([0.4, 0.65])
    assert "95 % interval (word error rate)" in figure.get_suptitle()


@pytest.mark.parametrize(("other_s", "are_aside"), [(0.2, True), (0.1, False)])
def test_series_that_hide_each_other_stand_side_by_side(other_s: float, are_aside: bool) -> None:
    records = [
        make_record(
            sweeps=["image_size"],
            dataset=dataset,
            image_size=size,
            latency=make_latency([seconds]),
            quality={"wer": make_metric(wer, higher_is_better=False)},
        )
        for dataset, seconds, wer in (("textvqa", 0.2, 0.1), ("coco", other_s, 0.5))
        for size in (224, 448)
    ]
    figure = lines(records, "image_size")
    figure.draw_without_rendering()
    first, second = (
        container.lines[0].get_transform().transform((224, 0))[0] for container in containers(figure.axes[0])
    )
    assert bool(abs(first - second) > 5) is are_aside
    assert ("Points that would hide each other stand side by side" in caption(figure)) is are_aside


def test_bars_have_the_change_to_the_first_one_which_is_marked() -> None:
    records = [
        make_record(sweeps=["optimization"], optimization=name, latency=make_latency([seconds]))
        for name, seconds in (("fp32", 0.4), ("bf16", 0.055), ("int8", 0.432))
    ]
    latency: Any = bars(records).axes[0]
    assert texts(latency) == ["400 ms, baseline", "55.0 ms, -86 %", "432 ms, +8 %"]
    assert [list(line.get_xdata()) for line in latency.lines if line.get_linestyle() == "--"] == [[400, 400]]


def test_without_a_first_value_nothing_is_compared() -> None:
    records = [
        make_not_run(sweeps=["optimization"]),
        make_record(sweeps=["optimization"], optimization="bf16", latency=make_latency([0.055])),
    ]
    assert texts(bars(records).axes[0]) == ["× not available", "55.0 ms"]


def test_missing_optimizations_keep_their_place_and_say_why() -> None:
    records = [
        make_record(sweeps=["optimization"]),
        make_not_run(sweeps=["optimization"], optimization="flash_attention_2"),
    ]
    latency, energy = bars(records).axes
    assert [label.get_text() for label in latency.get_yticklabels()] == ["fp32", "Flash Attention 2"]
    assert "× not available" in texts(latency)
    assert "× not available" in texts(energy)


LONG = "bf16+compile+int4+int8_dynamic"


def test_ten_optimizations_with_long_names_do_not_overlap() -> None:
    names = [LONG if number == 9 else f"fp32+eager+int8_dynamic+{number}" for number in range(10)]
    records = [
        make_record(
            sweeps=["optimization"],
            optimization=name,
            device=device,
            device_name=f"NVIDIA RTX PRO 6000 Blackwell {device}",
            energy=UNREAD,
            latency=make_latency([0.1 + number / 100]),
        )
        for device in ("cuda:0", "cuda:1")
        for number, name in enumerate(names)
    ]
    figure = bars(records)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert all(box.x1 <= axes.get_window_extent().x1 + 1 for box in boxes)
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in combinations(labels, 2))
    assert all(label.x0 >= 0 for label in labels)
    assert figure.axes[0].get_window_extent().width > 0.3 * figure.bbox.width


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_captions_lie_within_the_picture(lang: str) -> None:
    metric = make_metric(0.5, higher_is_better=False, per_sample=[0.4, 0.5, 0.6], interval=(0.4, 0.65))
    records = [
        make_record(sweeps=["image_size"], dataset=dataset, quality={"wer": metric}) for dataset in ("coco", "textvqa")
    ]
    figure = lines(records, "image_size", lang)
    figure.draw_without_rendering()
    assert figure._suptitle is not None  # type: ignore[attr-defined]  # there is no public way to it
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_russian_plots_are_russian_with_decimal_commas() -> None:
    records = [
        make_record(sweeps=["optimization"], optimization=name, energy=UNREAD, latency=make_latency([seconds]))
        for name, seconds in (("fp32", 1.5), ("bf16", 0.55))
    ]
    figure = bars(records, "ru")
    latency, throughput = figure.axes
    assert latency.get_xlabel() == "Задержка на батч (с)"
    assert texts(latency) == ["1,50 с, точка отсчёта", "0,550 с, -63 %"]
    assert texts(throughput)[0] == "0,667/с, точка отсчёта"
    assert latency.xaxis.get_major_formatter()(0.5, 0) == "0,5"
    assert not [word for line in caption(figure) for word in ("Error", "rounds", "batch") if word in line]
    axes = lines([make_record(sweeps=["batch_size"])], "batch_size", "ru").axes[0]
    assert axes.get_xlabel() == "Размер батча (примеров), лог. шкала"


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

    draw_plots(select(small_run(), foreign.plot), load_prose("en"))
    assert "matplotlib.pyplot" not in sys.modules
