"""Memory: weights, what is kept between calls, peak, and what CUDA's allocator reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures import formats
from blip_fixtures.report.sections.by_card import memory_by_card
from blip_fixtures.report.sections.fields import FieldColumn, FieldSection
from blip_fixtures.words import MemoryKind

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
    noise = _noise(shown)
    if noise is not None:
        low, high = (prose.number(formats.mebibytes(bytes_)) for bytes_ in noise)
        kinds.append(prose.say("memory_noise", low=low, high=high))
    return {"kind": ", ".join(kinds)}


def _noise(shown: Sequence[Record]) -> tuple[int, int] | None:
    """Of rows that did the same work, the least and the greatest peak of a process, where these are furthest apart."""
    peaks: dict[object, list[int]] = {}
    for record in shown:
        case, memory = record.case, record.memory
        if memory is None or memory.peak_bytes is None or memory.kind != MemoryKind.PROCESS_RSS or record.flops is None:
            continue
        work = (case.dataset, case.device, case.optimization, case.batch_size, case.image_size, record.flops.total)
        peaks.setdefault(work, []).append(memory.peak_bytes)
    ranges = [(min(found), max(found)) for found in peaks.values() if len(found) > 1]
    return max(ranges, key=lambda found: found[1] - found[0], default=None)


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
    folds=True,
).section
