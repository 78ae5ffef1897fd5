"""The record: everything one case produced, as plain data that never changes once it is stored.

`structs.py` is the one definition: the types, the validation and the JSON Schema beside this package come from it.
`files.py` reads what runs wrote, `version1.py` turns records of the first schema into those of this one, and
`shown.py` says what of a record others may see.
"""

from blip_fixtures.record.cards import CardEnergy, CardMemory
from blip_fixtures.record.conditions import Data, Generation
from blip_fixtures.record.document import Document, Selected
from blip_fixtures.record.files import RecordError, StoredRun, read_document, read_records, read_run, validated
from blip_fixtures.record.json_schema import schema
from blip_fixtures.record.shown import shown
from blip_fixtures.record.structs import (
    SCHEMA_VERSION,
    CaseFields,
    Energy,
    EnergyWindow,
    Flops,
    Limit,
    Memory,
    Metric,
    Phases,
    Record,
    Tokens,
    as_plain,
)
from blip_fixtures.record.timings import Latency, Throughput, Turns

__all__ = [
    "SCHEMA_VERSION",
    "CardEnergy",
    "CardMemory",
    "CaseFields",
    "Data",
    "Document",
    "Energy",
    "EnergyWindow",
    "Flops",
    "Generation",
    "Latency",
    "Limit",
    "Memory",
    "Metric",
    "Phases",
    "Record",
    "RecordError",
    "Selected",
    "StoredRun",
    "Throughput",
    "Tokens",
    "Turns",
    "as_plain",
    "read_document",
    "read_records",
    "read_run",
    "schema",
    "shown",
    "validated",
]
