"""Memory: weights and peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.report import formats
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose


def _kinds(shown: Sequence[Record], prose: Prose) -> Mapping[str, str]:
    kinds = {prose.memory_kind(str(record.memory.kind)) for record in shown if record.memory is not None}
    return {"kind": ", ".join(sorted(kinds))}


MEMORY = FieldSection(
    field="memory",
    heading="Memory",
    columns=(
        FieldColumn("weights (MiB)", "memory.weights_bytes", formats.mebibytes, "byte"),
        FieldColumn("peak (MiB)", "memory.peak_bytes", formats.mebibytes, "byte"),
    ),
    facts=_kinds,
).section
