"""`python -m blip_fixtures.flops`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.flops import main

XL = "Salesforce/instructblip-flan-t5-xl"


def test_the_full_size_model_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "blip_fixtures.flops", XL]
    sizes = ["--batch-size", "1", "--image-size", "224", "--text-tokens", "13", "--new-tokens", "50"]
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=True)
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:6])
    assert rows["total"].split() == ["801.7", "G", "100.0%"]
    assert {"vision", "qformer", "prefill", "decode"} < rows.keys()
    assert sum(float(rows[name].split()[0]) for name in rows if name != "total") == pytest.approx(801.7, abs=0.3)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["instructblip-tiny", "--batch-size", "2", "--new-tokens", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shape"] == {
        "batch_size": 2,
        "image_size": 224,
        "qformer_tokens": 13,
        "text_tokens": 13,
        "steps": 1,
        "beams": 1,
    }
    assert found["total"] == found["vision"] + found["qformer"] + found["prefill"] > 0
    assert found["decode"] == 0


def test_tokens_of_the_qformer_count_there_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def count(*arguments: str) -> dict[str, float]:
        assert main(["instructblip-tiny", "--json", *arguments]) == 0
        found: dict[str, float] = json.loads(capsys.readouterr().out)
        return found

    few, many = count(), count("--qformer-tokens", "100")
    assert many["qformer"] > few["qformer"]
    assert [many[name] for name in ("vision", "prefill", "decode")] == [
        few[name] for name in ("vision", "prefill", "decode")
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing"], "unknown checkpoint 'nothing': it is neither a folder nor a hub id (owner/name); give one of"),
        (["."], "checkpoint '.' has no config.json in .; give a folder that save_pretrained wrote"),
        ([XL, "--batch-size", "0"], "--batch-size is 0; give a whole number of at least 1"),
        ([XL, "--text-tokens", "0"], "--text-tokens is 0; give a whole number of at least 1"),
        ([XL, "--new-tokens", "-1"], "--new-tokens is -1; give a whole number of at least 1"),
        (
            [XL, "--image-size", "225"],
            "image size 225 is not a multiple of the 14 pixel patches of Salesforce/instru",
        ),
        (
            [XL, "--text-tokens", "513"],
            "sequence length 513 is above the 512 positions of the Q-Former of Salesforce/inst",
        ),
    ],
)
def test_bad_input(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {complaint}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_line_for_each_checkpoint_of_the_catalog(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them: each takes two seconds."""
    some = {name: CATALOG[name] for name in ("Salesforce/instructblip-vicuna-7b", "Salesforce/blip2-opt-2.7b-coco")}
    monkeypatch.setattr("blip_fixtures.flops.CATALOG", some)
    assert main(["catalog", "--new-tokens", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:-1]}
    assert rows.keys() == some.keys()
    assert rows["Salesforce/blip2-opt-2.7b-coco"][0] == "364"
    for name, (_, *phases, total) in rows.items():
        assert sum(float(each.replace(",", "")) for each in phases) == pytest.approx(
            float(total.replace(",", "")), abs=0.3
        ), name


def test_a_q_former_that_reads_no_text_has_no_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["Salesforce/blip2-opt-2.7b", "--new-tokens", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"]["qformer_tokens"] == 0
    assert main(["Salesforce/blip2-opt-2.7b", "--text-tokens", "2000"]) == 2
    assert "is above the 1966 positions of OPT (query tokens and answer apart)" in capsys.readouterr().err
