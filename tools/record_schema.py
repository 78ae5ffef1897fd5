"""``python -m tools.record_schema``: write `blip_fixtures/record.schema.json` from the one definition of a record."""

from __future__ import annotations

import json
from pathlib import Path

from blip_fixtures.record import schema

SCHEMA = Path(__file__).parents[1] / "blip_fixtures" / "record.schema.json"


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
