"""How far the latency is from the least time that the hardware allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report import formats
from blip_fixtures.report.blocks import Paragraph
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.prose import Prose
    from blip_fixtures.report.selection import Selection


def _rates(shown: Sequence[Record], selection: Selection, prose: Prose) -> list[Block]:
    """The measured rates behind the limits, once for every device and optimization."""
    said = {}
    for record in shown:
        limit = record.limit
        if limit is not None and limit.flops_per_s is not None and limit.bytes_per_s is not None:
            name = f"{selection.value(record.case, 'device')} {selection.value(record.case, 'optimization')}"
            reads = sorted(limit.bytes_per_s.values())
            low, high = (formats.significant(rate / 1e9, 3) for rate in (reads[0], reads[-1]))
            said[name] = prose.say(
                "limit_rate",
                rows=name,
                flops=formats.flops(limit.flops_per_s),
                read=low if low == high else prose.say("range", low=low, high=high),
            )
    return [Paragraph(prose.say("limit_rates", rates="; ".join(said.values())))] if said else []


LIMIT = FieldSection(
    field="limit",
    heading="Distance to the limit",
    columns=(
        FieldColumn("limit (ms)", "limit.seconds", formats.milliseconds, "s"),
        FieldColumn("latency / limit", "limit.ratio", lambda ratio: formats.significant(ratio, 3)),
        FieldColumn("vision bound by", "limit.bound_by.vision", formats.word),
        FieldColumn("Q-Former bound by", "limit.bound_by.qformer", formats.word),
        FieldColumn("prefill bound by", "limit.bound_by.prefill", formats.word),
        FieldColumn("decode bound by", "limit.bound_by.decode", formats.word),
    ),
    below=_rates,
).section
