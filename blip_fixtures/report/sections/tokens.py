"""Text tokens per sample."""

from __future__ import annotations

from blip_fixtures import formats
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

TOKENS = FieldSection(
    field="tokens",
    heading="Tokens",
    columns=(
        FieldColumn("input mean", "tokens.input_mean", formats.count),
        FieldColumn("input max", "tokens.input_max", formats.word),
        FieldColumn("truncated", "tokens.truncated_share", formats.share),
        FieldColumn("output mean", "tokens.output_mean", formats.count),
        FieldColumn("output max", "tokens.output_max", formats.word),
    ),
    folds=True,
).section
