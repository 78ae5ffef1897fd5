"""What makes the rows of a table less comparable than they look: one footnote each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blip_fixtures.formats import fixed
from blip_fixtures.report.labels import dataset_label
from blip_fixtures.words import Decoding, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blip_fixtures.record import Generation, Record
    from blip_fixtures.report.footnotes import Layout
    from blip_fixtures.report.prose import Prose

# A machine whose run queue is longer than the run's own threads by this factor is doing somebody else's work too.
BUSY_FACTOR = 1.2
# A reference product that takes this many times its fastest was disturbed; rows with a larger share of such rounds
# than this are named.
DISTURBED_FACTOR = 2.0
DISTURBED_SHARE = 0.1
Row = tuple[str, "Record"]


def comparability(rows: Sequence[Row], axis: str, layout: Layout, prose: Prose) -> list[str]:
    """Footnotes on a table's rows, each a label and a record; size tables give a row once per dataset."""
    measured = [(label, record) for label, record in rows if record.status == Status.OK]
    found = [
        _output_tokens(measured, prose),
        _same_work(measured, axis, layout, prose),
        _settings(measured, prose),
        _versions(measured, prose),
        _busy_machine(measured, layout, prose),
        _disturbed(measured, layout, prose),
    ]
    return [footnote for footnote in found if footnote]


def _by_dataset(rows: Sequence[Row]) -> dict[str, list[Row]]:
    datasets: dict[str, list[Row]] = defaultdict(list)
    for label, record in rows:
        datasets[dataset_label(record.case.dataset)].append((label, record))
    return dict(sorted(datasets.items()))


def _output_tokens(rows: Sequence[Row], prose: Prose) -> str:
    """Rows that generated a different number of tokens did different work."""
    spans = []
    for dataset, alike in _by_dataset(rows).items():
        tokens = [record.tokens.output_mean for _, record in alike if record.tokens is not None]
        known = [fixed(value, 2) for value in tokens if value is not None]
        if len(set(known)) > 1:
            low, high = min(known, key=float), max(known, key=float)
            spans.append(prose.say("span", name=dataset, low=prose.number(low), high=prose.number(high)))
    return prose.say("output_tokens_differ", spans=", ".join(spans)) if spans else ""


def _same_work(rows: Sequence[Row], axis: str, layout: Layout, prose: Prose) -> str:
    """An axis value that changed nothing: the same prompts, or the same vision FLOPs."""
    signature: Callable[[Record], Any]
    if axis == "sequence_length":
        signature = _prompt_signature
    elif axis == "image_size":
        signature = _vision_flops
    else:
        return ""
    alike = []
    for dataset, members in _by_dataset(rows).items():
        labels_of: dict[Any, list[str]] = defaultdict(list)
        for label, record in members:
            labels_of[signature(record)].append(label)
        for work, labels in labels_of.items():
            if work is not None and len(set(labels)) > 1:
                alike.append(prose.say("rows_of", name=dataset, rows=layout.names(labels, prose)))
    return prose.say(f"same_work_{axis}", rows="; ".join(alike)) if alike else ""


def _prompt_signature(record: Record) -> tuple[float, int | None] | None:
    """Equal for two rows whose prompts were the same tokens, none of them cut."""
    tokens = record.tokens
    if tokens is None or tokens.input_mean is None or tokens.truncated_share != 0:
        return None
    return (tokens.input_mean, tokens.input_max)


def _vision_flops(record: Record) -> float | None:
    return record.flops.vision if record.flops is not None else None


def _settings(rows: Sequence[Row], prose: Prose) -> str:
    """Prompts, data or generation settings that differ between rows of one dataset."""
    readers: dict[str, Callable[[Record], Any]] = {
        "prompts": lambda record: record.case.prompts,
        "data": lambda record: (record.data.source, record.data.revision) if record.data is not None else None,
        "new_tokens": lambda record: (
            (record.generation.new_tokens, record.generation.fixed) if record.generation is not None else None
        ),
        "decoding": lambda record: decoding_of(record.generation) if record.generation is not None else None,
    }
    different = []
    for key, read in readers.items():
        if any(len({read(record) for _, record in alike} - {None}) > 1 for alike in _by_dataset(rows).values()):
            different.append(prose.say(f"setting_{key}"))
    return prose.say("settings_differ", settings=", ".join(different)) if different else ""


@dataclass(frozen=True)
class HowDecoded:
    """The settings of decoding that have an effect: equal for two records whose answers came about alike."""

    decoding: Decoding
    num_beams: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0


# As everybody decodes who says nothing of it.
PLAIN = HowDecoded(Decoding.GREEDY)


def decoding_of(said: Generation) -> HowDecoded:
    """That of a record; where it names none, as records of older releases do, the beams tell it."""
    decoding = said.decoding or (Decoding.BEAM if said.num_beams > 1 else Decoding.GREEDY)
    if decoding == Decoding.RANK:
        return HowDecoded(decoding)
    # Where the number of tokens is fixed, a least number has no effect.
    least = 0 if said.fixed else said.min_new_tokens
    penalty = said.length_penalty if decoding == Decoding.BEAM else 1.0
    return HowDecoded(decoding, said.num_beams, penalty, said.repetition_penalty, least)


def _versions(rows: Sequence[Row], prose: Prose) -> str:
    different = []
    for package in ("torch", "transformers", "pytest-blip"):
        found = [(record.environment.get("versions") or {}).get(package) for _, record in rows]
        values = {version for version in found if version is not None}
        if len(values) > 1:
            different.append(f"{package} {', '.join(sorted(values))}")
    return prose.say("versions_differ", versions="; ".join(different)) if different else ""


def _busy_machine(rows: Sequence[Row], layout: Layout, prose: Prose) -> str:
    """A load average above what the run's own threads explain."""
    busy: dict[str, float] = {}
    threads = 0
    for label, record in rows:
        environment = record.environment
        load, own = environment.get("load_average"), environment.get("torch_threads")
        if load and own and load[0] > BUSY_FACTOR * own:
            busy[label] = max(load[0], busy.get(label, 0.0))
            threads = own
    if not busy:
        return ""
    names = layout.names(list(busy), prose)
    return prose.say("busy_machine", rows=names, load=prose.number(fixed(max(busy.values()), 1)), threads=threads)


def _disturbed(rows: Sequence[Row], layout: Layout, prose: Prose) -> str:
    """Rounds just before which a fixed matrix product took much longer than it takes undisturbed."""
    references = {
        device: [seconds for _, record in alike for seconds in _reference_s(record)]
        for device, alike in _by_device(rows).items()
    }
    worst_factor, worst_share, labels = 0.0, 0.0, []
    for label, record in rows:
        own = _reference_s(record)
        fastest = min(references[_device(record)], default=0.0)
        if not own or fastest <= 0:
            continue
        factors = [seconds / fastest for seconds in own]
        share = sum(factor > DISTURBED_FACTOR for factor in factors) / len(factors)
        if share > DISTURBED_SHARE:
            labels.append(label)
            worst_factor, worst_share = max(worst_factor, *factors), max(worst_share, share)
    if not labels:
        return ""
    names = layout.names(labels, prose)
    return prose.say("disturbed", rows=names, factor=fixed(worst_factor, 0), percent=fixed(100 * worst_share, 0))


def _reference_s(record: Record) -> tuple[float, ...]:
    return record.latency.reference_s if record.latency is not None else ()


def _device(record: Record) -> tuple[str, str | None]:
    return (record.case.device, record.case.device_name)


def _by_device(rows: Sequence[Row]) -> dict[tuple[str, str | None], list[Row]]:
    devices: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for label, record in rows:
        devices[_device(record)].append((label, record))
    return devices
