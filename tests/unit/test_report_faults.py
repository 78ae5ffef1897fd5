"""The document where plots cannot be drawn, the folder is hostile, or the terminal can show little."""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures import foreign, formats
from blip_fixtures.gate.__main__ import main as gate
from blip_fixtures.report.__main__ import main
from blip_fixtures.report.document import write_document
from blip_fixtures.report.plots import draw_plots
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.selection import select
from blip_fixtures.words import LANGUAGES
from tests.unit.records import envelope, make_record, small_run

ROOT = Path(__file__).parents[2]
# The bytes of a name that is no UTF-8, as Python carries them.
NO_TEXT = "caf\udce9"
FAILURES = [
    MemoryError(),
    ImportError("libfreetype.so: failed to map segment from shared object"),
    ValueError("Image size of 10x9999999 pixels is too large\nin each direction"),
    RuntimeError("`mathtext` <b>failed</b> ![x](y)"),
    OSError(28, "No space left on device"),
]


@pytest.fixture
def records_json(tmp_path: Path) -> Path:
    path = tmp_path / "records.json"
    path.write_text(json.dumps(envelope(small_run())), encoding="utf-8")
    return path


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_where_a_plot_cannot_be_drawn_the_tables_are_written_and_say_so(
    error: Exception, lang: str, records_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out"
    assert main([str(records_json), f"--out={out}", f"--lang={lang}"]) == 0
    before = (out / "README.md").read_text(encoding="utf-8")

    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr("blip_fixtures.report.plots.png", fail)
    capsys.readouterr()
    assert main([str(records_json), f"--out={out}", f"--lang={lang}"]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: plots are missing from it, they could not be drawn: {type(error).__name__}")
    assert printed.out == f"wrote {out / 'README.md'}\n"
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "](plots/" not in text
    assert " <b>" not in text
    assert "![x]" not in text
    # What stood there before is no picture of these records.
    assert list((out / "plots").iterdir()) == []
    assert [each for each in text.splitlines() if each.startswith("|")] == [
        each for each in before.splitlines() if each.startswith("|")
    ]
    said = [each for each in text.splitlines() if type(error).__name__ in each]
    assert len(said) == before.count("](plots/")


def test_one_plot_that_fails_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise ValueError("no bars")

    monkeypatch.setattr("blip_fixtures.report.plots.draw_bars", fail)
    written = write_document(small_run(), tmp_path)
    assert written.without_plots == "ValueError: no bars"
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"latency_energy_plot.png", "latency_img_size_plot.png"}


def test_matplotlib_that_cannot_be_imported_costs_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(f"cannot map {name}")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    written = write_document(small_run(), tmp_path)
    assert "ImportError: cannot map matplotlib" in (written.without_plots or "")
    assert "cannot map matplotlib" in written.readme.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    ["$\\frac{1}{$", "$x$ and $y$", "漢字 \u0e01", "x" * 900, "a\nb\tc", "\u202eabc"],
    ids=lambda name: ascii(name[:12]),
)
def test_a_name_is_no_formula_and_no_letter_ends_a_plot(name: str) -> None:
    records = [
        make_record(sweeps=["optimization", "batch_size"], optimization=f"{name}{size}", device_name=name)
        for size in (1, 2)
    ]
    drawn = draw_plots(select(records, foreign.plot), load_prose("en"))
    assert not drawn.failures
    assert len(drawn.images) == 2


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_plots_that_are_a_link_are_refused_and_nothing_is_written_elsewhere(
    kind: str, records_json: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    if kind == "folder":
        elsewhere.mkdir()
        (elsewhere / "latency_energy_plot.png").write_text("mine")
    elif kind == "file":
        elsewhere.write_text("mine")
    (out / "plots").symlink_to(elsewhere)
    assert main([str(records_json), f"--out={out}"]) == 2
    assert "its plots are a symbolic link" in capsys.readouterr().err
    assert not (out / "README.md").exists()
    kept = elsewhere / "latency_energy_plot.png" if kind == "folder" else elsewhere
    assert kind == "nothing" or kept.read_text() == "mine"


def test_links_in_the_place_of_a_file_are_replaced_and_what_they_name_is_left_alone(
    records_json: Path, tmp_path: Path
) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine"
    (out / "plots").mkdir(parents=True)
    mine.write_text("mine")
    places = [out / "README.md", out / "plots" / "latency_energy_plot.png", out / "gate.md", out / "gate.json"]
    for place in places:
        place.symlink_to(mine)
    assert main([str(records_json), f"--out={out}"]) == 0
    assert (
        gate(["compare", "--base", str(records_json), "--now", str(records_json), "--fail=flops:0%", f"--out={out}"])
        == 0
    )
    assert mine.read_text() == "mine"
    assert not any(place.is_symlink() for place in places)
    assert {path.name for path in out.iterdir()} == {"README.md", "plots", "gate.md", "gate.json"}


@pytest.mark.parametrize("name", ["Отчёт", NO_TEXT, "a\n::error::b", "a\x1b[31mb"], ids=ascii)
@pytest.mark.parametrize("command", ["report", "gate"])
def test_any_name_of_a_file_under_any_encoding(command: str, name: str, records_json: Path, tmp_path: Path) -> None:
    """A name of letters works whatever the encoding; one that is no text is refused in a sentence."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path / name)))
    folder.mkdir()
    bad = folder / "records.json"
    bad.write_text("{")
    good = folder / "good.json"
    good.write_bytes(records_json.read_bytes())
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    is_text = name.isprintable()
    refused = 2 if command == "report" else 4
    for path, code in ((good, 0 if is_text else refused), (bad, refused)):
        arguments = {
            "report": [path, "--out", folder / "out"],
            "gate": ["compare", "--base", path, "--now", path, "--fail", "flops:0%", "--out", folder / "out"],
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", f"blip_fixtures.{command}", *map(str, arguments[command])],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        said = [line for line in done.stderr.splitlines() if b"error: " in line]
        assert len(said) == (1 if code else 0)
        assert is_text is (b"is no text" not in b"".join(said))
        for line in (done.stdout + done.stderr).splitlines():
            assert not line.lstrip().startswith(b"::")
            assert b"\x1b" not in line


@pytest.mark.parametrize("module", ["report", "gate", "quality", "data", "flops"])
def test_every_command_speaks_any_encoding(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    name = f"blip_fixtures.{module}" if module == "flops" else f"blip_fixtures.{module}.__main__"
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit):
        importlib.import_module(name).main(["--help"])
    assert stream.errors == "backslashreplace"


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0, 1e30])
def test_every_format_shows_every_float(value: float) -> None:
    for show in (
        formats.latency,
        formats.energy_short,
        formats.flops,
        formats.percent,
        formats.share,
        formats.mebibytes,
        formats.gibibytes,
        formats.milliseconds,
        formats.rate,
        formats.word,
    ):
        assert show(value)
    assert formats.interval(value, value, value)
