"""The sweep over image sizes."""

from __future__ import annotations

import dataclasses

from blip_fixtures.report.columns import LATENCY, WORD_ERROR_RATE
from blip_fixtures.report.sweeps.sweep import Plot, PlotKind, Sweep

IMAGE_SIZE = Sweep(
    name="image_size",
    title="Image Size Tests",
    axis="image_size",
    header="image_size",
    row_name="image_size",
    unit="{} px",
    caption_unit="{} px",
    held=(
        ("BatchSize: ", "batch_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    shared=frozenset({"image_size", "dataset"}),
    order=lambda case: case.image_size,
    columns=(
        dataclasses.replace(WORD_ERROR_RATE, header="{dataset}"),
        dataclasses.replace(LATENCY, header="{dataset} latency"),
    ),
    datasets=("coco", "scienceqa", "textvqa"),
    plot=Plot(
        "latency_img_size_plot.png",
        "Image Size plot",
        PlotKind.LATENCY_AND_QUALITY,
    ),
)
