"""The sweep over limits on text tokens."""

from __future__ import annotations

import dataclasses

from blip_fixtures.report.columns import LATENCY, WORD_ERROR_RATE
from blip_fixtures.report.sweeps.sweep import Plot, PlotKind, Sweep

SEQUENCE_LENGTH = Sweep(
    name="sequence_length",
    title="Sequence Length Tests",
    axis="sequence_length",
    header="Sequence Len",
    row_name="Sequence Len",
    unit="{} tokens",
    caption_unit="limit {} tokens",
    held=(
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("Optimization: ", "optimization"),
        ("Device: ", "device"),
    ),
    shared=frozenset({"sequence_length", "dataset"}),
    order=lambda case: -case.sequence_length,
    columns=(
        dataclasses.replace(WORD_ERROR_RATE, header="{dataset}"),
        dataclasses.replace(LATENCY, header="{dataset} latency"),
    ),
    datasets=("coco", "scienceqa", "textvqa"),
    plot=Plot(
        "latency_seq_plot.png",
        "Sequence length plot",
        PlotKind.LATENCY_AND_QUALITY,
    ),
)
