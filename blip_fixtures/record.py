"""The record: everything one case produced, as plain JSON.

`record.schema.json` beside this file is the contract; the types below are its mirror for readers and type checkers.
A record that breaks the schema is never written.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

if TYPE_CHECKING:
    from pathlib import Path

    from jsonschema.protocols import Validator

SCHEMA_VERSION = 1


class CaseFields(TypedDict):
    """The case, with the device's marketing name beside its torch name."""

    model: str
    weights: str
    device: str
    device_name: str | None
    optimization: str
    dataset: str
    batch_size: int
    image_size: int
    sequence_length: int
    prompts: str | None


class LatencyAgain(TypedDict):
    """The same rounds behind all cases that are compared with this one."""

    median_s: float
    rounds_s: list[float]
    reference_s: list[float]


class Latency(TypedDict):
    """Seconds per batch. Round i ran batch i modulo the number of batches."""

    mean_s: float | None
    median_s: float | None
    stddev_s: float | None
    p90_s: float | None
    rounds_s: list[float]
    reference_s: list[float]
    warmup_rounds: int | None
    again: NotRequired[LatencyAgain]


class Phases(TypedDict):
    """Seconds per batch and phase, means over the pass of their own.

    The time to the first token is the first three together. `sum_s` is the whole call, `latency_ratio` its share of the
    latency pass's mean over the same rounds.
    """

    vision_s: float | None
    qformer_s: float | None
    prefill_s: float | None
    decode_per_token_s: float | None
    time_to_first_token_s: float | None
    decode_s: NotRequired[float]
    sum_s: NotRequired[float]
    rounds: NotRequired[int]
    latency_ratio: NotRequired[float]


class EnergyWindow(TypedDict):
    """One window of the energy pass: `joules` within `error_bound_j` of the truth."""

    joules: float
    error_bound_j: float
    window_s: float
    samples: int
    tokens: int


class Energy(TypedDict):
    """What one meter domain saw. `status` is ``ok`` or names why there is no number, or a weaker one.

    `joules`, `error_bound_j`, `window_s` and `samples` are sums over `windows`. `conditions` are the device's own facts
    before and after each window.
    """

    joules_per_sample: float | None
    joules_per_token: float | None
    joules: float | None
    window_s: float | None
    samples: int | None
    error_bound_j: float | None
    idle_watts: float | None
    net_joules_per_sample: float | None
    status: str
    reason: str | None
    source: str | None
    scope: str | None
    update_period_s: NotRequired[float]
    windows: NotRequired[list[EnergyWindow]]
    conditions: NotRequired[list[dict[str, Any]]]


class Flops(TypedDict):
    """Floating-point operations per batch, 2 x multiply-accumulates, the mean over the batches."""

    total: float | None
    vision: float | None
    qformer: float | None
    prefill: float | None
    decode: float | None
    counter: str | None


class Memory(TypedDict):
    """Bytes; `kind` says what `peak_bytes` counts."""

    weights_bytes: int | None
    peak_bytes: int | None
    kind: str | None


class Metric(TypedDict):
    """A metric over the whole dataset and its value for each sample; `interval` holds 95 % (bootstrap)."""

    value: float | None
    per_sample: list[float | None]
    higher_is_better: bool
    interval: NotRequired[list[float] | None]


class Tokens(TypedDict):
    """Text tokens per sample; query tokens are not counted."""

    input_mean: float | None
    input_max: int | None
    truncated_share: float | None
    output_mean: float | None
    output_max: int | None


class Limit(TypedDict):
    """The least time the hardware allows, and how many times longer the median latency is.

    `bound_by` says of each phase whether ``arithmetic`` or ``memory`` binds it; the rates are those of the device.
    """

    seconds: float | None
    ratio: float | None
    bound_by: dict[str, str] | None
    phases_s: NotRequired[dict[str, float]]
    flops_per_s: NotRequired[float]
    bytes_per_s: NotRequired[dict[str, float]]


class Data(TypedDict):
    """Where the samples came from and how many the passes used; `skipped` rows of the source were no good."""

    source: str
    revision: str | None
    samples: int | None
    batches: int | None
    dropped: int | None
    skipped: NotRequired[int]


class Generation(TypedDict):
    """`fixed` means that every row generated exactly `new_tokens`, else it is an upper bound.

    The rest is what the preset says of the dataset; `length_penalty` has an effect with more than one beam.
    """

    new_tokens: int
    fixed: bool
    num_beams: NotRequired[int]
    length_penalty: NotRequired[float]
    prompt_parts: NotRequired[list[str]]


class Record(TypedDict):
    """Everything one case produced."""

    schema_version: int
    case_id: str
    config_hash: str | None
    sweeps: list[str]
    case: CaseFields
    status: str
    reason: str | None
    latency: Latency | None
    phases: Phases | None
    energy: dict[str, Energy]
    flops: Flops | None
    memory: Memory | None
    quality: dict[str, Metric]
    predictions: NotRequired[list[str]]
    model_load_s: NotRequired[float]
    tokens: Tokens | None
    limit: Limit | None
    data: Data | None
    generation: Generation | None
    environment: dict[str, Any]
    applied: dict[str, Any]
    notes: list[str]
    missing: dict[str, str]


class RecordError(ValueError):
    """A file holds no usable records; the message says which file, why, and what to do."""


@cache
def _validator() -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a record."""
    text = files("blip_fixtures").joinpath("record.schema.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


def validate(record: object) -> Record:
    """`record` itself when it fits the schema, else `RecordError` naming the first field that does not."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(cast("Any", record)))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "the record"
        raise RecordError(f"{where} does not fit the record's schema: {error.message}")
    return cast("Record", record)


def read_records(path: Path) -> list[Record]:
    """The records in a `records.json` (those under ``blip.not_run`` too) or a `journal.jsonl`, in the order of the run.

    Raises `RecordError` in one sentence for a file that is missing, cut off, foreign or of another schema version.
    A journal's torn last line is the mark of a run that was killed while writing, so that line alone is left out; of
    two lines for one case the later one counts.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist; give a records.json or journal.jsonl that a run wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"cannot read {path}: {_cause(error)}; give a records.json or journal.jsonl that a run wrote"
        ) from None
    found = _journal_records(path, text) if path.suffix == ".jsonl" else _document_records(path, text)
    if not found:
        raise RecordError(f"{path} holds no blip records; give a file that `pytest benchmarks` wrote")
    for number, record in enumerate(found, start=1):
        try:
            _check_version(record)
            validate(record)
        except RecordError as error:
            raise RecordError(f"{path}, record {number}: {error}") from None
    return cast("list[Record]", found)


def _check_version(record: object) -> None:
    version = _part(record, "schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"schema version {version!r} where this release reads {SCHEMA_VERSION}; measure again or use the release "
            "that wrote the file"
        )


def _document_records(path: Path, text: str) -> list[object]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(
            f"{path} is not complete JSON (line {error.lineno}: {error.msg}); it may be half-written, "
            "use the journal.jsonl beside it"
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise RecordError(f"{path} is not a pytest-benchmark file: it has no list `benchmarks`")
    ran = [_part(_part(bench, "extra_info"), "blip") for bench in document["benchmarks"]]
    rest = _part(document, "blip")
    found = [record for record in [*ran, *(_part(rest, "not_run") or [])] if record is not None]
    order = {case_id: place for place, case_id in enumerate(_part(rest, "order") or [])}
    return sorted(found, key=lambda record: order.get(str(_part(record, "case_id")), len(order)))


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"


def _part(value: object, key: str) -> Any:
    """`value[key]`, or `None` where a foreign file has something else there."""
    return value.get(key) if isinstance(value, dict) else None


def _journal_records(path: Path, text: str) -> list[object]:
    records = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise RecordError(f"{path}, line {number}: not complete JSON ({error.msg}); remove that line") from None
    latest = {(_part(record, "case_id"), _part(record, "config_hash")): record for record in records}
    return list(latest.values())
