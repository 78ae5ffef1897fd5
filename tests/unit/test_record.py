"""Records: the schema, those of the first version, and files that hold no usable records."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from blip_fixtures.reasons import Reason, say_all
from blip_fixtures.record import Record, RecordError, as_plain, read_records, schema, validated
from blip_fixtures.record.version1 import recognized, recognized_all
from blip_fixtures.words import Domain
from tests.unit.records import make_record
from tools.record_schema import SCHEMA, text

OLD = Path(__file__).parent / "golden" / "version1.json"


def test_the_shipped_schema_is_that_of_the_definition() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == text()


def test_a_good_record_is_returned_as_it_is() -> None:
    record = make_record()
    assert validated(record) is record
    jsonschema.validate(as_plain(record), schema())


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A good record as JSON has it, with one field changed."""
    plain = copy.deepcopy(as_plain(make_record()))
    part = plain
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("status",), "fine", "status"),
        (("case", "batch_size"), 0, "case.batch_size"),
        (("latency", "rounds_s"), [0.1, -0.1], r"latency.rounds_s\[1\]"),
        (("flops", "total"), "many", "flops.total"),
        (("surprise",), 1, "the record"),
        (("reason",), "a sentence", "reason"),
        (("missing",), {"flops": "a sentence"}, r"missing\[...\]"),
    ],
)
def test_a_bad_field_is_named_and_the_schema_refuses_it_too(
    tmp_path: Path, path: tuple[str, ...], value: Any, where: str
) -> None:
    plain = at(path, value)
    (tmp_path / "records.json").write_text(document(plain))
    with pytest.raises(RecordError, match=f"record 1: {where} does not fit the record's schema"):
        read_records(tmp_path / "records.json")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(RecordError, match="does not fit JSON"):
        validated(msgspec.structs.replace(make_record(), model_load_s=value))


def test_a_record_is_the_same_after_json() -> None:
    record = make_record(notes=[Reason.of("compile_time", scope="latency", seconds=1.5)])
    assert msgspec.json.decode(record.to_json(), type=Record) == record


def old_run() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(OLD.read_text(encoding="utf-8"))
    return loaded


def test_records_of_the_first_version_are_read_as_those_of_this_one(tmp_path: Path) -> None:
    records = read_records(OLD)
    assert {record.schema_version for record in records} == {2}
    first = next(record for record in records if record.status == "ok")
    assert first.energy[Domain.CPU_PACKAGE].reasons[0].code == "powercap_no_tree"
    assert any(note.code == "phases_disagree" for record in records for note in record.notes)
    # Written again they are records of this version, and nothing is lost.
    (tmp_path / "records.json").write_text(document(*map(as_plain, records)))
    assert read_records(tmp_path / "records.json") == records


def test_the_second_timing_within_an_old_record_becomes_a_record_of_its_own() -> None:
    again = [record for record in read_records(OLD) if record.again]
    assert len(again) == 1
    old = next(
        bench["extra_info"]["blip"]
        for bench in old_run()["benchmarks"]
        if bench["extra_info"]["blip"]["latency"].get("again")
    )
    assert again[0].case_id == old["case_id"]
    assert again[0].latency is not None
    assert list(again[0].latency.rounds_s) == old["latency"]["again"]["rounds_s"]
    first = next(record for record in read_records(OLD) if record.case_id == old["case_id"] and not record.again)
    assert not [note for note in first.notes if note.code == "timed_again"]


ODD: list[Any] = [[{"a": 1}], None, 7, "text", [], [7], [None], {}, {"a": 7}, {"a": None}, True]
CHANGED = ("reason", "notes", "missing", "energy", "memory", "latency", "schema_version", "case", "status")


@pytest.mark.parametrize("field", [*CHANGED, "again", "kind", "energy_reason"])
def test_an_old_record_with_a_field_of_another_type_is_read_or_refused_in_one_sentence(
    tmp_path: Path, field: str
) -> None:
    """Of every field that is changed on the way, in the record that holds a second timing too."""
    for value in [*ODD, "planned", {"median_s": 1.0}]:
        run = old_run()
        record = run["benchmarks"][0]["extra_info"]["blip"]
        assert record["latency"]["again"]
        parts = {"again": record["latency"], "kind": record["memory"], "energy_reason": record["energy"]["cpu_package"]}
        parts.get(field, record)["reason" if field == "energy_reason" else field] = value
        (tmp_path / "records.json").write_text(json.dumps(run))
        try:
            assert read_records(tmp_path / "records.json")
        except RecordError as error:
            assert str(error).startswith(f"{tmp_path / 'records.json'}, record 1: ")  # noqa: PT017


@pytest.mark.parametrize("name", ["notes", "status"])
def test_an_old_record_without_a_field_is_read_where_it_may_be_empty(tmp_path: Path, name: str) -> None:
    run = old_run()
    del run["benchmarks"][0]["extra_info"]["blip"][name]
    (tmp_path / "records.json").write_text(json.dumps(run))
    if name == "status":
        with pytest.raises(RecordError, match="missing required field `status`"):
            read_records(tmp_path / "records.json")
    else:
        assert read_records(tmp_path / "records.json")[0].notes == ()


def test_a_planned_case_is_in_no_file(tmp_path: Path) -> None:
    plain = at(("status",), "planned")
    (tmp_path / "records.json").write_text(document(plain))
    with pytest.raises(RecordError, match="a planned case is no record yet"):
        read_records(tmp_path / "records.json")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema())


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("the hardware slowed the GPU's clocks down because it was hot", "gpu_hw_thermal"),
        ("4 textvqa samples do not fill a batch of 16; raise --blip-limit or give more data", "too_few_samples"),
        ("RuntimeError: CUDA error", "verbatim"),
        ("", "verbatim"),
    ],
)
def test_sentences_are_recognized_and_said_again_as_they_were(sentence: str, code: str) -> None:
    found = recognized(sentence)
    assert (found.code, str(found)) == (code, sentence)


def test_several_reasons_in_one_text_are_told_apart() -> None:
    text = (
        "other processes took 25 % of the busy processor time, and the counter sees them too; the fan was loud; it "
        "rained; the windows differ by more than 10 %: 1.5 and 1.8 J per sample"
    )
    found = recognized_all(text)
    assert [reason.code == "verbatim" for reason in found] == [False, True, False]
    assert str(found[1]) == "the fan was loud; it rained"
    assert say_all(tuple(found)) == text


def document(*records: Any, not_run: tuple[Any, ...] = ()) -> str:
    def plain(record: Any) -> Any:
        return as_plain(record) if isinstance(record, Record) else record

    benchmarks = [{"name": "b", "extra_info": {"blip": plain(record)}} for record in records]
    return json.dumps({"benchmarks": benchmarks, "blip": {"not_run": [plain(record) for record in not_run]}})


def test_records_json_yields_what_ran_and_what_did_not(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    missing = make_record(status="unavailable", reason="no GPU")
    path.write_text(document(make_record(), not_run=(missing,)))
    assert [record.status for record in read_records(path)] == ["ok", "unavailable"]


def test_records_json_yields_the_order_of_the_run(tmp_path: Path) -> None:
    records = [make_record(batch_size=size) for size in (4, 2, 1)]
    content = json.loads(document(records[0], records[2], not_run=(records[1],)))
    content["blip"]["order"] = [record.case_id for record in records]
    path = tmp_path / "records.json"
    path.write_text(json.dumps(content))
    assert [record.case.batch_size for record in read_records(path)] == [4, 2, 1]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "records.json",
            '{"benchmarks": [',
            r"cannot be used: it is no JSON \(.*\); where it is half-written, use the journal",
        ),
        ("records.json", "[1, 2]", "is not a pytest-benchmark file: it has no list `benchmarks`"),
        ("records.json", '{"benchmarks": [{"name": "other"}]}', "holds no blip records; give a file that"),
        ("records.json", '{"benchmarks": [{"extra_info": null}], "blip": {"order": null}}', "holds no blip records"),
        ("records.json", '{"benchmarks": [], "blip": []}', "json: blip does not fit a file of records: Expected"),
        ("records.json", '{"benchmarks": [7]}', r"json: benchmarks\[0\] does not fit a file of records: Expected"),
        (
            "records.json",
            document({"schema_version": 99}),
            "record 1: schema version 99 where this release reads 1 and 2; measure again",
        ),
        ("records.json", document({"schema_version": 1}), "record 1: the record does not fit the record's schema"),
        (
            "journal.jsonl",
            '{"a": \n{"b": 1}\n',
            "line 1 is damaged: it is no JSON .*; what it held is lost, remove that line",
        ),
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
