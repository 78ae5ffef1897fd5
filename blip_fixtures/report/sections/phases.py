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
        FieldColumn("rounds", "phases.rounds", formats.word, enough=False, optional=True),
        FieldColumn("latency (ms)", "phases.same_rounds_s", formats.milliseconds, "s", enough=False, optional=True),
        FieldColumn("sum / latency", "phases.latency_ratio", formats.share),
    ),
).section
