"""A line of the journal: a record as JSON, and at its end a checksum of what stands before.

``{"schema_version":2,...,"checksum":"0123456789abcdef"}``: the first 16 hex digits of a SHA-256 over the record's own
JSON. A line is one object, so that other tools read it as they read any file of JSON lines.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.whole_files import BadFileError, as_text, decode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record.structs import Record

_DIGITS = 16
_SEALED = re.compile(rb',"checksum":"([0-9a-f]{16})"\}\s*\Z')


class DamagedLineError(ValueError):
    """A line of a journal that is not as it was written; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Lines:
    """What a journal holds: its records as plain data, and the number of a torn last line, with where it begins."""

    plain: Sequence[Any]
    torn: int | None = None
    whole_bytes: int = 0


def to_line(record: Record) -> bytes:
    """The record's line, its end included."""
    body = msgspec.json.encode(record)
    return b'%s,"checksum":"%s"}\n' % (body[:-1], _checksum(body))


def read_lines(content: bytes) -> Lines:
    """The records of a journal's lines. A last line without an end that is not whole was being written: it is torn.

    A journal of an older release has no checksums; in one that has them every line must. Raises `DamagedLineError`.
    """
    lines = content.split(b"\n")
    is_sealed = any(_SEALED.search(line) for line in lines)
    plain: list[Any] = []
    whole_bytes = 0
    for number, line in enumerate(lines, start=1):
        is_last = number == len(lines)
        if line.strip():
            try:
                plain.append(_of_line(line, is_sealed=is_sealed))
            except BadFileError as error:
                if is_last:
                    return Lines(plain, number, whole_bytes)
                raise DamagedLineError(
                    f"line {number} is damaged: {error}; what it held is lost, remove that line to read the others"
                ) from None
        whole_bytes += len(line) + (not is_last)
    return Lines(plain, None, whole_bytes)


def _of_line(line: bytes, *, is_sealed: bool) -> Any:
    seal = _SEALED.search(line)
    if seal is not None:
        body = line[: seal.start()] + b"}"
        if _checksum(body) != seal[1]:
            raise BadFileError("its checksum is that of another text")
        return decode_json(body)
    found = decode_json(as_text(line))
    if is_sealed:
        raise BadFileError("it has no checksum")
    return found


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_DIGITS].encode()
