"""Which records a table shows: device names completed, the last of several measurements, one group per table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from blip_fixtures import foreign
from blip_fixtures.case import cards_of, kind_of
from blip_fixtures.reasons import Reason
from blip_fixtures.report.labels import axis_value, dataset_rank, device_kind, device_rank
from blip_fixtures.report.machine import commands
from blip_fixtures.report.processes import by_process, over_processes
from blip_fixtures.words import PassName, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from blip_fixtures.record import CaseFields, Record
    from blip_fixtures.report.sweeps import Sweep

CASE_AXES = ("dataset", "device", "optimization", "batch_size", "image_size", "sequence_length", "prompts")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Group:
    """The records of one table, in row order.

    `datasets` are those whose columns stand side by side; `replaced` holds the keys of cases measured more than once.
    """

    sweep: Sweep
    records: tuple[Record, ...]
    replaced: frozenset[Key] = frozenset()
    datasets: tuple[str, ...] = ()

    def was_replaced(self, record: Record) -> bool:
        """Whether an earlier, different measurement of the same case was left out."""
        return case_key(record) in self.replaced


@dataclass(frozen=True)
class Selection:
    """All records of a document with complete device names, and the label of every device.

    Their texts are fit for one kind of place, so that no table and no sentence has to think of it. `commands` are those
    that measured the records, as they were; what shows them as code makes them fit. `timed` has the records of each
    case as its processes left them, one for each, their texts as they were: only for numbers. A record here has the
    figures of all.
    """

    records: tuple[Record, ...]
    device_labels: Mapping[tuple[str, str | None], str]
    commands: tuple[str, ...] = ()
    timed: Mapping[Key, tuple[Record, ...]] = field(default_factory=dict)

    def timings(self, record: Record) -> tuple[Record, ...]:
        """The records of all processes that timed the case, the first one's first."""
        return self.timed.get(case_key(record), (record,))

    def device_label(self, case: CaseFields) -> str:
        """``GPU``; ``GPU (NVIDIA H200)`` where the document holds several GPUs."""
        return self.device_labels[case.device, case.device_name]

    def value(self, case: CaseFields, axis: str) -> str:
        """The value of an axis as the document shows it."""
        return axis_value(case, axis, self.device_label(case))

    def held_value(self, case: CaseFields, axis: str) -> str:
        """The value of a held axis. A GPU is called ``Cuda`` there."""
        label = self.value(case, axis)
        return label.replace("GPU", "Cuda", 1) if axis == "device" else label

    def groups(self, sweep: Sweep) -> list[Group]:
        """One group per table of the sweep, sorted by dataset and device.

        A sweep without an axis has one table. With datasets side by side, records of another dataset have tables of
        their own behind.
        """
        every_case, replaced = latest(self.records)
        shown = [record for record in every_case if sweep.name in record.sweeps]
        if not sweep.axis:
            return [Group(sweep, tuple(shown), replaced)] if shown else []
        tables: dict[Key, list[Record]] = defaultdict(list)
        for record in shown:
            tables[_side_by_side(record.case, sweep), _held_values(record.case, sweep)].append(record)
        groups = [
            Group(sweep, tuple(_in_row_order(rows, sweep)), replaced, _side_by_side(rows[0].case, sweep))
            for rows in tables.values()
        ]
        return sorted(groups, key=lambda group: _group_rank(group.records[0].case, sweep))

    def cases(self) -> list[Record]:
        """The last measurement of every case, sorted by dataset, device and file order."""
        shown, _ = latest(self.records)
        return sorted(shown, key=lambda record: (dataset_rank(record.case.dataset), device_rank(record.case.device)))


def select(records: Sequence[Record], escape: Callable[[str], str], *, command: str | None = None) -> Selection:
    """Completes the device names, says of each case how its second timing differed, and drops what says nothing.

    That is a case that did not run for want of a device which another machine has. `escape`, a function of `foreign`,
    makes every text of the records fit for the place where they will be shown. `command` replaces those that the
    records name.
    """
    named = _with_device_names(records)
    own, timed = by_process(named, case_key)
    joined = foreign.written([over_processes(record, timed.get(case_key(record), ())) for record in own], escape)
    shown = _without_absent_devices(_with_second_timings(joined))
    measured = [command] if command else commands(records)
    by_shown = {foreign.written(key, escape): found for key, found in timed.items()}
    return Selection(tuple(shown), _device_labels(shown), tuple(measured), by_shown)


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
        sweeps = tuple(dict.fromkeys([*earlier.sweeps, *record.sweeps]))
        now = replace(record, sweeps=sweeps)
        if replace(earlier, sweeps=sweeps) != now:
            replaced.add(key)
        last[key] = now
    return list(last.values()), frozenset(replaced)


def joined(groups: Sequence[Group]) -> list[Group]:
    """The groups of one sweep, those that differ in their datasets alone as one."""
    alike: dict[Key, list[Group]] = defaultdict(list)
    for group in groups:
        alike[_held_values(group.records[0].case, group.sweep)].append(group)
    return [
        Group(first.sweep, tuple(record for group in (first, *others) for record in group.records), first.replaced)
        for first, *others in alike.values()
    ]


def case_key(record: Record) -> Key:
    """What makes two records measurements of the same case on the same device; a model folder's path does not."""
    case = record.case
    return (case.weights, case.device_name, *(getattr(case, axis) for axis in CASE_AXES))


def _held_values(case: CaseFields, sweep: Sweep) -> Key:
    return tuple(getattr(case, axis) for axis in (*CASE_AXES, "device_name") if axis not in sweep.shared)


def _side_by_side(case: CaseFields, sweep: Sweep) -> tuple[str, ...]:
    """The datasets that share a table with this case's, each with columns of its own."""
    if not sweep.datasets:
        return ()
    return sweep.datasets if case.dataset in sweep.datasets else (case.dataset,)


def _group_rank(case: CaseFields, sweep: Sweep) -> Key:
    dataset = (-1, "") if case.dataset in sweep.datasets else dataset_rank(case.dataset)
    return (dataset, device_rank(case.device))


def _in_row_order(records: list[Record], sweep: Sweep) -> list[Record]:
    order = sweep.order
    return records if order is None else sorted(records, key=lambda record: order(record.case))


def _with_second_timings(records: Sequence[Record]) -> list[Record]:
    """Without the second timings: each becomes a note of the last record of its case before it."""
    first: list[Record] = []
    place_of: dict[Key, int] = {}
    for record in records:
        key = case_key(record)
        if not record.again:
            place_of[key] = len(first)
            first.append(record)
        elif key in place_of:
            place = place_of[key]
            first[place] = _noted(first[place], record)
    return first


def _noted(record: Record, again: Record) -> Record:
    once_s = record.latency.median_s if record.latency is not None else None
    again_s = again.latency.median_s if again.latency is not None else None
    if not once_s or again_s is None:
        return record
    how = {"seconds": again_s, "ratio": again_s / once_s}
    # The document says the ratio with two decimals.
    is_longer = round(how["ratio"], 2) > 1
    note = Reason.of("timed_again_longer" if is_longer else "timed_again", scope=PassName.LATENCY, **how)
    return replace(record, notes=(*record.notes, note))


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
        named.append(replace(record, case=replace(record.case, device=device, device_name=name)))
    return named


def _device(record: Record) -> str:
    device = record.case.device
    return "cuda:0" if device == "cuda" else device


def _device_name(record: Record) -> str | None:
    """The name in the case, else the one its environment has for that device."""
    if record.case.device_name is not None:
        return record.case.device_name
    cards = cards_of(_device(record))
    if kind_of(cards[0]) == "cpu":
        return record.environment.get("cpu_model")
    gpus = record.environment.get("gpus") or []
    numbered = {f"cuda:{number}": name for number, name in enumerate(gpus)}
    return " + ".join(numbered[card] for card in cards) if set(cards) <= set(numbered) else None


def _without_absent_devices(records: list[Record]) -> list[Record]:
    """A merge: one machine has no such device and says so, another has it. The first one's gap says nothing then."""
    seen = {device_kind(record.case.device) for record in records if record.case.device_name is not None}
    return [
        record
        for record in records
        if record.status != Status.UNAVAILABLE
        or record.case.device_name is not None
        or device_kind(record.case.device) not in seen
    ]


def _device_labels(records: Sequence[Record]) -> dict[tuple[str, str | None], str]:
    devices = dict.fromkeys((record.case.device, record.case.device_name) for record in records)
    labels = {}
    for device, name in devices:
        kind = device_kind(device)
        alike = [other for other in devices if device_kind(other[0]) == kind]
        same_name = sum(other[1] == name for other in alike) > 1
        detail = ", ".join(part for part in (name, device if same_name or name is None else None) if part)
        labels[device, name] = f"{kind} ({detail})" if len(alike) > 1 or len(cards_of(device)) > 1 else kind
    return labels
