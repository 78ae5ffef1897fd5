"""The JSON Schema of a record, made of its definition."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from blip_fixtures.plain import Facts
from blip_fixtures.record.environment import Environment
from blip_fixtures.record.structs import Record
from blip_fixtures.words import Status


def schema() -> dict[str, Any]:
    """The JSON Schema of a record (draft 2020-12)."""
    _, components = msgspec.json.schema_components([Record, Environment], ref_template="#/$defs/{name}")
    facts = msgspec.json.schema(Facts)
    found = {"$ref": "#/$defs/Record", "$defs": _named(components, facts, "Facts")}
    definitions = found["$defs"]
    definitions["Facts"] = {"description": "Facts by name, nested at most five deep.", **facts}
    definitions["Record"]["properties"]["environment"] = {
        "allOf": [{"$ref": "#/$defs/Facts"}, {"$ref": "#/$defs/Environment"}],
        "default": {},
    }
    # What a case is called before it is measured, and never in a file.
    definitions["Status"]["enum"].remove(Status.PLANNED)
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "blip record", **found}


def _named(part: Any, what: dict[str, Any], name: str) -> Any:
    """`part` of a schema, with a reference wherever `what` stands in it."""
    if isinstance(part, list):
        return [_named(item, what, name) for item in part]
    if not isinstance(part, dict):
        return part
    if what.items() <= part.items():
        return {**{key: item for key, item in part.items() if key not in what}, "$ref": f"#/$defs/{name}"}
    return {key: _named(item, what, name) for key, item in part.items()}
