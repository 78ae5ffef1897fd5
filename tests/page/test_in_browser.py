"""The page as people use it: nothing is fetched, filters and the back button work, keys suffice, texts are texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.record import read_records
from blip_fixtures.report.page.commands import again_command
from blip_fixtures.report.page.history import History, StoredRun
from blip_fixtures.report.page.page import write_page
from tests.page.conftest import PUBLISHED
from tests.page.hostile import EVIL, hostile_record

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (400, 1400)
# A folder for pictures, to look at.
SCREENSHOTS = os.environ.get("BLIP_PAGE_SCREENSHOTS")
CASE = "scienceqa-cpu-int8-batch16-image0224-seq200"


def choose(page: Any, name: str, value: str) -> None:
    """As a person does, in the list of that name."""
    page.tell(
        "(() => { const list = document.querySelector(arguments[0]); list.value = arguments[1];"
        " list.dispatchEvent(new Event('change', { bubbles: true })); })()",
        name,
        value,
    )
    page.wait_until_drawn()


def rows_of(page: Any, chart: str) -> int:
    return int(page.tell("document.querySelectorAll(arguments[0]).length", f"#{chart} tbody tr"))


def violations(page: Any) -> list[str]:
    """What axe-core finds, each with the first element."""
    page.driver.execute_script(AXE)
    found = page.driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then((result) => done(result.violations));"
    )
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]


def test_it_asks_for_nothing_and_has_nothing_to_complain_of(page: Any) -> None:
    page.console()
    page.requests()
    page.open()
    assert page.console() == []
    assert page.requests() == []
    assert page.tell("document.querySelectorAll('.plot svg').length") >= 6


def test_the_first_chart_is_that_of_optimizations(page: Any) -> None:
    assert page.tell("document.querySelector('[name=view]:checked').value") == "optimization"
    assert page.tell("document.querySelector('#latency_quality .plot').dataset.rows") == "10"
    assert "bf16" in page.text_of(".glance .answer")


def test_filters_change_charts_tables_and_the_address(page: Any) -> None:
    choose(page, "[name=view][value=all]", "all")
    page.wait_for("new URLSearchParams(location.hash.slice(1)).get('view')", "all")
    page.wait_until_drawn()
    assert rows_of(page, "latency_quality") == 27
    choose(page, "[name=dataset]", "COCO")
    page.wait_for("new URLSearchParams(location.hash.slice(1)).get('dataset')", "COCO")
    page.wait_until_drawn()
    assert rows_of(page, "latency_quality") == 5
    assert page.text_of("#count") == "5 of 27 cases"
    choose(page, "[name=batch_size]", "16")
    choose(page, "[name=optimization]", "int8")
    page.wait_for("document.querySelector('#count').textContent", "0 of 27 cases")
    assert page.one("#latency_quality .absent").text == "No case fits these filters."


def test_the_back_button_goes_back(page: Any) -> None:
    choose(page, "[name=dataset]", "TextVQA")
    page.wait_for("document.querySelector('#count').textContent", "0 of 27 cases")
    page.driver.back()
    page.wait_for("document.querySelector('#count').textContent", "10 of 27 cases")
    page.wait_until_drawn()
    assert page.tell("document.querySelector('[name=dataset]').value") == ""
    page.driver.forward()
    page.wait_for("document.querySelector('#count').textContent", "0 of 27 cases")


def test_a_link_shows_what_it_was_copied_from(page: Any) -> None:
    page.open(f"#view=image_size&dataset=ScienceQA&case={CASE}")
    assert page.text_of("#count") == "3 of 27 cases"
    assert page.tell("document.querySelector('#detail').open")
    assert "int8" in page.text_of("#detail-title")


def test_reset_leaves_nothing_in_the_address(page: Any) -> None:
    choose(page, "[name=device]", "CPU")
    page.one("button[type=reset]").click()
    page.wait_for("location.hash", "")


def test_a_click_on_a_point_shows_its_record_and_back_closes_it(page: Any) -> None:
    # Vega finds a point by where the pointer is.
    place = page.tell(
        "(() => { const box = [...document.querySelectorAll('#latency_quality .mark-symbol path')].filter("
        "(path) => path.__data__.datum.id)[4].getBoundingClientRect(); scrollTo(0, box.top + scrollY - 300);"
        " const now = [...document.querySelectorAll('#latency_quality .mark-symbol path')].filter("
        "(path) => path.__data__.datum.id)[4]; const at = now.getBoundingClientRect();"
        " return [at.left + at.width / 2, at.top + at.height / 2, now.__data__.datum.id]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    page.wait_for("document.querySelector('#detail').open", True)
    assert page.tell("new URLSearchParams(location.hash.slice(1)).get('case')") == place[2]
    page.driver.back()
    page.wait_for("document.querySelector('#detail').open", False)


def test_a_case_can_be_measured_again_by_its_command(page: Any) -> None:
    record = next(record for record in read_records(PUBLISHED) if record.case_id == CASE)
    page.open(f"#case={CASE}")
    assert page.text_of("#command") == again_command(record)
    page.one("#copy").click()
    page.wait_for("document.querySelector('#copy').textContent", "Copied")
    for part in ("Proof that the optimization took effect", "Why figures are missing or weaker", "powercap"):
        assert part in page.text_of("#detail-body")
    shown = page.tell("JSON.parse(document.querySelector('#detail-body details pre').textContent)")
    assert (shown["case_id"], shown["case"]["optimization"]) == (CASE, "int8")
    assert shown["environment"]["cpu_model"] == record.environment["cpu_model"]


def test_keys_alone_open_and_close_a_case(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    details = page.one("#latency_quality summary")
    details.send_keys(Keys.ENTER)
    button = page.one("#latency_quality tbody button")
    button.send_keys(Keys.ENTER)
    page.wait_for("document.querySelector('#detail').open", True)
    assert page.tell("document.querySelector('#detail').contains(document.activeElement)")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.wait_for("document.querySelector('#detail').open", False)
    assert page.tell("document.activeElement === arguments[0]", button)
    page.wait_for("new URLSearchParams(location.hash.slice(1)).get('case')", None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(with_history: Any, width: int, scheme: str) -> None:
    page = with_history
    page.resize(width)
    page.prefer(color_scheme=scheme)
    page.open()
    page.tell("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert violations(page) == []
    page.open(f"#case={CASE}")
    page.tell("document.querySelectorAll('#detail details').forEach((each) => { each.open = true; })")
    assert violations(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window(with_history: Any, width: int) -> None:
    page = with_history
    page.resize(width)
    page.open()
    assert page.tell("document.documentElement.scrollWidth") <= width
    charts = page.tell("[...document.querySelectorAll('.plot svg')].map((each) => each.getBoundingClientRect().right)")
    assert max(charts) <= width
    if SCREENSHOTS:
        for scheme in ("light", "dark"):
            page.prefer(color_scheme=scheme)
            page.resize(width, 900)
            page.open()
            page.resize(width, min(6000, page.tell("document.documentElement.scrollHeight")))
            page.wait_until_drawn()
            page.driver.save_screenshot(str(Path(SCREENSHOTS) / f"page-{width}-{scheme}.png"))


def test_dark_and_light(page: Any) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page.prefer(color_scheme=scheme)
        page.wait_until_drawn()
        colours[scheme] = page.tell(
            "[getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('#phases .mark-rect path').getAttribute('fill')]"
        )
    assert colours["light"][0] != colours["dark"][0]


def test_nothing_moves_where_that_is_not_wanted(page: Any) -> None:
    page.prefer(reduced_motion="reduce")
    assert page.tell("getComputedStyle(document.querySelector('button[type=reset]')).transitionDuration") == "0s"


def test_each_optimization_has_a_colour_and_a_shape_of_its_own(page: Any) -> None:
    looks = page.tell(
        "[...document.querySelectorAll('#latency_quality .mark-symbol.role-legend-symbol path')]"
        ".map((each) => each.getAttribute('d') + each.getAttribute('fill'))"
    )
    assert len(looks) == 10
    assert len(set(looks)) == len(looks)


def test_russian(russian: Any) -> None:
    assert russian.tell("document.documentElement.lang") == "ru"
    assert russian.text_of("#count") == "случаев: 10 из 27"
    assert "Качество и задержка" in russian.text_of("#latency_quality h3")
    assert russian.console() == []


def test_a_change_in_the_history_is_marked(with_history: Any) -> None:
    page = with_history
    said = page.text_of("#history figcaption p")
    assert "at run 9" in said
    assert page.tell("document.querySelector('#history .plot').dataset.rows") == "26"
    assert page.tell("document.querySelectorAll('#history tbody tr').length") == 15
    assert "12345678" not in said
    choose(page, "#history-figure", "memory")
    page.wait_for("document.querySelector('#history figcaption p').textContent.startsWith('No change')", True)


def test_two_runs_stand_side_by_side(with_history: Any) -> None:
    page = with_history
    verdicts = "[...new Set([...document.querySelectorAll('#compare-table .verdict')].map((each) => each.textContent))]"
    assert "pass" in page.tell(verdicts)
    first = page.text_of("#compare-sentence")
    choose(page, "#compare-base", page.tell("document.querySelector('#compare-base').lastChild.value"))
    page.wait_for("new URLSearchParams(location.hash.slice(1)).has('base')", True)
    assert first
    assert page.tell("document.querySelectorAll('#compare-table tbody tr').length") > 27


def test_without_stored_runs_a_sentence_says_how_to_store_them(page: Any) -> None:
    assert "--benchmark-autosave" in page.text_of("#history-sentence")
    assert not page.tell("document.querySelector('#history-body').checkVisibility()")


def test_hostile_texts_are_texts(driver: Any, tmp_path: Path) -> None:
    from tests.page.browser import Page

    records = [hostile_record(), hostile_record(batch_size=4)]
    history = History((StoredRun(EVIL, tuple(records)),), (EVIL,))
    page = Page(driver, write_page(records, tmp_path, history=history))
    page.resize(1400)
    page.console()
    page.requests()
    page.open()
    page.wait_until_drawn()
    page.tell("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for case in page.tell("[...document.querySelectorAll('#rounds-case option')].map((each) => each.value)"):
        page.tell("location.hash = new URLSearchParams({ case: arguments[0] }).toString()", case)
        page.wait_for("document.querySelector('#detail').open", True)
    assert "<script>window.hacked = 1</script>" in page.text_of("#detail-body")
    assert page.tell("window.hacked === undefined")
    assert page.tell("document.querySelectorAll('img, #main script, dialog script, header script').length") == 0
    assert page.console() == []
    assert page.requests() == []
