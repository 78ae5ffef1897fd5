"""Records: the schema, its mirror in types, and files that hold no usable records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from blip_fixtures import record as record_module
from blip_fixtures.journal import Journal
from blip_fixtures.record import RecordError, read_records, schema, validate
from tests.unit.records import make_record

PARTS = {
    "case": record_module.CaseFields,
    "latency": record_module.Latency,
    "phases": record_module.Phases,
    "flops": record_module.Flops,
    "memory": record_module.Memory,
    "tokens": record_module.Tokens,
    "limit": record_module.Limit,
    "data": record_module.Data,
    "generation": record_module.Generation,
}


def test_types_mirror_the_schema() -> None:
    properties = schema()["properties"]
    assert set(properties) == set(get_type_hints(record_module.Record))
    for name, part in PARTS.items():
        assert set(properties[name]["properties"]) == set(get_type_hints(part)), name
    energy = properties["energy"]["additionalProperties"]["properties"]
    assert set(energy) == set(get_type_hints(record_module.Energy))
    metric = properties["quality"]["additionalProperties"]["properties"]
    assert set(metric) == set(get_type_hints(record_module.Metric))


def test_a_good_record_is_returned_as_it_is() -> None:
    record = make_record()
    assert validate(record) is record


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("status",), "fine", "status"),
        (("case", "batch_size"), 0, "case.batch_size"),
        (("latency", "rounds_s"), [0.1, -0.1], "latency.rounds_s.1"),
        (("flops", "total"), "many", "flops.total"),
        (("surprise",), 1, "the record"),
    ],
)
def test_a_bad_field_is_named(path: tuple[str, ...], value: Any, where: str) -> None:
    record: Any = make_record()
    part = record
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(RecordError, match=f"^{where} does not fit the record's schema"):
        validate(record)


def document(*records: Any, not_run: tuple[Any, ...] = ()) -> str:
    benchmarks = [{"name": "b", "extra_info": {"blip": record}} for record in records]
    return json.dumps({"benchmarks": benchmarks, "blip": {"not_run": list(not_run)}})


def test_records_json_yields_what_ran_and_what_did_not(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    missing = make_record(status="unavailable", reason="no GPU")
    path.write_text(document(make_record(), not_run=(missing,)))
    assert [record["status"] for record in read_records(path)] == ["ok", "unavailable"]


def test_records_json_yields_the_order_of_the_run(tmp_path: Path) -> None:
    records = [make_record(batch_size=size) for size in (4, 2, 1)]
    content = json.loads(document(records[0], records[2], not_run=(records[1],)))
    content["blip"]["order"] = [record["case_id"] for record in records]
    path = tmp_path / "records.json"
    path.write_text(json.dumps(content))
    assert [record["case"]["batch_size"] for record in read_records(path)] == [4, 2, 1]


def test_journal_yields_what_was_appended_without_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(make_record())
    journal.append(make_record(batch_size=4, status="failed", reason="ValueError: naïve"))
    with journal.path.open("a") as file:
        file.write('{"schema_version": 1, "case')
    assert [record["reason"] for record in read_records(journal.path)] == [None, "ValueError: naïve"]


def test_of_two_lines_for_a_case_the_later_one_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for notes in (["first"], ["second"]):
        journal.append(make_record(notes=notes))
    assert [record["notes"] for record in read_records(journal.path)] == [["second"]]


def test_journal_of_the_run_before_is_kept(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").append(make_record())
    later = Journal(tmp_path / "journal.jsonl")
    assert len(read_records(later.path)) == 1, "a run without a finished case moves nothing"
    later.append(make_record(status="failed", reason="ValueError: no"))
    assert [record["status"] for record in read_records(later.path)] == ["failed"]
    assert [record["status"] for record in read_records(tmp_path / "journal.previous.jsonl")] == ["ok"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "records.json",
            '{"benchmarks": [',
            r"is not complete JSON \(line 1: .*\); it may be half-written, use the journal",
        ),
        ("records.json", "[1, 2]", "is not a pytest-benchmark file: it has no list `benchmarks`"),
        ("records.json", '{"benchmarks": [{"name": "other"}]}', "holds no blip records; give a file that"),
        ("records.json", '{"benchmarks": [{"extra_info": null}], "blip": []}', "holds no blip records"),
        ("records.json", '{"benchmarks": [7], "blip": {"not_run": null, "order": null}}', "holds no blip records"),
        ("records.json", document({"schema_version": 99}), "record 1: schema version 99 where this release reads 1"),
        ("records.json", document({"schema_version": 1}), "record 1: the record does not fit the record's schema"),
        ("journal.jsonl", '{"a": \n{"b": 1}\n', "line 1: not complete JSON .*; remove that line"),
        ("journal.jsonl", "", "holds no blip records"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(RecordError, match=complaint):
        read_records(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"does not exist; give a records.json or journal.jsonl that a run wrote"):
        read_records(tmp_path / "records.json")
