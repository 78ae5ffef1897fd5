"""Bad inputs of the commands that run no pytest: report, gate, quality, data and flops."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

from tools.faults.bad_inputs.contents import document, empty_folder, journal, picture, records
from tools.faults.bad_inputs.given import Content, Input

if TYPE_CHECKING:
    from pathlib import Path

_rendering = partial(Input, "Rendering")
_REPORT = "python -m blip_fixtures.report"


def _render(where: str, content: Content, name: str = "records.json") -> Input:
    return _rendering(f"{_REPORT} {name} --out out", where, {name: content})


RENDERING = (
    _rendering(_REPORT),
    _rendering(f"{_REPORT} records.json"),
    _rendering(f"{_REPORT} records.json --out ''", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out out --lang de", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out out --html --history ''", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out out --html --history nowhere", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out out --html=yes", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out out --price-per-hour free", files={"records.json": records()}),
    _rendering(f"{_REPORT} records.json --out taken", "`taken` is a file", {"records.json": records(), "taken": ""}),
    _rendering(f"{_REPORT} nothing.json --out out"),
    _rendering(f"{_REPORT} 'a\x1b[31m.json' --out out"),
    _render("`records.json` is a folder", empty_folder),
    _render("`records.json` is empty", ""),
    _render("`records.json` is cut off", records()[:-100]),
    _render("`records.json` is no text", b"\xff\xfe"),
    _render("`records.json` is nested 50,000 deep", "[" * 50_000 + "]" * 50_000),
    _render("`records.json` is of another program", '{"hello": 1}'),
    _render("`records.json` has no benchmarks", document(benchmarks=[])),
    _render("a record is of schema version 99", records(schema_version=99)),
    _render(
        "a record is of schema version 1 and has nothing else",
        document(benchmarks__0__extra_info={"blip": {"schema_version": 1}}),
    ),
    _render("a record has NaN FLOPs", records(flops__total=float("nan"))),
    _render("a record has an infinite latency", records(latency__median_s=float("inf"))),
    _render("a record has a latency of 1e308 s", records(latency__median_s=1e308)),
    _render("a record has a number for versions", records(environment__versions=1)),
    _render("a record has an integer of 5,000 digits", records(flops__total="DIGITS").replace('"DIGITS"', "9" * 5_000)),
    _render("a record has a status of its own", records(status="splendid")),
    _render("a record is only planned", records(status="planned")),
    _render("a record has half a surrogate", records(case__dataset="a\ud800")),
    _render("`blip.order` is a number", document(blip__order=5)),
    _render("the journal's first line of two is cut off", journal({})[:500] + b"\n" + journal({}), "journal.jsonl"),
    _render(
        "the journal's first line of two is changed", journal({}).replace(b"ok", b"no") + journal({}), "journal.jsonl"
    ),
    _rendering(
        f"{_REPORT} records.json other.json --out out",
        "the files are of two checkpoints",
        {"records.json": records(), "other.json": records(case__model="another")},
    ),
)

_gate = partial(Input, "Gate")
_COMPARE = "python -m blip_fixtures.gate compare"
_SOUND_RECORDS = records()
_BOTH = f"{_COMPARE} --base base.json --now now.json"
_SOUND_SIDES = {"base.json": _SOUND_RECORDS, "now.json": _SOUND_RECORDS}
_BISECT = "python -m blip_fixtures.gate bisect"
_AB = "python -m blip_fixtures.gate ab"


def _compared(where: str, content: Content, options: str = " --fail flops:0%", now: Content = _SOUND_RECORDS) -> Input:
    return _gate(f"{_BOTH}{options}", where, {"base.json": content, "now.json": now})


def _in_repository(where: str, revisions: str, *, dirty: bool = False) -> Input:
    """A repository of two commits, neither of which can be measured."""

    def make(path: Path) -> None:
        identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
        for number in (0, 1):
            (path.parent / "code.py").write_text(f"number = {number}\n")
            for arguments in (("init", "--quiet"), ("add", "code.py"), ("commit", "--quiet", "-m", str(number))):
                subprocess.run(["git", *identity, *arguments], cwd=path.parent, check=True, capture_output=True)
        if dirty:
            (path.parent / "code.py").write_text("number = 2\n")

    return _gate(f"{_BISECT} {revisions} --fail flops:0%", where, {"taken": "", "code.py": make})


GATE = (
    _gate("python -m blip_fixtures.gate"),
    _gate("python -m blip_fixtures.gate weigh"),
    _gate(f"{_COMPARE} --base base.json --fail flops:0%"),
    _gate(f"{_BOTH}"),
    *(
        _compared("", records(), f" --fail {rule}")
        for rule in ("speed:1%", "flops", "flops:many", "flops:5J", "flops:1%@(")
    ),
    _compared("", records(), " --fail flops:0% --fail flops:1%"),
    *(
        _gate(f"{_BOTH} --rules gate.toml", where, {**_SOUND_SIDES, "gate.toml": content})
        for where, content in (
            ("`gate.toml` is no TOML", "limits"),
            ("`gate.toml` has no limit", "# none yet\n"),
            ("`gate.toml` has a table that is none", '[limit]\nflops = "0%"\n'),
            ("`gate.toml` has rules for another machine alone", '[machine.H200]\nflops = "0%"\n'),
        )
    ),
    _gate(f"{_BOTH} --rules gate.toml", "no such files"),
    _compared("", records(), " --fail flops:0%@compile"),
    _compared("", records(), " --fail flops:0% --allow weather"),
    _compared("", records(), " --fail flops:0% --missing ignore"),
    _compared("", records(), " --fail flops:0% --history none.json"),
    _compared("", records(), " --fail flops:0% --out base.json"),
    _gate(f"{_BOTH} --fail flops:0%", "no such files"),
    _compared("`base.json` is cut off", records()[:-100]),
    _compared("`base.json` is of another program", "{}"),
    _compared("a record of the baseline has NaN FLOPs", records(flops__total=float("nan"))),
    _compared("a record of the run has NaN FLOPs", records(), now=records(flops__total=float("nan"))),
    _compared("a record of the baseline has no FLOPs", records(flops=None)),
    _compared(
        "a time to the first token is 0 s", records(phases__time_to_first_token_s=0), " --fail time_to_first_token:5%"
    ),
    _compared("the sides have no case in common", records(case__batch_size=2)),
    _compared("the sides have other prompts", records(case__prompts="seed")),
    _compared("the sides have another machine", records(environment__cpu_model="another")),
    _gate(f"{_AB} --base true --fail flops:0%"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --out ab"),
    _gate(f"{_AB} --base 'exit 3' --now true --fail flops:0% --out ab"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --runs 0"),
    _gate(f"{_AB} --base true --now true --fail latency:10% --until-decided --max-runs 1 --out ab"),
    _gate(f"{_AB} --base true --now true --fail latency:10% --until-decided --max-runs 101 --out ab"),
    _gate(f"{_AB} --base true --now true --fail latency:10% --until-decided --runs 3 --out ab"),
    _gate(f"{_AB} --base true --now true --fail latency:10% --max-runs 9 --out ab"),
    _gate(f"{_AB} --base true --now true --fail latency:10% --until-decided --out ab"),
    _gate(f"{_BISECT} --good a --bad b"),
    _gate(f"{_BISECT} --good a --fail flops:0%"),
    _gate(f"{_BISECT} --good a --bad b --fail latency:5% --max-runs 1"),
    _gate(f"{_BISECT} --good a --bad b --fail flops:0% --allow weather"),
    _gate(f"{_BISECT} --good a --bad b --fail flops:0% --missing ignore"),
    _gate(f"{_BISECT} --good a --bad b --fail flops:0% --history none.json"),
    _gate(f"{_BISECT} --good a --bad b --rules none.toml"),
    _gate(f"{_BISECT} --good a --bad b --fail flops:0%", "the folder is in no git repository"),
    _in_repository("", "--good HEAD~9 --bad HEAD"),
    _in_repository("", "--good HEAD --bad HEAD~1"),
    _in_repository("", "--good HEAD --bad HEAD"),
    _in_repository("`code.py` has changes that no commit holds", "--good HEAD~1 --bad HEAD", dirty=True),
    _in_repository("`taken` is a file", "--good HEAD~1 --bad HEAD --out taken"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --out taken", "`taken` is a file", {"taken": ""}),
    _gate(f"{_AB} --base true --now true --fail speed:1% --out ab"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --allow weather"),
    _gate(f"{_AB} --base true --now true --rules none.toml --out ab"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --missing ignore"),
    _gate(f"{_AB} --base true --now true --fail flops:0% --history none.json --out ab"),
)

_quality = partial(Input, "Quality")
_QUALITY = "python -m blip_fixtures.quality"
_SOUND = {"prediction": "a", "answers": ["a"] * 10}


def _predicted(where: str, line: Any, dataset: str = "textvqa") -> Input:
    text = line if isinstance(line, (str, bytes)) else json.dumps(line) + "\n"
    return _quality(f"{_QUALITY} {dataset} predictions.jsonl", where, {"predictions.jsonl": text})


_CERTIFY = f"{_QUALITY} certify"
_XL = "Salesforce/instructblip-flan-t5-xl"


def _certified(where: str, content: Content, model: str = "instructblip-tiny") -> Input:
    return _quality(f"{_CERTIFY} {model} records.json", where, {"records.json": content})


QUALITY = (
    _quality(_QUALITY),
    _quality(f"{_QUALITY} vqa predictions.jsonl"),
    _quality(f"{_QUALITY} textvqa none.jsonl"),
    _quality(f"{_QUALITY} textvqa predictions.jsonl --prompts mine", files={"predictions.jsonl": json.dumps(_SOUND)}),
    _quality(f"{_QUALITY} textvqa predictions.jsonl", "the file is a folder", {"predictions.jsonl": empty_folder}),
    _predicted("the file is empty", ""),
    _predicted("the file is no text", b"\xff\xfe\n"),
    _predicted("a line is no JSON", "nonsense\n"),
    _predicted("a line is no object", "[1]\n"),
    _predicted("a line is nested 50,000 deep", "[" * 50_000 + "]" * 50_000 + "\n"),
    _predicted("a line has no prediction", {"answers": ["a"] * 10}),
    _predicted("a prediction is a number", {**_SOUND, "prediction": 1}),
    _predicted("a line has nine answers", {**_SOUND, "answers": ["a"] * 9}),
    _predicted("a line's answers are a text", {**_SOUND, "answers": "a"}),
    _predicted("a line has half a surrogate", {**_SOUND, "prediction": "\ud800"}),
    _predicted(
        "an answer is none of its choices", {"prediction": "a", "choices": ["a", "b"], "answer": 2}, "scienceqa"
    ),
    _predicted(
        "a line has 27 options", {"prediction": "a", "choices": [f"{n}" for n in range(27)], "answer": 0}, "scienceqa"
    ),
    _predicted("a line's captions are empty", {"prediction": "a", "answer": []}, "coco"),
    _quality(_CERTIFY),
    _quality(f"{_CERTIFY} {_XL}"),
    _quality(f"{_CERTIFY} {_XL} nothing.json"),
    _quality(f"{_CERTIFY} '' records.json", files={"records.json": records()}),
    _certified("the records are of another checkpoint", records(), _XL),
    _certified("the model is misspelt", records(case__model=_XL), "Salesforce/instructblip-flan-t5-x1"),
    _certified("the records have no quality", records(quality={})),
    _certified("`records.json` is cut off", records()[:-100]),
    _certified("`records.json` is of another program", '{"hello": 1}'),
    _certified("a score is NaN", records(quality__wer__value=float("nan"))),
    _certified("an interval was made in a way of its own", records(quality__wer__interval_method="guess")),
)

_data = partial(Input, "Own data")
_DATA = "python -m blip_fixtures.data"
_MAKE = f"{_DATA} make-folder --images images --questions questions.json --out out --dataset"
_ENTRY = {"image": "a.png", "question": "what does it say?", "answer": "stop"}


def _made(where: str, entries: Any, dataset: str = "textvqa", **files: Content) -> Input:
    text = entries if isinstance(entries, (str, bytes)) else json.dumps(entries)
    images = {"images/a.png": lambda path: path.write_bytes(picture())}
    return _data(f"{_MAKE} {dataset}", where, {**images, "questions.json": text, **files})


OWN_DATA = (
    _data(_DATA),
    _data(f"{_DATA} make-folder --dataset textvqa"),
    _data(f"{_MAKE} vqa"),
    _data(f"{_MAKE} textvqa", "no `questions.json`"),
    _made("`questions.json` is no JSON", "nonsense"),
    _made("`questions.json` is no text", b"\xff\xfe"),
    _made("`questions.json` is an empty list", []),
    _made("`questions.json` is an object", {"a": 1}),
    _made("an entry is a number", [1]),
    _made("an entry has no picture", [{**_ENTRY, "image": None}]),
    _made("an entry's picture is not there", [{**_ENTRY, "image": "none.png"}]),
    _made("an entry's picture lies elsewhere", [{**_ENTRY, "image": "../questions.json"}]),
    _made("an entry's picture is a number", [{**_ENTRY, "image": 1}]),
    _made("an entry's picture is a text", [_ENTRY], **{"images/a.png": "no picture"}),
    _made("an entry has no question", [{**_ENTRY, "question": ""}]),
    _made("an entry has no answer", [{"image": "a.png", "question": "what?"}]),
    _made("an answer is none of its choices", [{**_ENTRY, "choices": ["go", "left"]}], "scienceqa"),
    _made("`out` is a file", [_ENTRY], out=""),
    _made("`out/textvqa` has a file", [_ENTRY], **{"out/textvqa/old.parquet": ""}),
)

_flops = partial(Input, "FLOPs")
_FLOPS = "python -m blip_fixtures.flops"
_COUNTED = (
    *("--batch-size 0", "--image-size 225", "--image-size wide", "--text-tokens 513", "--qformer-tokens 0"),
    *(
        "--new-tokens -1",
        f"--new-tokens {'9' * 5000}",
        "--beams 1.5",
        "--beams 1000000",
        "--revision v1",
        "--revision ''",
    ),
)

FLOPS = (
    _flops(_FLOPS),
    _flops(f"{_FLOPS} nothing"),
    _flops(f"{_FLOPS} instructblip-tny"),
    _flops(f"{_FLOPS} nobody/nothing", "no network"),
    _flops(f"{_FLOPS} ''"),
    _flops(f"{_FLOPS} .", "no `config.json`"),
    _flops(f"{_FLOPS} instructblip-tiny --jsn"),
    *(_flops(f"{_FLOPS} instructblip-tiny {option}") for option in _COUNTED),
)
