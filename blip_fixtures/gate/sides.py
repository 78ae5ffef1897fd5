"""Both sides of a comparison: each one process or several, each process the records of one run, by case."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from blip_fixtures.case import AXES, kind_of
from blip_fixtures.gate.expressions import matches
from blip_fixtures.gate.rules import INTERRUPTED
from blip_fixtures.privacy import without_secrets
from blip_fixtures.record import RecordError, read_run
from blip_fixtures.words import Decoding, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from blip_fixtures.record import Document, Record

# What a case is: its axes. The checkpoint's name is left out, since another checkpoint may be the very change.
Key = tuple[Any, ...]


class Refusal(ValueError):
    """Two sides that cannot be compared, or a baseline that is no use; the message says why and what to do.

    `output` are the last lines of a command's output that show what went wrong.
    """

    def __init__(self, message: str, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class Selected:
    """What a run was asked for, as far as its file knows: pytest's arguments, and its ``-k`` and ``-m``.

    `names` are the pytest ids of the cases of this process's file.
    """

    arguments: tuple[str, ...] = ()
    keyword: str = ""
    marks: str = ""

    def has(self, node_id: str) -> bool:
        """Whether the run asked for this test: then its absence is a loss, and not a choice.

        Marks are not in the file, so a run with ``-m`` says nothing of tests that it has not seen.
        """
        if self.marks:
            return False
        under = any(_is_under(node_id, argument) for argument in self.arguments) if self.arguments else True
        return under and (not self.keyword or matches(self.keyword, [node_id]))


@dataclass(frozen=True)
class Process:
    """The records of one run, and where they came from. An `interrupted` one lacks cases that it was asked for."""

    source: str
    records: Mapping[Key, Record]
    node_ids: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    selected: Selected | None = None
    interrupted: bool = False

    @classmethod
    def of(
        cls,
        source: str,
        records: Iterable[Record],
        node_ids: Mapping[str, tuple[str, ...]] | None = None,
        selected: Selected | None = None,
        *,
        interrupted: bool = False,
    ) -> Process:
        """From records; `node_ids` maps case ids to pytest's. A further timing is no case, and left out."""
        by_key = {case_key(record): record for record in records if not record.is_further}
        known = node_ids or {}
        named = {key: known[record.case_id] for key, record in by_key.items() if record.case_id in known}
        return cls(source, by_key, named, selected, interrupted)


def case_key(record: Record) -> Key:
    """Equal for two records of one case, whatever checkpoint and prompts they were measured with."""
    case = record.case
    device = "cuda:0" if case.device == "cuda" else case.device
    return (case.weights, *(device if axis == "device" else getattr(case, axis) for axis in AXES))


def read_process(path: Path, show: Callable[[str], str] = without_secrets) -> Process:
    """One run's `records.json`, `journal.jsonl` or file of pytest-benchmark's storage. Raises `Refusal`.

    `show` says what verdicts may tell of its path.
    """
    try:
        run = read_run(path)
    except RecordError as error:
        raise Refusal(str(error)) from None
    beside = run.document.blip
    said = beside.selected
    if said is not None:
        try:
            matches(said.keyword, [])
        except SyntaxError as error:
            raise Refusal(f"{path}: blip.selected.keyword is not an expression as for -k: {error.msg}") from None
    selected = None if said is None else Selected(said.arguments, said.keyword, said.marks)
    return Process.of(show(str(path)), run.records, node_ids_of(run.document), selected, interrupted=beside.interrupted)


def read_processes(path: Path, show: Callable[[str], str] = without_secrets) -> list[Process]:
    """As `read_process`, with a process of its own for each further one that timed the run's cases (`Record.process`).

    Those have latencies alone. Raises `Refusal`.
    """
    return with_further(read_process(path, show), read_run(path).records)


def with_further(first: Process, records: Iterable[Record]) -> list[Process]:
    """The process, and those among the records that timed its cases too, in their order."""
    further: dict[int, dict[Key, Record]] = defaultdict(dict)
    for record in records:
        if record.process > 1:
            further[record.process][case_key(record)] = record
    named = {number: f"{first.source}, process {number}" for number in sorted(further)}
    return [first, *(replace(first, source=name, records=further[number]) for number, name in named.items())]


def node_ids_of(document: Document) -> dict[str, tuple[str, ...]]:
    """Case id -> the pytest ids of the tests that show it, of a file whose records were read."""
    found: dict[str, list[str]] = defaultdict(list)
    for bench in document.benchmarks:
        if bench.record is not None:
            found[bench.record["case_id"]].append(bench.fullname)
    return {case_id: tuple(names) for case_id, names in found.items()}


def _is_under(node_id: str, argument: str) -> bool:
    wanted = argument.replace("\\", "/").removeprefix("./").rstrip("/")
    return wanted in ("", ".") or node_id == wanted or node_id.startswith((f"{wanted}/", f"{wanted}::", f"{wanted}["))


# What may differ between the sides only where it is allowed, and where a record has it.
CONDITIONS: dict[str, tuple[str, Callable[[Record], Any]]] = {
    "machine": (
        "another machine",
        lambda record: (
            record.case.device_name,
            record.environment.get("cpu_model"),
            record.environment.get("cpu_cores_logical"),
            _host(record),
        ),
    ),
    "threads": ("another number of threads", lambda record: record.environment.get("torch_threads")),
    "torch": ("another torch", lambda record: _version(record, "torch")),
    "transformers": ("another transformers", lambda record: _version(record, "transformers")),
    "python": ("another Python", lambda record: record.environment.get("python")),
    "driver": (
        "another GPU driver",
        lambda record: None if kind_of(record.case.device) == "cpu" else record.environment.get("gpu_driver"),
    ),
    "prompts": ("other prompts", lambda record: _prompts(record)),
    "data": ("other data", lambda record: _data(record)),
    "new-tokens": ("another limit on new tokens", lambda record: _new_tokens(record)),
}


def _host(record: Record) -> Any:
    """Of a cluster's machine, unless the run asked for any of its kind."""
    through = record.environment.get("ray")
    is_pooled = isinstance(through, dict) and through.get("pooled")
    return None if is_pooled else record.environment.get("host")


# How answers are decoded where nobody says more.
_PLAIN = {"num_beams": 1, "length_penalty": 1, "repetition_penalty": 1, "min_new_tokens": 0}


def _prompts(record: Record) -> Any:
    generation = record.generation
    if generation is None:
        return record.case.prompts
    # Of decoding what is not everybody's is said by name: a number alone says nothing in a message.
    decoding = generation.decoding or (Decoding.BEAM if generation.num_beams > 1 else Decoding.GREEDY)
    found = {name: getattr(generation, name) for name in _PLAIN}
    said = [f"{name} {value:g}" for name, value in found.items() if value != _PLAIN[name]]
    return (record.case.prompts, generation.prompt_parts or (), str(decoding), *said)


def _data(record: Record) -> Any:
    data = record.data
    return None if data is None else (data.revision or data.source, data.samples)


def _new_tokens(record: Record) -> Any:
    generation = record.generation
    return None if generation is None else (generation.new_tokens, generation.fixed)


def _version(record: Record, package: str) -> Any:
    return (record.environment.get("versions") or {}).get(package)


def check_comparable(base: Sequence[Process], now: Sequence[Process], allowed: Iterable[str] = ()) -> list[str]:
    """Sentences for what differs and is allowed to. Raises `Refusal` for the first difference that is not.

    Only cases that both sides have count, and only conditions that the records know. The processes of one side must be
    alike too.
    """
    tolerated, notes = set(allowed), dict[str, str]()
    broken_off = next((process for process in base if process.interrupted), None)
    if broken_off is not None:
        if INTERRUPTED not in tolerated:
            raise Refusal(
                f"the baseline {broken_off.source} was interrupted and lacks cases; give a run that came to its end, "
                f"or allow it with --blip-allow {INTERRUPTED} (gate: --allow {INTERRUPTED})"
            )
        notes[INTERRUPTED] = f"the baseline {broken_off.source} was interrupted: cases that it lacks are not judged"
    theirs = {key for process in now for key in process.records}
    both = [key for key in dict.fromkeys(key for process in base for key in process.records) if key in theirs]
    if not both:
        raise Refusal(
            f"the baseline {base[0].source} has no case in common with this run; save one from the same benchmarks, "
            "such as pytest benchmarks --benchmark-save=base"
        )
    for name, (what, read) in CONDITIONS.items():
        for key in both:
            was, became = _values(base, key, read), _values(now, key, read)
            if not was or not became or len(was | became) == 1:
                continue
            said = f"{what} than in the baseline: {' and '.join(sorted(became))} instead of {' and '.join(sorted(was))}"
            if name not in tolerated:
                raise Refusal(
                    f"{said} ({_id(base, key)}); measure both sides alike, or allow it with --blip-allow {name} "
                    f"(gate: --allow {name})"
                )
            notes[name] = said
    return list(notes.values())


def _values(side: Iterable[Process], key: Key, read: Callable[[Record], Any]) -> set[str]:
    """The condition in words, of every process that has the case. One that is not available knows no device."""
    records = [process.records[key] for process in side if key in process.records]
    found = [read(record) for record in records if record.status != Status.UNAVAILABLE]
    return {_shown(value) for value in found if value is not None}


def _shown(value: Any) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return ", ".join(" | ".join(part) if isinstance(part, tuple) else str(part) for part in parts if part is not None)


def _id(side: Iterable[Process], key: Key) -> str:
    return next(process.records[key].case_id for process in side if key in process.records)
