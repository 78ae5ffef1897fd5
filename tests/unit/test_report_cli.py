from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from blip_fixtures.record import as_plain, read_records
from blip_fixtures.report.__main__ import main
from tests.unit.records import envelope, make_energy, make_latency, make_record, small_run

REPORTS = Path(__file__).parents[2] / "reports"
SEED = REPORTS / "seed" / "instructblip-flan-t5-xl.json"
PUBLISHED = REPORTS / "published" / "instructblip-flan-t5-xl" / "records.json"


@pytest.fixture
def records_json(tmp_path: Path) -> Path:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(envelope(small_run())), encoding="utf-8")
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused call prints."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    return line


def test_renders_a_run(records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(records_json), "--out", str(tmp_path / "deep" / "out")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'deep' / 'out' / 'README.md'}\n"
    assert (tmp_path / "deep" / "out" / "plots" / "latency_energy_plot.png").stat().st_size > 10_000


def test_renders_russian_prose(records_json: Path, tmp_path: Path) -> None:
    assert main([str(records_json), "--out", str(tmp_path / "out"), "--lang", "ru"]) == 0
    assert "Примечания" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_renders_the_seed(tmp_path: Path) -> None:
    assert main([str(SEED), "--out", str(tmp_path)]) == 0
    assert "| GPU    | 0.299   | 43.441   | 801.5 G |" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert len(list((tmp_path / "plots").iterdir())) == 4


def test_renders_a_journal_with_a_torn_last_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    lines = [json.dumps(as_plain(record)) for record in small_run()]
    journal.write_text("\n".join([*lines, lines[0][:50]]), encoding="utf-8")
    assert main([str(journal), "--out", str(tmp_path / "out")]) == 0


def test_merges_machines_into_one_row_per_device(tmp_path: Path) -> None:
    for name in ("H100", "H200"):
        record = make_record(device="cuda:0", device_name=f"NVIDIA {name}")
        (tmp_path / f"{name}.json").write_text(json.dumps(envelope([record])), encoding="utf-8")
    assert main([str(tmp_path / "H100.json"), str(tmp_path / "H200.json"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| GPU (NVIDIA H100) |" in text
    assert "| GPU (NVIDIA H200) |" in text


def test_a_file_of_the_first_schema_merges_with_one_of_the_present(tmp_path: Path) -> None:
    assert '"schema_version": 1' in PUBLISHED.read_text(encoding="utf-8")
    (cpu,) = [record for record in read_records(PUBLISHED) if "device" in record.sweeps]
    gpu = replace(
        cpu,
        case=replace(cpu.case, device="cuda:0", device_name="NVIDIA H100"),
        latency=make_latency([0.123]),
        energy={"gpu": make_energy(2.5)},
    )
    path = tmp_path / "records.json"
    path.write_text(json.dumps(envelope([gpu])), encoding="utf-8")
    for name, files in (("there", (PUBLISHED, path)), ("back", (path, PUBLISHED))):
        assert main([*map(str, files), "--out", str(tmp_path / name)]) == 0
        text = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        table = text.partition("| Device | Latency |")[2].splitlines()[2:4]
        assert [line.split("|")[1].strip() for line in table] == ["GPU", "CPU"]
        assert table[0].startswith("| GPU    | 0.123   | 2.500    |")


def test_of_the_same_case_in_two_files_the_last_wins(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        records = [make_record(latency=make_latency([seconds]))]
        (tmp_path / f"{name}.json").write_text(json.dumps(envelope(records)), encoding="utf-8")
    for order, shown in (("ab", "2.000"), ("ba", "1.000")):
        assert main([*(str(tmp_path / f"{name}.json") for name in order), "--out", str(tmp_path / order)]) == 0
        assert f"| CPU    | {shown}   |" in (tmp_path / order / "README.md").read_text(encoding="utf-8")


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, tmp_path / "nothing.json", "--out", tmp_path / "out")
    assert "nothing.json does not exist; give a records.json or journal.jsonl" in message
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"cannot read {tmp_path}" in refused(capsys, tmp_path, "--out", tmp_path / "out")


def test_half_written_json_points_to_the_journal(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records_json.write_text(records_json.read_text(encoding="utf-8")[:-100], encoding="utf-8")
    message = refused(capsys, records_json, "--out", tmp_path / "out")
    assert "it is no JSON" in message
    assert "journal.jsonl" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('{"hello": 1}', "not a pytest-benchmark file"),
        ("[]", "not a pytest-benchmark file"),
        ('{"benchmarks": []}', "holds no blip records"),
        ('{"benchmarks": [{"extra_info": {"blip": {"schema_version": 99}}}]}', "schema version 99"),
        ('{"benchmarks": [{"extra_info": {"blip": {"schema_version": 1}}}]}', "does not fit the record's schema"),
    ],
)
def test_foreign_json_is_refused(content: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "foreign.json"
    path.write_text(content, encoding="utf-8")
    assert part in refused(capsys, path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_bad_file_of_several_stops_the_merge(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, records_json, tmp_path / "nothing.json", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_different_checkpoints_do_not_merge(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, records_json, SEED, "--out", tmp_path / "out")
    assert "different checkpoints (instructblip-flan-t5-xl, instructblip-tiny)" in message
    assert "render each into a folder of its own" in message
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_refused(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(records_json, tmp_path / "taken")
    message = refused(capsys, records_json, "--out", tmp_path / "taken")
    assert f"cannot write the document to {tmp_path / 'taken'}: file exists; give another folder as --out" in message


@pytest.mark.parametrize("arguments", [[], ["records.json"], ["records.json", "--out", "x", "--lang", "de"]])
def test_wrong_arguments_exit_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m blip_fixtures.report" in capsys.readouterr().err
