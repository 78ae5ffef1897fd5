"""Which texts lose what, and which stay as they are."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.privacy import (
    HIDDEN,
    anonymized,
    command_line,
    commit_facts,
    leaves,
    machine_facts,
    without_credentials,
    without_secrets,
)
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record, as_plain, shown
from tests.planted import REMOTE, TOKENS, USER, VARIABLES
from tests.unit.records import make_record

HOME = f"/home/{USER}"
ENVIRONMENT = {**VARIABLES, "HOME": HOME, "USER": USER, "PATH": "/usr/bin", "TOKENIZERS_PARALLELISM": "disabled"}
# A value of each place that names one; {} is where it stands.
PLACES = (
    "pytest --hub-token {} --lf",
    "pytest --hub-token={} --lf",
    "pytest --hub-token='{}' --lf",
    "-o api_key={}",
    "TOKEN={} pytest",
    "MY_PASSWORD={}",
    "https://hub.example/api?access_token={}",
    "https://someone:{}@hub.example/api",
    "https://{}@hub.example/api",
    "git+ssh://git:{}@hub.example/x.git",
    "someone:{}@hub.example:x.git",
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    "{{'authorization': 'Bearer {}'}}",
    '{{"password": "{}"}}',
    "clientSecret={}",
)
KEPT = (
    "pytest benchmarks --blip-new-tokens=50 --blip-new-tokens fixed:50 --blip-limit 8",
    "latency:5%@compile",
    "time_to_first_token:5% can be judged in no case",
    "python -m blip_fixtures.gate compare --fail time_to_first_token:250us --out gate",
    "latency:7.5%@compile and batch01",
    "Salesforce/instructblip-flan-t5-xl@main",
    "new_tokens=50, text_tokens 13, tokens: 200",
    "image_token_index=4 and pad_token_id=0",
    "the tokenizer has no padding token: choose another one",
    "https://huggingface.co/Salesforce/instructblip-flan-t5-xl",
    "hf_hub_download, hf_transfer, sk-learn, task-parallelism, AKIA",
    "disabled",
    "textvqa-cpu-fp16-batch01-image0224-seq200",
    "/sys/class/powercap/intel-rapl:0",
    "1.5 J/sample, 3:2, 50 %",
    "",
)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_name_calls_a_secret(place: str) -> None:
    told = without_credentials(place.format("planted0value"), {})
    assert "planted0value" not in told
    assert HIDDEN in told


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("text", ["{}", "at {} now", "'{}'", "x={}", "(https://hub.example/{})", "{},"])
def test_what_looks_like_a_token(token: str, text: str) -> None:
    assert token not in without_credentials(text.format(token), {})


@pytest.mark.parametrize("name", VARIABLES)
def test_values_of_variables(name: str) -> None:
    value = VARIABLES[name]
    for text in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
        assert text not in without_credentials(f"no answer to x{text}x", VARIABLES)


@pytest.mark.parametrize("text", KEPT)
@pytest.mark.parametrize("show", [without_credentials, without_secrets])
def test_what_is_no_secret_stays(text: str, show: object) -> None:
    assert callable(show)
    assert show(text, ENVIRONMENT) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HOME}/models/mine", "~/models/mine"),
        (HOME, "~"),
        (f"cannot read {HOME}/x.parquet, row 3", "cannot read ~/x.parquet, row 3"),
        (f"file://{HOME}/x", "file://~/x"),
        (f"{HOME}2/x", f"{HOME}2/x"),
        (f"/mnt{HOME}/x", "/mnt/home/~/x"),
        (f"/data/{USER}/x", "/data/~/x"),
        (f"/tmp/pytest-of-{USER}/x", "/tmp/pytest-of-~/x"),
        (f"ssh {USER}@host", "ssh ~@host"),
        # An owner on the hub is known there by that name.
        (f"{USER}/instructblip", f"{USER}/instructblip"),
    ],
)
def test_home_and_user(text: str, told: str) -> None:
    assert without_secrets(text, ENVIRONMENT) == told


@pytest.mark.parametrize("home", ["", "/", "/tmp", "/dev/null", "/sys", "/proc/none", "relative"])
def test_a_home_that_is_nobodys_stands_for_nothing(home: str) -> None:
    text = f"/dev/null /sys/class /proc/none/x /tmp/x relative {home}"
    assert without_secrets(text, {"HOME": home}) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/data/models/mine", "mine"),
        ("/data/my models/mine", "mine"),
        (f"{HOME}/models/mine", "mine"),
        ("reports/local", "reports/local"),
        ("owner/name", "owner/name"),
        ("cannot read /data/x/y.parquet, row 3: no picture", "cannot read y.parquet, row 3: no picture"),
        ("'/data/my x/y.parquet' is no folder", "'y.parquet' is no folder"),
        ("no tree at /sys/class/powercap: a virtual machine", "no tree at /sys/class/powercap: a virtual machine"),
        ("https://hub.example/a/b", "https://hub.example/a/b"),
        ("lost on planted-host.corp.example", f"lost on {HIDDEN}"),
        ("lost on planted-host", f"lost on {HIDDEN}"),
        ("planted-hostess", "planted-hostess"),
    ],
)
def test_anonymous(text: str, told: str) -> None:
    assert anonymized(text, ENVIRONMENT, "planted-host.corp.example") == told


def test_a_command_line_of_arguments_with_spaces() -> None:
    arguments = ["pytest", "--hub-token", "two words", "--x=password=two words", "--api-key=two words", "-k", "a and b"]
    assert (
        command_line(arguments) == f"pytest --hub-token {HIDDEN} --x=password={HIDDEN} --api-key={HIDDEN} -k 'a and b'"
    )


def test_a_command_line_without_secrets_is_as_a_shell_wants_it() -> None:
    arguments = ["pytest", "benchmarks", "-k", "a or b", "--blip-compare-fail", "latency:5%@compile", "it's", "$x", ""]
    assert command_line(arguments) == shlex.join(arguments)


@given(st.text())
def test_any_text_is_shown_once_and_for_all(text: str) -> None:
    """Twice is as once: a record may go through on its way to a record, and to the document."""
    told = without_secrets(text, ENVIRONMENT)
    assert without_secrets(told, ENVIRONMENT) == told


@pytest.mark.parametrize("text", ["a." * 50_000, "/a" * 50_000, "a:b@" * 50_000, "--a 'b" * 20_000, "=" * 100_000])
def test_a_long_text_takes_no_time(text: str) -> None:
    """Linear: a second would be a hundred times what it takes."""
    anonymized(text, ENVIRONMENT, "host")


@pytest.mark.parametrize(
    ("project", "told"),
    [("pytest-blip", "pytest-blip"), ("oauth2:glpat-abcdefghij@git.example", "git.example"), ("a@b", "b")],
)
def test_a_project_that_is_the_whole_remote(project: str, told: str) -> None:
    assert commit_facts({"project": project}, anonymous=False)["project"] == told


def test_a_commit_and_a_machine() -> None:
    commit = {"id": "abc", "dirty": True, "branch": "main", "project": "p", "error": f"no {REMOTE} in {HOME}"}
    assert "planted-remote-pw" not in commit_facts(commit, anonymous=False)["error"]
    assert commit_facts(commit, anonymous=True) == {"id": None, "dirty": True, "branch": None, "project": None}
    machine = {"node": "box", "cpu": {"count": 4, "brand": "X"}, "python_build": ("main", "2026")}
    assert machine_facts(machine, anonymous=False) == machine
    assert machine_facts(machine, anonymous=True) == {**machine, "node": None}


def texts_of(value: object) -> list[str]:
    """Every text in a plain value, keys left out."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [text for item in inner for text in texts_of(item)]


def planted_everywhere(value: object, secret: str) -> object:
    """The value with the secret in each text that is not one of a closed set's words."""
    if isinstance(value, msgspec.Struct):
        fields = {name: planted_everywhere(getattr(value, name), secret) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, dict):
        return {key: planted_everywhere(item, secret) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(planted_everywhere(item, secret) for item in value)
    return f"{value} {secret}" if type(value) is str else value


def test_every_text_of_a_record_but_its_answers() -> None:
    record = msgspec.structs.replace(
        make_record(),
        reason=Reason("error", {"message": ["a", {"b": "c"}], "kind": "d"}),
        notes=(Reason("verbatim", {"text": "e"}, "limit"),),
        missing={"energy": Reason("verbatim", {"text": "f"})},
        applied={"layers": ["g", {"h": "i"}]},
        predictions=("j",),
    )
    planted = planted_everywhere(record, TOKENS[0])
    assert isinstance(planted, Record)
    assert len(texts_of(msgspec.to_builtins(planted))) > 40
    told = shown(planted, without_secrets)
    assert told.predictions == planted.predictions
    left = msgspec.structs.replace(told, predictions=())
    assert [text for text in texts_of(msgspec.to_builtins(left)) if TOKENS[0] in text] == []


def test_a_record_without_secrets_is_itself() -> None:
    record = make_record()
    assert shown(record, without_secrets) is record


def test_answers_are_in_a_document_what_they_are_in_the_journal() -> None:
    """An answer may look like a secret; a file that changes it holds another answer than was scored."""
    record = as_plain(make_record(predictions=["api_key=abc123xyz", "a cat"]))
    found = leaves({"benchmarks": [{"name": "api_key=abc123xyz", "extra_info": {"blip": record}}]}, without_secrets)
    (bench,) = found["benchmarks"]
    assert bench["extra_info"]["blip"]["predictions"] == record["predictions"]
    assert bench["name"] == "api_key=***"


def test_leaves_keep_keys_numbers_and_kinds() -> None:
    value = {"a": ["x", 1, None, True, 1.5], "b": ("x",), "x": {}}
    assert leaves(value, str.upper) == {"a": ["X", 1, None, True, 1.5], "b": ("X",), "x": {}}


def test_a_reason_made_of_an_exception() -> None:
    reason = Reason.of("error", kind="OSError", message=OSError(f"no answer from {REMOTE}"))
    assert reason.args["message"] == f"no answer from https://{HIDDEN}@git.example"
