"""The sweep over optimizations."""

from __future__ import annotations

from blip_fixtures.report.columns import ENERGY, FLOPS, LATENCY
from blip_fixtures.report.sweeps.sweep import Plot, PlotKind, Sweep

OPTIMIZATION = Sweep(
    name="optimization",
    title="Optimization Tests",
    axis="optimization",
    header="Optimization",
    held=(
        ("Dataset: ", "dataset"),
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Device: ", "device"),
    ),
    shared=frozenset({"optimization"}),
    columns=(LATENCY, FLOPS, ENERGY),
    shares=True,
    plot=Plot("optimization_bar_plot.png", "Optimization plot", PlotKind.BARS),
)
