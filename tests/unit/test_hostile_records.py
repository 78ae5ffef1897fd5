"""A hostile text in every field of a record, and hostile values in every place: each output is read."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from blip_fixtures.gate.__main__ import main as gate
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record, as_plain
from blip_fixtures.report.__main__ import main as report
from blip_fixtures.report.plots import Drawn
from blip_fixtures.report.render.terminal import terminal_lines
from tests.unit.hostile import HOSTILE, texts_of, with_value
from tests.unit.records import make_energy, make_latency, make_metric, make_not_run, make_record
from tests.unit.sides import as_document
from tools.faults.hostile_records import Findings, fault_of_characters, fault_of_terminal, trials

GITHUB = MarkdownIt("gfm-like", {"linkify": False})
# What the document itself never has.
FOREIGN_TOKENS = {
    "html_inline",
    "em_open",
    "s_open",
    "blockquote_open",
    "ordered_list_open",
    "code_block",
    "hr",
}
CLOSED = {"weights", "status", "bound_by", "model"}
RULES = ["--fail=latency:10%", "--fail=flops:0%", "--fail=memory:5%", "--fail=quality:1", "--fail=energy:5%"]


def full_record(**overrides: Any) -> Any:
    """A record with something in every field."""
    return make_record(
        sweeps=["optimization", "my_sweep"],
        latency=make_latency(conditions=[{"sm_clock_mhz": 1980, "said": "idle"}]),
        throughput={"samples_per_s": 5.0, "tokens_per_s": 50.0},
        energy={
            "cpu_package": make_energy(
                status="degraded",
                reason=Reason.verbatim("the fan was loud"),
                further_reasons=[Reason.verbatim("it rained")],
                windows=[{"joules": 1.0, "error_bound_j": 0.1, "window_s": 1.0, "samples": 4, "tokens": 9}],
                conditions=[{"load_average": [1.0], "governor": "powersave"}],
            )
        },
        quality={"wer": make_metric(0.5), "vqa_accuracy": make_metric(0.5, per_sample=[1, 0, 1, 0], interval=(0, 1))},
        predictions=["a dog", "two"],
        model_load_s=3.0,
        limit={"products_per_s": {"a kernel": 1e12}, "share": 0.5},
        data={"source": "a folder", "revision": "0123456789abcdef"},
        generation={"prompt_parts": ["Question: "], "num_beams": 5},
        applied={"dtype": "torch.float32", "attention": {"vision": "sdpa"}, "kept": ["query_tokens"]},
        environment={"gpus": ["NVIDIA H100"], "gpu_driver": "550", "rack": {"name": "a"}},
        notes=[Reason("no_such_code", {"why": "because"}), Reason.verbatim("slow", scope="latency")],
        missing={"phases.sum_s": "not measured"},
        phases={"sum_s": None},
        **overrides,
    )


def full_document() -> dict[str, Any]:
    records = [full_record(), full_record(optimization="compile"), make_not_run(optimization="int8", sweeps=["device"])]
    beside = {
        "order": [record.case_id for record in records],
        "selected": {"arguments": ["benchmarks"], "keyword": "a", "marks": "b"},
        "gate": {"refusal": "none", "by": "nobody"},
    }
    return as_document(records, beside)


DOCUMENT = full_document()
PLACES = list(texts_of(DOCUMENT))


def keys_of(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The mappings of a record whose keys are free."""
    free = ("versions", "environment", "applied", "attention", "quality", "missing", "args", "products_per_s", "host")
    if isinstance(part, dict):
        below = [found for name, value in part.items() for found in keys_of(value, (*path, name))]
        return [path, *below] if path and path[-1] in free else below
    if isinstance(part, list):
        return [found for index, value in enumerate(part) for found in keys_of(value, (*path, index))]
    return []


def variants() -> dict[str, dict[str, Any]]:
    """The document with the text in one field or key after the other, each field once, and in all of them at once."""
    found: dict[str, dict[str, Any]] = {}
    for path in PLACES:
        name = ".".join(str(part) for part in path if not isinstance(part, int))
        found.setdefault(name, with_value(DOCUMENT, path, HOSTILE))
    for path in keys_of(DOCUMENT):
        name = ".".join(str(part) for part in path if not isinstance(part, int))
        if name + " (key)" not in found:
            part: Any = DOCUMENT
            for step in path:
                part = part[step]
            for first in list(part.values())[:1]:
                found[name + " (key)"] = with_value(DOCUMENT, path, {**part, HOSTILE: first})
    together = DOCUMENT
    for path in PLACES:
        candidate = with_value(together, path, HOSTILE)
        if _is_free(path):
            together = candidate
    return {**found, "all at once": together}


def _is_free(path: tuple[Any, ...]) -> bool:
    closed = {
        "weights",
        "status",
        "device",
        "bound_by",
        "fullname",
        "case_id",
        "order",
        "model",
        "keyword",
        "arguments",
    }
    return not closed & set(path)


VARIANTS = variants()


@pytest.fixture(autouse=True)
def _plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.report.document.draw_plots", lambda _selection, _prose: Drawn({}, {}))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def kinds(text: str) -> tuple[Counter[str], list[str]]:
    """How many tokens of each kind a reader sees, and the headings."""
    tokens = GITHUB.parse(text)
    flat = [inner for token in tokens for inner in (token.children if token.children is not None else [token])]
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    return Counter(token.type for token in flat), headings


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_the_document_shows_it_and_does_nothing_of_it(
    name: str, lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "records.json", tmp_path / "out"
    path.write_text(json.dumps(VARIANTS[name]))
    code = report([str(path), f"--out={out}", f"--lang={lang}"])
    printed = capsys.readouterr()
    assert fault_of_terminal(printed.out) is None
    assert fault_of_terminal(printed.err) is None
    # Closed sets are refused; so are two checkpoints in one document, and a record that no version is known of.
    assert (code == 2) == bool(CLOSED & set(name.split(".")))
    if code == 2:
        assert len(printed.err.splitlines()) == 1
        assert not out.exists()
        return
    assert code == 0
    assert {file.relative_to(out).as_posix() for file in out.rglob("*")} <= {"README.md", "plots"}
    text = (out / "README.md").read_text(encoding="utf-8")
    assert fault_of_characters(text) is None
    seen, headings = kinds(text)
    assert not FOREIGN_TOKENS & set(seen)
    assert "h" not in headings
    # Pictures are the document's own, and so are its blocks of commands.
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == seen["image"]
    assert seen["fence"] == text.count("\n```console\n")
    # So are the appendix, which a reader opens, and links within it.
    assert seen["html_block"] == 2
    assert seen["link_open"] == len(re.findall(r"\[\w+ Tests\]\(#\w+-tests\)", text))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_gate_shows_it_and_does_nothing_of_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(DOCUMENT))
    bad.write_text(json.dumps(VARIANTS[name]))
    for base, now in ((good, bad), (bad, good)):
        for rule in RULES:
            out = tmp_path / "out"
            code = gate(["compare", "--base", str(base), "--now", str(now), rule, f"--out={out}"])
            printed = capsys.readouterr()
            assert code in (0, 1, 4)
            commands = [line for line in printed.out.splitlines() if line.lstrip().startswith("::") or "##[" in line]
            assert all(re.match(r"::(error|warning) title=[^:,]*::", line) for line in commands)
            assert fault_of_characters(printed.out) is None
            assert fault_of_terminal(printed.err) is None
            assert len(printed.err.splitlines()) == (1 if code == 4 else 0)
            for page in (out / "gate.md", summary):
                if page.exists():
                    text = page.read_text(encoding="utf-8")
                    assert fault_of_characters(text) is None
                    seen, headings = kinds(text)
                    assert not FOREIGN_TOKENS & set(seen)
                    assert set(headings) <= {"Gate"}
                    assert not {"image", "fence"} & set(seen)


def test_the_terminal_shows_it_and_does_nothing_of_it() -> None:
    plain = as_plain(full_record())
    shown = 0
    for path in texts_of(plain):
        try:
            changed = msgspec.convert(with_value(plain, path, HOSTILE), Record)
        except msgspec.ValidationError:
            continue
        shown += 1
        for line in terminal_lines([changed]):
            assert fault_of_terminal(line) is None
            assert "\n" not in line
    assert shown > 40


FOUND = [
    # What the first campaign found on a tree that refused most of it already.
    (("limit", "bytes_per_s"), {}),
    (("limit", "own_bytes_per_s"), {}),
    (("latency", "reference_s"), [5e-324] * 5),
    (("phases", "time_to_first_token_s"), 5e-324),
    (("latency",), None),
]


@pytest.mark.parametrize(("path", "value"), FOUND, ids=lambda part: str(part)[:30])
def test_what_a_campaign_found_stays_mended(path: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(DOCUMENT))
    document = DOCUMENT
    for number in range(len(DOCUMENT["benchmarks"])):
        document = with_value(document, ("benchmarks", number, "extra_info", "blip", *path), value)
    bad.write_text(json.dumps(document))
    assert report([str(bad), f"--out={tmp_path / 'out'}"]) == 0
    for base, now in ((good, bad), (bad, good)):
        for rule in ("latency:10%", "time_to_first_token:10%"):
            assert gate(["compare", "--base", str(base), "--now", str(now), f"--fail={rule}"]) in (0, 1, 4)


def test_hostile_values_in_any_place_end_in_a_result_or_in_one_sentence() -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    findings = Findings()
    trials(150, seed, findings, plot_every=40)
    assert not findings.faults
