"""Records of the first schema, as those of the present one.

They hold sentences where the present ones hold codes. Their sentences are recognized here, once and for all that comes
after; what no template fits stays as it is written.
"""

from __future__ import annotations

import re
import string
from functools import cache
from typing import TYPE_CHECKING, Any

from blip_fixtures.reasons import VERBATIM, Reason, templates
from blip_fixtures.words import MemoryKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A note that opened with a field or a sweep and a colon belonged to it.
_SCOPE = re.compile(r"(\w+): ")
_SCOPES = {
    "latency",
    "energy",
    "flops",
    "quality",
    "phases",
    "memory",
    "tokens",
    "limit",
    "device",
    "batch_size",
    "image_size",
    "sequence_length",
    "optimization",
}
_MEMORY_KINDS = {f"weights + growth of {kind} during generate": kind for kind in MemoryKind}
_AGAIN = "timed_again"
_JOINED = "; "
_NOT_OF_RECORDS = ("gate", "")
# No sentence of theirs was longer, nor did they join more; what is, takes ever longer to match and stays as it is.
_MOST_CHARACTERS = 2_000
_MOST_PIECES = 50


def upgraded(old: dict[str, Any]) -> list[dict[str, Any]]:
    """The record, and behind it the second timing that the old one held within its latency, where there is one.

    Only what is there is changed, so that a bad record stays one and is refused by the present schema.
    """
    record = {**old, "schema_version": 2}
    latency = old.get("latency")
    again = None
    if isinstance(latency, dict) and isinstance(latency.get("again"), dict):
        again = latency["again"]
        record["latency"] = {name: value for name, value in latency.items() if name != "again"}
    _replace(record, "reason", str, _reason)
    _replace(record, "notes", list, lambda notes: _without_again(map(_note, notes)) if again else [*map(_note, notes)])
    _replace(record, "missing", dict, lambda missing: {path: _reason(text) for path, text in missing.items()})
    _replace(record, "energy", dict, lambda energy: {domain: _energy(entry) for domain, entry in energy.items()})
    _replace(record, "memory", dict, _memory)
    return [record] if again is None else [record, _second_timing(record, again)]


def _replace(record: dict[str, Any], field: str, kind: type, change: Callable[[Any], Any]) -> None:
    """Change a field that has the type it should have; another one is left for the schema to refuse."""
    if isinstance(record.get(field), kind):
        record[field] = change(record[field])


def _without_again(notes: Iterable[Any]) -> list[Any]:
    """The second timing is a record of its own, and the document says what the note said."""
    return [note for note in notes if not (isinstance(note, dict) and note.get("code") == _AGAIN)]


def _reason(text: Any, scope: str = "") -> Any:
    if not isinstance(text, str):
        return text
    found = recognized(text)
    return {"code": found.code, "args": found.args, "scope": scope}


def _note(text: Any) -> Any:
    match = _SCOPE.match(text) if isinstance(text, str) else None
    if match is None or match[1] not in _SCOPES:
        return _reason(text)
    return _reason(text[match.end() :], match[1])


def _energy(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("reason"), str):
        return entry
    if not entry["reason"]:
        return {**entry, "reason": None}
    first, *further = [{"code": found.code, "args": found.args} for found in recognized_all(entry["reason"])]
    return {**entry, "reason": first, "further_reasons": further}


def _memory(memory: dict[str, Any]) -> dict[str, Any]:
    kind = memory.get("kind")
    return {**memory, "kind": _MEMORY_KINDS.get(kind, kind)} if isinstance(kind, str) else memory


def _second_timing(record: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    empty = dict.fromkeys(("latency", "phases", "flops", "memory", "tokens", "limit"))
    kept = ("schema_version", "case_id", "config_hash", "sweeps", "case", "status", "data", "generation", "environment")
    statistics = dict.fromkeys(("mean_s", "stddev_s", "p90_s", "warmup_rounds"))
    known: dict[str, Any] = {name: record[name] for name in kept if name in record}
    return {**known, **empty, "again": True, "latency": {**statistics, **again}}


def recognized(text: str) -> Reason:
    """The reason whose English sentence `text` is, in this release or an older one; else `text` as it stands."""
    for code, pattern, casts in _patterns() if len(text) <= _MOST_CHARACTERS else ():
        match = pattern.fullmatch(text)
        if match is None:
            continue
        return Reason(code, {name: casts[name](value) for name, value in match.groupdict().items()})
    return Reason.verbatim(text)


def recognized_all(text: str) -> list[Reason]:
    """Several reasons that one text joined by semicolons, which some of them have within themselves."""
    pieces = text.split(_JOINED, maxsplit=_MOST_PIECES)
    found: list[Reason] = []
    place = 0
    while place < len(pieces):
        # The longest that is known, else one piece that is not.
        for end in range(len(pieces), place, -1):
            reason = recognized(_JOINED.join(pieces[place:end]))
            if reason.code != VERBATIM or end == place + 1:
                break
        if found and found[-1].code == reason.code == VERBATIM:
            found[-1] = Reason.verbatim(f"{found[-1].args['text']}{_JOINED}{reason.args['text']}")
        else:
            found.append(reason)
        place = end
    return found


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    """Templates turned around, those with the most text of their own first; no record holds what the gate says."""
    found = []
    for code, template in templates().items():
        if template.subject in _NOT_OF_RECORDS:
            continue
        for sentence in (template.sentences["en"], *template.once):
            own = sum(len(literal) for literal, *_ in string.Formatter().parse(sentence))
            if own > len(_JOINED) + 2:
                found.append((own, code, *_pattern(sentence)))
    found.sort(key=lambda entry: -entry[0])
    return [(code, pattern, casts) for _, code, pattern, casts in found]


def _pattern(sentence: str) -> tuple[re.Pattern[str], dict[str, Any]]:
    parts: list[str] = []
    casts: dict[str, Any] = {}
    for literal, name, spec, _ in string.Formatter().parse(sentence):
        parts.append(re.escape(literal))
        if name in casts:
            parts.append(f"(?P={name})")
        elif name is not None:
            # A format for numbers: the text reads back as one, and shows the same digits again.
            casts[name] = float if spec else str
            parts.append(rf"(?P<{name}>{'[-+.0-9e]+' if spec else '.+?'})")
    return re.compile("".join(parts), re.DOTALL), casts
