"""Files of records: pytest-benchmark's JSON and the journal, of this schema and the one before."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.record.document import Document
from blip_fixtures.record.environment import Environment
from blip_fixtures.record.lines import DamagedLineError, read_lines
from blip_fixtures.record.structs import SCHEMA_VERSION, Record, as_plain
from blip_fixtures.record.version1 import upgraded
from blip_fixtures.spelling import shown
from blip_fixtures.whole_files import BadFileError, decode_json, read_bytes, why
from blip_fixtures.words import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_FIRST_VERSION = 1


class RecordError(ValueError):
    """A file holds no usable records; the message says which file, why, and what to do."""


def _to_stderr(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def validated(record: Record) -> Record:
    """The record itself when it fits the schema and JSON, else `RecordError` naming the first field that does not."""
    try:
        json.dumps(msgspec.to_builtins(record), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"the record does not fit JSON: {error}") from None
    _record_of(as_plain(record))
    return record


@dataclass(frozen=True)
class StoredRun:
    """What one file holds: its records in the order of the run, and what stands beside them in a `records.json`."""

    records: list[Record]
    document: Document


def read_records(path: Path, *, warn: Callable[[str], None] = _to_stderr) -> list[Record]:
    """The records in a `records.json` (those under ``blip`` too) or a `journal.jsonl`, in the order of the run.

    Raises `RecordError` in one sentence for a file that is missing, cut off, foreign or of an unknown schema version.
    A journal's torn last line is the mark of a run that was killed while writing, so that line alone is left out, and
    `warn` is told; of two lines for one case the later one counts.
    """
    return read_run(path, warn=warn).records


def read_run(path: Path, *, warn: Callable[[str], None] = _to_stderr) -> StoredRun:
    """As `read_records`, with what else the file says of its run; nothing of a journal."""
    document = Document()
    try:
        if path.suffix == ".jsonl":
            found = _journal_records(path, read_bytes(path), warn)
        else:
            document = read_document(path)
            found = _in_order(document)
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist; give a records.json or journal.jsonl that a run wrote") from None
    except (OSError, BadFileError) as error:
        cause = why(error) if isinstance(error, OSError) else str(error)
        raise RecordError(f"cannot read {path}: {cause}; give a file of records that a run wrote") from None
    except RecursionError:
        raise RecordError(f"{path} cannot be used: it is nested too deeply") from None
    if not found:
        raise RecordError(f"{path} holds no blip records; give a file that `pytest benchmarks` wrote")
    records: list[Record] = []
    for number, plain in enumerate(found, start=1):
        try:
            records += [_record_of(each) for each in _of_this_version(plain)]
        except RecordError as error:
            raise RecordError(f"{path}, record {number}: {error}") from None
    return StoredRun(records, document)


def read_document(path: Path) -> Document:
    """A file of pytest-benchmark, whatever its benchmarks are. Raises `RecordError` in one sentence, or `OSError`."""
    try:
        plain = decode_json(read_bytes(path))
    except BadFileError as error:
        raise RecordError(
            f"{path} cannot be used: {error}; where it is half-written, use the journal.jsonl beside it"
        ) from None
    if not isinstance(plain, dict) or not isinstance(plain.get("benchmarks"), list):
        raise RecordError(
            f"{path} is not a pytest-benchmark file: it has no list `benchmarks`; give a records.json that a run wrote"
        )
    try:
        return msgspec.convert(plain, Document)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: {_misfit(error, 'the file', 'a file of records')}") from None


def _record_of(plain: object) -> Record:
    try:
        record = msgspec.convert(plain, Record)
        msgspec.convert({"environment": record.environment}, _Known)
    except msgspec.ValidationError as error:
        raise RecordError(_misfit(error, "the record", "the record's schema")) from None
    if record.status == Status.PLANNED:
        raise RecordError("status does not fit the record's schema: a planned case is no record yet; measure it first")
    return record


class _Known(msgspec.Struct):
    """What a record's facts are under the names that readers know; what stands beside them is checked as facts."""

    environment: Environment


def _misfit(error: msgspec.ValidationError, whole: str, what: str) -> str:
    said, _, where = str(error).partition(" - at `")
    field = where.rstrip("`").removeprefix("$").removeprefix(".") or whole
    # Of a key that does not fit the mapping is named: "key` in `$.versions".
    return f"{field.replace('key` in `$.', 'a key of ')} does not fit {what}: {said}"


def _of_this_version(plain: object) -> list[object]:
    """The record in the present schema; one of the first may have been two in one."""
    version = _part(plain, "schema_version")
    if type(version) is int and version == _FIRST_VERSION and isinstance(plain, dict):
        return list(upgraded(plain))
    if type(version) is not int or version != SCHEMA_VERSION:
        raise RecordError(
            f"schema version {shown(version)} where this release reads {_FIRST_VERSION} and {SCHEMA_VERSION}; measure "
            "again or use the release that wrote the file"
        )
    return [plain]


def _in_order(document: Document) -> list[object]:
    """The records, those of second timings and of further processes last."""
    beside = document.blip
    # A case that two tests show stands with both, in the files that pytest-benchmark writes itself.
    ran = [bench.record for bench in document.benchmarks]
    found = _once_each(
        record for record in [*ran, *(beside.not_run or ()), *(beside.untimed or ())] if record is not None
    )
    order = {case_id: place for place, case_id in enumerate(beside.order or ())}
    in_order = sorted(found, key=lambda record: order.get(str(_part(record, "case_id")), len(order)))
    return [*in_order, *(beside.again or ()), *(beside.processes or ())]


def _once_each(records: Iterable[object]) -> list[object]:
    """Without the repetitions of a record."""
    found: dict[bytes, object] = {}
    for record in records:
        found.setdefault(msgspec.json.encode(record, order="sorted"), record)
    return list(found.values())


def _part(value: object, key: str) -> Any:
    """`value[key]`, or `None` where a foreign file has something else there."""
    return value.get(key) if isinstance(value, dict) else None


def _journal_records(path: Path, content: bytes, warn: Callable[[str], None]) -> list[object]:
    """Of two lines for one case the later one counts."""
    try:
        lines = read_lines(content)
    except DamagedLineError as error:
        raise RecordError(f"{path}, {error}") from None
    if lines.torn is not None:
        warn(f"{path}, line {lines.torn} is torn and left out: the run ended while it was written")
    latest = {
        (*(_part(record, name) for name in ("case_id", "config_hash", "process")), bool(_part(record, "again"))): record
        for record in lines.plain
    }
    return list(latest.values())
