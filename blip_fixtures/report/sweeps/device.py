"""The sweep over devices."""

from __future__ import annotations

import dataclasses

from blip_fixtures.report.columns import ENERGY, FLOPS, LATENCY
from blip_fixtures.report.labels import device_rank
from blip_fixtures.report.sweeps.sweep import Sweep

# Here and in the other sweeps the uneven blanks are those of the document whose format this is.
DEVICE = Sweep(
    name="device",
    title="Device Tests",
    axis="device",
    header="Device",
    held=(
        ("Dataset: ", "dataset"),
        ("BatchSize: ", "batch_size"),
        ("ImageSize:  ", "image_size"),
        ("SeqLen:  ", "sequence_length"),
        ("Optimization: ", "optimization"),
    ),
    shared=frozenset({"device", "device_name"}),
    order=lambda case: device_rank(case.device),
    columns=(LATENCY, dataclasses.replace(ENERGY, header="Energy  "), FLOPS),
)
