"""Samples and generated tokens per second."""

from __future__ import annotations

from blip_fixtures import formats
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

THROUGHPUT = FieldSection(
    field="throughput",
    heading="Throughput",
    columns=(
        FieldColumn("samples/s", "throughput.samples_per_s", formats.rate, "1/s"),
        FieldColumn("generated tokens/s", "throughput.tokens_per_s", formats.rate, "1/s"),
    ),
    recent=True,
).section
