from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.report.__main__ import main
from blip_fixtures.report.plots import Drawn
from tests.page.stored import store_runs
from tests.unit.records import envelope, make_latency, make_record, small_run
from tests.unit.test_page_file import data_of
from tools.faults.hostile_records import fault_of_characters, mutations

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.report.document.draw_plots", lambda *_: Drawn({}, {}))


@pytest.fixture
def records_json(tmp_path: Path) -> Path:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(envelope(small_run())), encoding="utf-8")
    return path


def data_in(folder: Path) -> Any:
    return data_of((folder / "index.html").read_text(encoding="utf-8"))


def test_the_page_is_written_where_it_is_asked_for(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(records_json), "--out", str(out)]) == 0
    assert not (out / "index.html").exists()
    assert main([str(records_json), "--out", str(out), "--html"]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {out / 'README.md'}\nwrote {out / 'index.html'}\n")


def test_many_runs_are_one_page(tmp_path: Path) -> None:
    for name in ("H100", "H200"):
        record = make_record(device="cuda:0", device_name=f"NVIDIA {name}")
        (tmp_path / f"{name}.json").write_text(json.dumps(envelope([record])), encoding="utf-8")
    out = tmp_path / "out"
    assert main([str(tmp_path / "H100.json"), str(tmp_path / "H200.json"), "--out", str(out), "--html"]) == 0
    devices = {each["axis"]: each["values"] for each in data_in(out)["filters"]}["device"]
    assert devices == ["GPU (NVIDIA H100)", "GPU (NVIDIA H200)"]


def test_a_history_means_a_page(records_json: Path, tmp_path: Path) -> None:
    storage, out = tmp_path / "storage", tmp_path / "out"
    store_runs(storage, small_run(), count=2)
    assert main([str(records_json), "--out", str(out), "--history", str(storage)]) == 0
    assert [run["name"] for run in data_in(out)["history"]["runs"]] == ["0001_run", "0002_run", "this run"]


def test_a_history_that_is_no_folder_is_refused(
    records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(records_json), "--out", str(tmp_path / "out"), "--history", str(tmp_path / "none")])
    assert code == 2
    assert "is no folder; give that of --benchmark-storage" in capsys.readouterr().err


def test_in_russian(records_json: Path, tmp_path: Path) -> None:
    assert main([str(records_json), "--out", str(tmp_path), "--html", "--lang", "ru"]) == 0
    assert data_in(tmp_path)["lang"] == "ru"


def test_hostile_values_in_any_place_end_in_a_page_or_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    good = envelope([make_record(latency=make_latency([0.1] * 3)), make_record(batch_size=4)])
    documents = [{"benchmarks": good["benchmarks"], "blip": good.get("blip", {})}]
    storage, bad, out = tmp_path / "stored", tmp_path / "bad.json", tmp_path / "out"
    storage.mkdir()
    (storage / "0002_good.json").write_text(json.dumps(good), encoding="utf-8")
    for mutation in random.Random(seed).sample(mutations(documents), 60):
        text = mutation.apply(documents)
        bad.write_text(text, encoding="utf-8")
        (storage / "0001_bad.json").write_text(text, encoding="utf-8")
        code = main([str(bad), "--out", str(out), f"--history={storage}"])
        said = capsys.readouterr().err
        assert code in (0, 2), mutation
        assert len(said.splitlines()) <= 1
        if code == 0:
            found = json.dumps(data_in(out), ensure_ascii=False)
            assert fault_of_characters(found.replace("\\n", "")) is None
