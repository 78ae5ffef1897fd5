"""FLOPs by part of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose


def _counters(shown: Sequence[Record], prose: Prose) -> Mapping[str, str]:
    counters = {str(record.flops.counter) for record in shown if record.flops is not None}
    return {"counter": ", ".join(sorted(map(prose.flop_counter, counters)))}


FLOPS = FieldSection(
    field="flops",
    heading="FLOPS by part",
    columns=(
        FieldColumn("vision", "flops.vision", formats.flops, "FLOP"),
        FieldColumn("Q-Former", "flops.qformer", formats.flops, "FLOP"),
        FieldColumn("prefill", "flops.prefill", formats.flops, "FLOP"),
        FieldColumn("decode", "flops.decode", formats.flops, "FLOP"),
        # The sweeps' tables have the total already.
        FieldColumn("total", "flops.total", formats.flops, "FLOP", enough=False),
    ),
    facts=_counters,
    folds=True,
).section
