"""Throughput in the document: a section after the sweeps where records have it, and nothing where none has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from blip_fixtures.reasons import Reason
from blip_fixtures.record import Throughput
from blip_fixtures.words import LANGUAGES, Status
from tests.unit.records import small_run
from tests.unit.test_report_document import document, section

KNOWN = Throughput(samples_per_s=123.456, tokens_per_s=0.98765)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_is_a_section_of_its_own_and_changes_nothing_else(tmp_path: Path, lang: str) -> None:
    records = small_run()
    with_it = [replace(one, throughput=KNOWN) if one.status == Status.OK else one for one in records]
    before, after = (document(tmp_path, *each, lang=lang) for each in (records, with_it))
    assert "## Throughput" not in before
    shown = section(after, "Throughput")
    rows = re.findall(r"^\| ", section(after, "Phases"), re.MULTILINE)
    assert len(re.findall(r"123\.5 +\| 0\.9877 ", shown)) == len(rows) - 1
    # The summary tells of it, and so does what a thousand samples take.
    before, after = (each.partition("## Tokens")[2] for each in (before, after))
    assert after.replace(f"## Throughput\n{shown}", "") == before


def test_a_rate_that_is_not_known_has_its_reason(tmp_path: Path) -> None:
    first, *others = (replace(one, throughput=KNOWN) for one in small_run() if one.status == Status.OK)
    reason = Reason.of("rounds_returned_nothing")
    unknown = replace(
        first,
        throughput=Throughput(samples_per_s=2.0, tokens_per_s=None),
        missing={**first.missing, "throughput.tokens_per_s": reason},
    )
    shown = section(document(tmp_path, unknown, *others), "Throughput")
    assert re.search(r"\| 2\.000 +\| - ", shown)
    assert str(reason)[1:] in shown


def test_records_of_older_releases_beside_newer_ones_are_named(tmp_path: Path) -> None:
    first, *others = (one for one in small_run() if one.status == Status.OK)
    shown = section(document(tmp_path, replace(first, throughput=KNOWN), *others), "Throughput")
    assert shown.count("123.5") == 1
    assert "no row" in shown.lower()
