"""The file itself: what it may do, what it holds, how large it is, and what is vendored in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from blip_fixtures.record import read_records
from blip_fixtures.report.course import Course
from blip_fixtures.report.document import ReportError
from blip_fixtures.report.page import page as page_module
from blip_fixtures.report.page.data import PREFIX
from blip_fixtures.report.page.history import History, read_history
from blip_fixtures.report.page.page import MOST_BYTES, as_script, page, write_page
from blip_fixtures.report.prose import load_prose
from tests.page.hostile import EVIL, hostile_record
from tests.page.stored import store_runs
from tests.unit.records import make_record, small_run

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports" / "published" / "instructblip-tiny" / "records.json"
VENDORED = (ROOT / "blip_fixtures" / "report" / "page" / "vendor", ROOT / "tests" / "page" / "vendor")
# What an element of the page may be, when no text of a record makes one.
FOREIGN_ELEMENTS = {"img", "iframe", "object", "embed", "svg", "base", "video", "audio"}
ADDRESSES = {"src", "href", "action", "formaction", "srcset", "data"}


class Elements(HTMLParser):
    """All elements, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self._is_inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._is_inside = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._is_inside = False

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            tag, attributes = self.found[-1]
            self.texts.append((tag, attributes, data))


def data_of(text: str) -> Any:
    (found,) = [said for _, attributes, said in Elements(text).texts if attributes.get("id") == "page-data"]
    return json.loads(found)


def policy_of(text: str) -> dict[str, list[str]]:
    metas = [attributes for tag, attributes in Elements(text).found if tag == "meta"]
    (policy,) = [str(each["content"]) for each in metas if each.get("http-equiv") == "Content-Security-Policy"]
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


@pytest.fixture(scope="module")
def published() -> str:
    return page(read_records(PUBLISHED), history=History())


def test_the_published_run_is_a_page_of_at_most_1200_kilobytes(published: str) -> None:
    assert len(published.encode()) <= MOST_BYTES == 1_200_000
    assert data_of(published)["left_out"] == []
    assert all(point["record"] for point in data_of(published)["points"])


def test_with_a_history_too(tmp_path: Path) -> None:
    store_runs(tmp_path, read_records(PUBLISHED), count=40, slower_until=20)
    path = write_page(read_records(PUBLISHED), tmp_path / "out", history=read_history(tmp_path))
    assert path.stat().st_size <= MOST_BYTES


def test_with_five_times_as_many_cases_it_leaves_out_records_and_stays_small() -> None:
    records = [
        replace(record, case=replace(record.case, sequence_length=record.case.sequence_length + number))
        for number in range(5)
        for record in read_records(PUBLISHED)
        if not record.again
    ]
    text = page(records, history=History())
    assert len(data_of(text)["points"]) == 135
    assert len(text.encode()) <= MOST_BYTES
    assert data_of(text)["left_out"]


def test_what_a_page_does_without_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_BYTES", 1)
    text = page(small_run())
    found = data_of(text)
    assert len(found["left_out"]) == 3
    assert found["points"][0]["record"] is None
    assert "Left out, so that the page stays small: records in full" in text


def test_the_same_records_give_the_same_page() -> None:
    assert page(small_run()) == page(small_run())


def test_the_policy_names_each_script_and_style_and_allows_nothing_else(published: str) -> None:
    policy = policy_of(published)
    assert policy["default-src"] == ["'none'"]
    assert policy["img-src"] == ["data:"]
    assert not [source for sources in policy.values() for source in sources if "unsafe" in source or "//" in source]
    run = [
        (tag, text)
        for tag, attributes, text in Elements(published).texts
        if attributes.get("type") != "application/json"
    ]
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        digests = [hashlib.sha256(text.encode()).digest() for tag, text in run if tag == kind]
        assert policy[directive] == [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def test_it_names_no_address_and_has_no_handlers(published: str) -> None:
    for tag, attributes in Elements(published).found:
        assert tag not in FOREIGN_ELEMENTS
        assert not [name for name in attributes if name.startswith("on")]
        for name in ADDRESSES & set(attributes):
            assert str(attributes[name]).startswith(("#", "data:"))
        assert "style" not in attributes


def test_the_script_sets_texts_alone() -> None:
    script = files("blip_fixtures.report.page").joinpath("page.js").read_text(encoding="utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch("):
        assert way not in script
    assert "ast: true" in script


def test_hostile_texts_make_no_element() -> None:
    harmless = Elements(page([make_record(sweeps=["optimization"])]))
    hostile = Elements(page([hostile_record()]))
    assert not {tag for tag, _ in hostile.found} & FOREIGN_ELEMENTS
    scripts = [attributes for tag, attributes in hostile.found if tag == "script"]
    assert len(scripts) == len([tag for tag, _ in harmless.found if tag == "script"])


def test_hostile_texts_stay_what_they_are() -> None:
    record = hostile_record()
    found = data_of(page([record]))
    # A line of its own would be one of a record's table; everything else stands as it was.
    assert found["points"][0]["record"]["case"]["dataset"] == EVIL.replace("\u2028", " ")


@pytest.mark.parametrize("text", ["</script>", "<!--", "&lt;", "\u2028\u2029", "'\"\\", "\x00"])
def test_data_means_nothing_in_html_and_reads_back(text: str) -> None:
    said = as_script({"text": text})
    assert not set(said) & set("<>&\u2028\u2029")
    assert json.loads(said) == {"text": text}


@pytest.mark.parametrize("folder", VENDORED, ids=["page", "tests"])
def test_vendored_files_are_those_of_their_packages(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    there = {path.name for path in folder.iterdir()} - {"SHA256SUMS", "README.md"}
    assert set(sums) == there
    assert any(name.endswith("LICENSE") for name in sums)
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_no_vendored_script_ends_its_element() -> None:
    for path in VENDORED[0].glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"</script|<!--", text, re.IGNORECASE)


def test_both_languages_have_every_string_that_the_page_asks_for() -> None:
    script = files("blip_fixtures.report.page").joinpath("page.js").read_text(encoding="utf-8")
    template = files("blip_fixtures.report.page").joinpath("page.html.j2").read_text(encoding="utf-8")
    asked = {f"{PREFIX}{name}" for name in re.findall(r'say\("(\w+)"[,)]', script)}
    asked |= set(re.findall(r't\("(page_\w+)"[,)]', template))
    for lang in ("en", "ru"):
        assert not asked - set(load_prose(lang).entries)


def test_what_a_reader_must_know_first_stands_open() -> None:
    text = page([make_record(weights="random")], courses=[Course(finished=1, planned=3)])
    notices = re.findall(r'<p class="notice">(.*?)</p>', text, re.DOTALL)
    assert "SYNTHETIC WEIGHTS" in notices[0]
    assert "1 of 3 planned cases" in notices[1]
    assert re.search(r'<p class="run"><strong>Run:</strong> weights: random', text)


def test_russian() -> None:
    text = page(small_run(), lang="ru")
    assert '<html lang="ru">' in text
    assert "Качество и задержка" in text


def test_checkpoints_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="different checkpoints"):
        write_page([make_record(), make_record(model="another")], tmp_path)
