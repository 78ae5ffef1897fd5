"""The sweep over batch sizes."""

from __future__ import annotations

import dataclasses

from blip_fixtures import formats
from blip_fixtures.report.columns import ENERGY, LATENCY
from blip_fixtures.report.sweeps.sweep import Plot, PlotKind, Sweep

BATCH_SIZE = Sweep(
    name="batch_size",
    title="Batch Tests",
    axis="batch_size",
    header="batch_size",
    row_name="batch_size",
    unit="batch {}",
    caption_unit="batch {}",
    held=(
        ("Dataset: ", "dataset"),
        ("ImgSize: ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    shared=frozenset({"batch_size"}),
    order=lambda case: case.batch_size,
    columns=(
        dataclasses.replace(LATENCY, header="Latency (per batch)"),
        dataclasses.replace(ENERGY, header="Energy (per sample)", show=formats.energy_short),
    ),
    plot=Plot(
        "latency_energy_plot.png",
        "Batch Size plot",
        PlotKind.LATENCY_AND_ENERGY,
        is_log2=True,
    ),
)
