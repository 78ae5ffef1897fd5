"""Milliseconds of each phase."""

from __future__ import annotations

from blip_fixtures import formats
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

PHASES = FieldSection(
    field="phases",
    heading="Phases",
    columns=(
        FieldColumn("vision (ms)", "phases.vision_s", formats.milliseconds, "s"),
        FieldColumn("Q-Former (ms)", "phases.qformer_s", formats.milliseconds, "s"),
        FieldColumn("prefill (ms)", "phases.prefill_s", formats.milliseconds, "s"),
        FieldColumn("decode per token (ms)", "phases.decode_per_token_s", formats.milliseconds, "s"),
        FieldColumn("time to first token (ms)", "phases.time_to_first_token_s", formats.milliseconds, "s"),
        FieldColumn("sum (ms)", "phases.sum_s", formats.milliseconds, "s"),
        FieldColumn("sum / latency", "phases.latency_ratio", formats.share),
    ),
).section
