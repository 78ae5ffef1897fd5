"""Which records a table shows: device names completed, the last of several measurements, one group per table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.report.labels import (
    SWEEP_TITLES,
    axis_value,
    dataset_rank,
    device_kind,
    device_rank,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.record import CaseFields, Record

CASE_AXES = ("dataset", "device", "optimization", "batch_size", "image_size", "sequence_length", "prompts")
# Size tables have one column per dataset, so their datasets share a table.
SHARED_AXES = {
    "device": {"device", "device_name"},
    "batch_size": {"batch_size"},
    "image_size": {"image_size", "dataset"},
    "sequence_length": {"sequence_length", "dataset"},
    "optimization": {"optimization"},
}
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Group:
    """The records of one table, in row order; `replaced` holds the keys of cases measured more than once."""

    sweep: str
    records: tuple[Record, ...]
    replaced: frozenset[Key] = frozenset()

    def was_replaced(self, record: Record) -> bool:
        """Whether an earlier, different measurement of the same case was left out."""
        return case_key(record) in self.replaced


@dataclass(frozen=True)
class Selection:
    """All records of a document with complete device names, and the label of every device."""

    records: tuple[Record, ...]
    device_labels: dict[tuple[str, str | None], str]

    def device_label(self, case: CaseFields) -> str:
        """``GPU``; ``GPU (NVIDIA H200)`` where the document holds several GPUs."""
        return self.device_labels[case["device"], case["device_name"]]

    def held_value(self, case: CaseFields, axis: str) -> str:
        """The value of a held axis. A GPU is called ``Cuda`` there."""
        label = axis_value(case, axis, self.device_label(case))
        return label.replace("GPU", "Cuda", 1) if axis == "device" else label

    def own_sweeps(self) -> list[str]:
        """Names of sweeps beside the five, as they first appear."""
        names = dict.fromkeys(name for record in self.records for name in record["sweeps"])
        return [name for name in names if name not in SWEEP_TITLES]

    def groups(self, sweep: str) -> list[Group]:
        """One group per table of the sweep, sorted by dataset and device."""
        every_case, replaced = latest(self.records)
        shown = [record for record in every_case if sweep in record["sweeps"]]
        if sweep not in SWEEP_TITLES:
            return [Group(sweep, tuple(shown), replaced)] if shown else []
        tables: dict[Key, list[Record]] = defaultdict(list)
        for record in shown:
            tables[_held_key(record, sweep)].append(record)
        groups = [Group(sweep, tuple(_row_order(rows, sweep)), replaced) for rows in tables.values()]
        return sorted(groups, key=lambda group: _group_rank(group.records[0]["case"], sweep))

    def cases(self) -> list[Record]:
        """The last measurement of every case, sorted by dataset, device and file order."""
        shown, _ = latest(self.records)
        return sorted(shown, key=lambda record: _group_rank(record["case"], "optimization"))


def select(records: Sequence[Record]) -> Selection:
    """Completes the device names and drops cases that did not run for want of a device another machine has."""
    named = _without_absent_devices(_with_device_names(records))
    return Selection(tuple(named), _device_labels(named))


def latest(records: Iterable[Record]) -> tuple[list[Record], frozenset[Key]]:
    """The last record of each case at the place of its first, and the keys of those that differ from an earlier one.

    A case stands in every sweep that any of its records names, so that all tables show the same measurement of it.
    """
    last: dict[Key, Record] = {}
    replaced: set[Key] = set()
    for record in records:
        key = case_key(record)
        earlier = last.get(key)
        if earlier is None:
            last[key] = record
            continue
        sweeps = list(dict.fromkeys([*earlier["sweeps"], *record["sweeps"]]))
        if {**earlier, "sweeps": sweeps} != {**record, "sweeps": sweeps}:
            replaced.add(key)
        last[key] = {**record, "sweeps": sweeps}
    return list(last.values()), frozenset(replaced)


def case_key(record: Record) -> Key:
    """What makes two records measurements of the same case on the same device; a model folder's path does not."""
    case = record["case"]
    return (case["weights"], case["device_name"], *(case[axis] for axis in CASE_AXES))  # type: ignore[literal-required]


def _held_key(record: Record, sweep: str) -> Key:
    case = record["case"]
    held = [axis for axis in (*CASE_AXES, "device_name") if axis not in SHARED_AXES[sweep]]
    return tuple(case[axis] for axis in held)  # type: ignore[literal-required]


def _group_rank(case: CaseFields, sweep: str) -> Key:
    by_dataset = 0 if "dataset" in SHARED_AXES[sweep] else dataset_rank(case["dataset"])
    return (by_dataset, *device_rank(case["device"]))


def _row_order(records: list[Record], sweep: str) -> list[Record]:
    match sweep:
        case "device":
            return sorted(records, key=lambda record: device_rank(record["case"]["device"]))
        case "batch_size":
            return sorted(records, key=lambda record: record["case"]["batch_size"])
        case "image_size":
            return sorted(records, key=lambda record: record["case"]["image_size"])
        case "sequence_length":
            return sorted(records, key=lambda record: -record["case"]["sequence_length"])
    return records


def _with_device_names(records: Sequence[Record]) -> list[Record]:
    """A case that did not run may lack its device's name: its environment or its file's other cases know it."""
    known: dict[str, set[str]] = defaultdict(set)
    for record in records:
        name = _device_name(record)
        if name is not None:
            known[_device(record)].add(name)
    named: list[Record] = []
    for record in records:
        device = _device(record)
        name = _device_name(record)
        if name is None and len(known[device]) == 1:
            (name,) = known[device]
        case: CaseFields = {**record["case"], "device": device, "device_name": name}
        named.append({**record, "case": case})
    return named


def _device(record: Record) -> str:
    device = record["case"]["device"]
    return "cuda:0" if device == "cuda" else device


def _device_name(record: Record) -> str | None:
    """The name in the case, else the one its environment has for that device."""
    case, environment = record["case"], record["environment"]
    if case["device_name"] is not None:
        return case["device_name"]
    kind, _, index = _device(record).partition(":")
    if kind == "cpu":
        return environment.get("cpu_model")
    gpus = environment.get("gpus") or []
    return gpus[int(index)] if kind == "cuda" and index.isdigit() and int(index) < len(gpus) else None


def _without_absent_devices(records: list[Record]) -> list[Record]:
    """A merge: one machine has no such device and says so, another has it. The first one's gap says nothing then."""
    seen = {device_kind(record["case"]["device"]) for record in records if record["case"]["device_name"] is not None}
    return [
        record
        for record in records
        if record["status"] != "unavailable"
        or record["case"]["device_name"] is not None
        or device_kind(record["case"]["device"]) not in seen
    ]


def _device_labels(records: Sequence[Record]) -> dict[tuple[str, str | None], str]:
    devices = dict.fromkeys((record["case"]["device"], record["case"]["device_name"]) for record in records)
    labels = {}
    for device, name in devices:
        kind = device_kind(device)
        alike = [other for other in devices if device_kind(other[0]) == kind]
        same_name = sum(other[1] == name for other in alike) > 1
        detail = ", ".join(part for part in (name, device if same_name or name is None else None) if part)
        labels[device, name] = f"{kind} ({detail})" if len(alike) > 1 else kind
    return labels
