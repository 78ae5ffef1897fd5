"""Reasons and notes are said in the document's language, wherever the document shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from blip_fixtures import foreign
from blip_fixtures.meters import MeterError
from blip_fixtures.meters.rapl import open_rapl
from blip_fixtures.reasons import Reason
from blip_fixtures.record import read_records
from blip_fixtures.report.document import document, write_document
from blip_fixtures.report.plots.canvas import png
from blip_fixtures.report.plots.lines import draw_lines
from blip_fixtures.report.plots.page import Page
from blip_fixtures.report.prose import load_prose
from blip_fixtures.report.render import markdown
from blip_fixtures.report.render.terminal import terminal_lines
from blip_fixtures.report.selection import select
from blip_fixtures.report.sweeps import find_sweep
from blip_fixtures.report.tables import sweep_tables
from blip_fixtures.words import LANGUAGES, Domain
from tests.unit.records import (
    envelope,
    make_again,
    make_energy,
    make_latency,
    make_not_run,
    make_record,
    small_run,
)

if TYPE_CHECKING:
    from blip_fixtures.record import Record

NO_TREE = open_rapl(Path("/no/such/tree"))[Domain.CPU_PACKAGE]
assert isinstance(NO_TREE, MeterError)
COMPILED = Reason.of("compile_time", scope="latency", seconds=44.31)
ONE_IMAGE = Reason.of("one_image_no_cider", scope="quality")
NO_COMPILER = Reason.of("no_compiler", command="g++", variable="CXX")
SYNTHETIC = Reason.of("synthetic_weights")
NOT_ASKED_FOR = Reason.of("not_asked_for")


def text_of(*records: Record, lang: str) -> str:
    return markdown.text(document(select(records, foreign.markdown), load_prose(lang)))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param(make_not_run(reason=NO_COMPILER), NO_COMPILER, id="a case that did not run"),
        pytest.param(make_record(notes=[COMPILED]), COMPILED, id="a note below a table"),
        pytest.param(make_record(notes=[ONE_IMAGE]), ONE_IMAGE, id="a note below a section"),
        pytest.param(make_record(flops=None, missing={"flops": NOT_ASKED_FOR}), NOT_ASKED_FOR, id="a missing figure"),
        pytest.param(make_record(quality={}, missing={"quality": SYNTHETIC}), SYNTHETIC, id="a missing metric"),
        pytest.param(
            make_record(energy={"cpu_package": make_energy(None, status=NO_TREE.status, reason=NO_TREE.reason)}),
            NO_TREE.reason,
            id="an energy",
        ),
    ],
)
def test_a_reason_is_said_in_the_language_of_the_document(record: Record, reason: Reason, lang: str) -> None:
    text = text_of(record, lang=lang)
    (other,) = set(LANGUAGES) - {lang}
    assert reason.say(lang) in text
    assert reason.say(other) not in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_several_reasons_of_one_meter_are_said_one_by_one(lang: str) -> None:
    first = Reason.of("others_took_processor_time", percent=25.0)
    further = (Reason.verbatim("the fan was loud"), Reason.of("windows_differ", percent=10.0, first=1.5, second=1.8))
    entry = make_energy(2.0, status="contended", reason=first, further_reasons=further)
    status = load_prose(lang).energy_status(entry.status)
    said = "; ".join([status, first.say(lang), "the fan was loud", further[1].say(lang)])
    assert said in text_of(make_record(energy={"cpu_package": entry}), lang=lang)


def test_texts_from_elsewhere_stay_as_they_are() -> None:
    text = text_of(make_not_run("failed", "RuntimeError: CUDA error"), lang="ru")
    assert "ошибка; RuntimeError: CUDA error." in text


def test_a_reason_of_a_newer_release_is_shown_by_its_code() -> None:
    text = text_of(make_not_run(reason=Reason("solar_storm", {"strength": 5})), lang="ru")
    assert "solar_storm (strength=5)" in text


def test_plots_say_why_energy_is_missing_in_the_language_of_the_document(tmp_path: Path) -> None:
    unread = {"cpu_package": make_energy(None, status="disabled", reason=Reason.of("energy_off"))}
    records = [make_record(sweeps=["batch_size"], energy=unread)]
    sweep = find_sweep("batch_size")
    assert sweep.plot is not None
    for lang, said in (
        ("en", "No energy figures (switched off); throughput is shown instead"),
        ("ru", "Данных об энергии нет (выключено); вместо них показана пропускная способность"),
    ):
        page = Page(select(records, foreign.plot), load_prose(lang))
        figure = draw_lines(page.selection.groups(sweep), page, sweep.plot)
        assert said in figure.get_suptitle()
        write_document(records, tmp_path, lang=lang)
        assert (tmp_path / "plots" / sweep.plot.file).read_bytes() == png(figure)


# The second timing of a case that others are compared with


def baseline_and_again() -> tuple[Record, Record]:
    first = make_record(sweeps=["optimization"], latency=make_latency([0.02]), notes=[COMPILED])
    return first, make_again(first, make_latency([0.018]))


def footnotes(*records: Record, lang: str = "en") -> tuple[str, ...]:
    (table,) = sweep_tables(records, lang=lang)
    return tuple(text for text in table.footnotes if text.startswith("Latency"))


def test_the_second_timing_is_a_note_behind_those_of_its_case_and_no_row() -> None:
    first, again = baseline_and_again()
    other = make_record(sweeps=["optimization"], optimization="compile")
    (table,) = sweep_tables([first, other, again])
    assert [row[0].text for row in table.table.rows] == ["fp32", "Compile"]
    assert footnotes(first, other, again) == (
        "Latency of fp32: compiling took 44.3 s before the first round and is not in it.",
        "Latency of fp32: timed again at the end of the run it was 0.018 s, 0.90 times the first.",
    )
    assert "повторное измерение в конце запуска: 0,018 с, 0,90 от первого" in footnotes(first, again, lang="ru")[1]


def test_the_second_timing_makes_its_case_no_other_measurement() -> None:
    first, again = baseline_and_again()
    assert not any("more than once" in text for text in sweep_tables([first, again])[0].footnotes)
    assert len(footnotes(first, again, first, again)) == 2


def test_of_merged_runs_each_second_timing_belongs_to_the_run_before_it() -> None:
    first, again = baseline_and_again()
    later = replace(first, latency=make_latency([0.04]))
    assert "0.90 times the first" in footnotes(later, first, again)[1]
    assert len(footnotes(first, again, later)) == 1, "the later run timed nothing again"
    assert "0.45 times the first" in footnotes(first, later, again)[1]


def test_a_second_timing_without_a_first_one_says_nothing() -> None:
    first, again = baseline_and_again()
    lost = replace(first, status="failed", latency=None)
    assert len(footnotes(replace(again, sweeps=("optimization",)), first)) == 1
    assert not any("timed again" in text for text in sweep_tables([lost, again])[0].footnotes)


def test_a_file_with_a_second_timing_renders_as_a_record_of_the_first_schema_did(tmp_path: Path) -> None:
    first, again = baseline_and_again()
    path = tmp_path / "records.json"
    path.write_text(json.dumps(envelope([first, again])), encoding="utf-8")
    assert len(footnotes(*read_records(path))) == 2


def test_terminal_lines_hold_reasons_in_english() -> None:
    lines = terminal_lines(small_run(), 200)
    assert any("no permission; cannot read intel-rapl:0/energy_uj" in line for line in lines)
