"""A record as it may be seen by others: every text in it goes through one function, wherever it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.privacy import AS_MEASURED

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.record.structs import Record


def shown(record: Record, show: Callable[[str], str]) -> Record:
    """`record` with `show` of every text but the answers; the record itself where nothing changes."""
    found: Record = _shown(record, show)
    return found


def _shown(value: Any, show: Callable[[str], str]) -> Any:
    # A word of an enum is none of these: it is one of the suite's own.
    if type(value) is str:
        return show(value)
    if isinstance(value, msgspec.Struct):
        fields = [name for name in value.__struct_fields__ if name not in AS_MEASURED]
        return _replaced(value, {name: _shown(getattr(value, name), show) for name in fields})
    if isinstance(value, Mapping):
        found = {key: _shown(item, show) for key, item in value.items()}
        return value if all(found[key] is item for key, item in value.items()) else found
    if isinstance(value, (list, tuple)):
        items = [_shown(item, show) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _replaced(struct: msgspec.Struct, fields: Mapping[str, Any]) -> msgspec.Struct:
    changed = {name: value for name, value in fields.items() if value is not getattr(struct, name)}
    return msgspec.structs.replace(struct, **changed) if changed else struct
