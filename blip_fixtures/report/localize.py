"""The suite's own reasons and notes in the document's language.

Records hold them in English. What the suite itself writes is known and listed in the prose files under
`record_texts`; texts from elsewhere (an exception, a driver) stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.record import Energy, Record
    from blip_fixtures.report.prose import Prose


def localized(records: Sequence[Record], prose: Prose) -> list[Record]:
    """The records with every known reason and note in the language of `prose`."""
    return [_localized(record, prose) for record in records]


def _localized(record: Record, prose: Prose) -> Record:
    memory = record["memory"]
    return {
        **record,
        "reason": _text(record["reason"], prose),
        "notes": [_text(note, prose) or "" for note in record["notes"]],
        "missing": {path: _text(reason, prose) or "" for path, reason in record["missing"].items()},
        "energy": {domain: _energy(entry, prose) for domain, entry in record["energy"].items()},
        "memory": None if memory is None else {**memory, "kind": _text(memory["kind"], prose)},
    }


def _energy(entry: Energy, prose: Prose) -> Energy:
    """A domain may have several reasons in one text, so each known one is replaced where it stands."""
    reason = entry["reason"]
    for pattern, replacement in prose.record_texts if reason else ():
        reason = re.sub(pattern, replacement, reason or "")
    return {**entry, "reason": reason}


def _text(text: str | None, prose: Prose) -> str | None:
    """`text` in the language of `prose`: the first pattern that fits all of it, else unchanged."""
    if text is None:
        return None
    for pattern, replacement in prose.record_texts:
        match = re.fullmatch(pattern, text)
        if match is not None:
            return match.expand(replacement)
    return text
