"""The record's one definition refuses at the door: every number, text, list and mapping has a bound."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from blip_fixtures.plain import MOST_CHARACTERS
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record, RecordError, as_plain, read_records, read_run, schema, validated
from blip_fixtures.record.environment import Environment
from tests.unit.hostile import with_value
from tests.unit.records import make_record
from tests.unit.sides import as_document
from tests.unit.test_hostile_records import full_record

PLAIN = as_plain(full_record())
BUNDLE: Any = jsonschema.Draft202012Validator(schema())


def places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every value, branches too; of a list the first."""
    found = [path] if path else []
    below = part.items() if isinstance(part, dict) else list(enumerate(part))[:1] if isinstance(part, list) else ()
    return found + [place for name, value in below for place in places(value, (*path, name))]


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"a": value}
    return value


# None of them fits any field.
MISFITS: dict[str, Any] = {
    "a number of 40 digits": 10**40,
    "a float without bound": 1e308,
    "a float below all": -1e308,
    "a text without end": "x" * (MOST_CHARACTERS + 1),
    "deep lists": [[[[[[[[1]]]]]]]],
    "deep mappings": nested(9),
    "a key without end": {"x" * 2_000: 1},
}


def refused_by_both(plain: Any, *, closed_keys: bool = False) -> bool:
    """By the definition and by its JSON Schema, or by neither; msgspec's schemas know no closed sets of keys."""
    try:
        record = msgspec.convert(plain, Record)
        msgspec.convert(record.environment, Environment)
    except msgspec.ValidationError:
        by_definition = True
    else:
        by_definition = False
    assert (not BUNDLE.is_valid(plain)) == by_definition or closed_keys
    return by_definition


@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("path", places(PLAIN), ids=lambda path: ".".join(map(str, path)))
def test_what_no_machine_could_measure_is_refused_everywhere(path: tuple[Any, ...], misfit: str) -> None:
    closed_keys = path[0] in ("limit", "energy") and misfit == "a key without end"
    assert refused_by_both(with_value(PLAIN, path, MISFITS[misfit]), closed_keys=closed_keys)


@pytest.mark.parametrize("name", Environment.__annotations__)
@pytest.mark.parametrize("value", [{"a": 1}, [[1]], -1, ["x", None, 7], {"torch": {}}, [1, 2, 3, 4]], ids=repr)
def test_the_environment_has_under_known_names_what_readers_take_for_granted(
    name: str, value: Any, tmp_path: Path
) -> None:
    plain = with_value(PLAIN, ("environment", name), value)
    assert refused_by_both(plain)
    path = tmp_path / "records.json"
    path.write_text(json.dumps({"benchmarks": [{"extra_info": {"blip": plain}}]}))
    with pytest.raises(RecordError, match=rf"record 1: environment\.{name}.* does not fit the record's schema"):
        read_records(path)


def test_further_facts_stay(tmp_path: Path) -> None:
    facts = {"a": [1, "b", None, True], "c": {"d": {"e": 1.5}}, "f": [{"g": 1}]}
    record = make_record(environment=facts, applied=facts)
    assert validated(record) is record
    path = tmp_path / "records.json"
    path.write_text(json.dumps(as_document([record])))
    (read,) = read_records(path)
    assert read == record
    assert {name: read.environment[name] for name in facts} == facts


def test_lists_have_a_most() -> None:
    """By the definition; a validator of the schema takes seconds for so many."""
    path: tuple[str, ...]
    for path in (("latency", "rounds_s"), ("latency", "reference_s")):
        with pytest.raises(msgspec.ValidationError, match="length"):
            msgspec.convert(with_value(PLAIN, path, [0.1] * 100_001), Record)
    for path in (("notes",), ("sweeps",), ("energy", "cpu_package", "windows")):
        first = PLAIN
        for name in path:
            first = first[name]
        with pytest.raises(msgspec.ValidationError, match="length"):
            msgspec.convert(with_value(PLAIN, path, [first[0]] * 100_001), Record)  # type: ignore[index]
    assert refused_by_both(with_value(PLAIN, ("data", "batches"), 10**9))


def test_a_message_of_any_length_and_bytes_that_are_no_text_make_a_record() -> None:
    for text in ("x" * (MOST_CHARACTERS + 1), "a \udcff path"):
        for reason in (Reason.verbatim(text), Reason.of("no_longer_runs", status="failed", why=text)):
            validated(make_record(notes=[reason]))
    assert str(Reason.verbatim("a \udcff path")) == "a \\udcff path"


@pytest.mark.parametrize("args", [{}, {"seconds": "long"}, {"seconds": None}, {"seconds": [1]}, {"other": 1}])
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_a_reason_with_other_arguments_than_its_sentence_is_shown_as_it_stands(args: dict[str, Any], lang: str) -> None:
    said = Reason("compile_time", args).say(lang)
    assert said.startswith("compile_time")
    assert all(name in said for name in args)


BESIDE = {
    "order": [7, "text", [None], {"a": 1}, ["x" * 2_000]],
    "not_run": [7, "text", {"a": 1}],
    "untimed": [7, "text", {"a": 1}],
    "again": [7, "text", {"a": 1}],
    "selected": [7, "text", [], {"arguments": 7}, {"arguments": [7]}, {"keyword": None}, {"marks": []}],
    "gate": [7, "text", [], {"rejected": "yes"}, {"refusal": 7}],
    "interrupted": [7, "text", [], {}, None],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BESIDE.items() for value in values], ids=repr
)
def test_what_stands_beside_the_records_has_a_definition_too(name: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(as_document([make_record()], {name: value})))
    with pytest.raises(RecordError, match=rf"records.json: blip\.{name}.* does not fit a file of records"):
        read_records(path)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"fullname": 7}, r"benchmarks\[0\].fullname"),
        ({"extra_info": 7}, r"benchmarks\[0\].extra_info"),
        ({"extra_info": {"blip": 7}}, "record 1"),
        ({"extra_info": {"blip": {"schema_version": "x" * 500}}}, "record 1: schema version 'x{39}..."),
    ],
)
def test_a_benchmark_that_is_none_is_named(changed: Any, where: str, tmp_path: Path) -> None:
    document = as_document([make_record()])
    document["benchmarks"][0].update(changed)
    path = tmp_path / "records.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RecordError, match=where) as raised:
        read_records(path)
    assert len(str(raised.value).splitlines()) == 1


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(as_document([make_record()], {"interrupted": True})), encoding="utf-8-sig")
    run = read_run(path)
    assert run.records == [make_record()]
    assert run.document.blip.interrupted


RAW = ["NaN", "Infinity", "1e999", "9" * 5000, '"\\ud800"', "[" * 50_000 + "]" * 50_000]


@pytest.mark.parametrize("raw", RAW, ids=["nan", "infinity", "1e999", "5000 digits", "surrogate", "deep"])
@pytest.mark.parametrize("place", ["model_load_s", "case_id", "environment", "beside"])
def test_json_that_is_none_is_refused_wherever_it_stands(raw: str, place: str, tmp_path: Path) -> None:
    document = copy.deepcopy(as_document([make_record()]))
    part = document if place == "beside" else document["benchmarks"][0]["extra_info"]["blip"]
    part[place] = "HERE"
    path = tmp_path / "records.json"
    path.write_text(json.dumps(document).replace('"HERE"', raw))
    with pytest.raises(RecordError, match=r"records.json cannot be used: it is (no JSON|nested too deeply)"):
        read_records(path)


def test_an_old_sentence_without_end_stays_as_it_is() -> None:
    from blip_fixtures.record.version1 import recognized, recognized_all

    text = "other processes took " + ", ".join(["25 %"] * 20_000)
    assert recognized(text) == Reason.verbatim(text)
    assert recognized_all("; ".join(["it rained"] * 5_000))[0].code == "verbatim"
