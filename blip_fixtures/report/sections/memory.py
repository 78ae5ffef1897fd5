"""Memory: weights, what is kept between calls, peak, and what CUDA's allocator reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.sections.by_card import memory_by_card
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.record import Record
    from blip_fixtures.report.prose import Prose


def _kinds(shown: Sequence[Record], prose: Prose) -> Mapping[str, str]:
    known = [record.memory for record in shown if record.memory is not None]
    kinds = sorted({prose.memory_kind(str(memory.kind)) for memory in known})
    if any(memory.held_bytes for memory in known):
        kinds.append(prose.say("memory_held"))
    if any(memory.reserved_bytes for memory in known):
        kinds.append(prose.say("memory_reserved"))
    return {"kind": ", ".join(kinds)}


MEMORY = FieldSection(
    field="memory",
    heading="Memory",
    columns=(
        FieldColumn("weights (MiB)", "memory.weights_bytes", formats.mebibytes, "byte"),
        FieldColumn("kept (MiB)", "memory.held_bytes", formats.mebibytes, "byte", enough=False, optional=True),
        FieldColumn("peak (MiB)", "memory.peak_bytes", formats.mebibytes, "byte"),
        FieldColumn("reserved (MiB)", "memory.reserved_bytes", formats.mebibytes, "byte", enough=False, optional=True),
    ),
    facts=_kinds,
    below=memory_by_card,
).section
