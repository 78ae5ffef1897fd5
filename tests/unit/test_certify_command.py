"""`python -m blip_fixtures.quality certify`: records in, a table or JSON out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.quality.__main__ import main
from blip_fixtures.record import Record
from tests.unit.certificates import RIGHT, XL, answered
from tests.unit.records import envelope, make_record


def write(path: Path, *records: Record) -> str:
    path.write_text(json.dumps(envelope(records)), encoding="utf-8")
    return str(path)


def test_a_reproduced_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "records.json", answered(model="/models/instructblip-flan-t5-xl"))
    assert main(["certify", XL, file]) == 0
    title, _, _, row, source = capsys.readouterr().out.splitlines()
    assert title == f"Certificate of {XL}, from records of /models/instructblip-flan-t5-xl"
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "scienceqa",
        "accuracy",
        "scienceqa-cpu-fp32-batch01-image0224-seq200",
        "70.4",
        "70.4 [68.4, 72.4]",
        "2,017",
        "reproduced",
    ]
    assert source.startswith("scienceqa accuracy 70.4 is published in: Dai et al. 2023")


def test_a_score_that_is_not_reproduced_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "records.json", answered(RIGHT - 100), answered(prompts="paper"))
    assert main(["certify", XL, file, "--json"]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["model"], found["records_of"]) == (XL, [XL])
    other, refused = found["rows"]
    assert (other["verdict"], other["published"]["score"]) == ("not_reproduced", 70.4)
    assert other["published"]["value"] == pytest.approx(0.704)
    assert other["difference"] == pytest.approx(1320 / 2017 - 0.704)
    assert other["interval_method"] == "wilson"
    assert refused["verdict"] == "no_verdict"
    assert refused["reasons"][0]["code"] == "other_prompts"


def test_cases_with_the_same_reason_stand_in_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "records.json", *(answered(prompts="seed", batch_size=size) for size in (1, 2, 4)))
    assert main(["certify", XL, file]) == 0
    said = capsys.readouterr().out
    assert "| 3 cases |" in said
    assert "scienceqa, 3 cases, accuracy: its prompts are seed; the score was published for those of" in said


def test_the_packaged_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "reports" / "published" / "instructblip-tiny"
    assert main(["certify", "instructblip-tiny", str(folder / "records.json")]) == 0
    assert capsys.readouterr().out.count("no published score") == 3


def test_records_of_other_checkpoints_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "records.json", make_record(), answered())
    assert main(["certify", XL, file]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "reproduced" in said[3]
    assert said[-1] == "Records of other checkpoints are left out: instructblip-tiny."
    assert main(["certify", XL, file, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["left_out"], len(found["rows"])) == (["instructblip-tiny"], 1)


@pytest.mark.parametrize(
    ("model", "record", "said"),
    [
        (
            "Salesforce/instructblip-flan-t5-xll",
            answered(),
            f"the records are of '{XL}', not of 'Salesforce/instructblip-flan-t5-xll'; give those of one checkpoint; "
            f"did you mean {XL}?",
        ),
        (XL, make_record(), f"the records are of 'instructblip-tiny', not of '{XL}'; give those of one checkpoint"),
        (
            "instructblip-tiny",
            make_record(quality={}),
            "the records hold no quality figures; measure with --blip-measure quality, or give other records",
        ),
    ],
)
def test_records_that_are_no_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, record: Record, said: str
) -> None:
    assert main(["certify", model, write(tmp_path / "records.json", record)]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", XL, str(tmp_path / "none.json")]) == 2
    assert "does not exist; give a records.json or journal.jsonl that a run wrote" in capsys.readouterr().err


def test_what_a_record_says_does_nothing_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "records.json", answered(prompts="a\x1b[31mb\u202e"))
    assert main(["certify", XL, file]) == 0
    assert "its prompts are ab;" in capsys.readouterr().out


def test_the_help_tells_of_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["certify", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "usage: python -m blip_fixtures.quality [-h] [--prompts PRESET] DATASET FILE.jsonl Scores" in said
    assert "Another command: python -m blip_fixtures.quality certify MODEL RECORDS..." in said
    assert "usage: python -m blip_fixtures.quality certify [-h] [--json]" in said
