"""Datasets of the hub: repositories tried in order, the commit recorded, nothing but the split fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from blip_fixtures.data import sources
from blip_fixtures.data.datasets import find_dataset
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.hub import HubError
from tests.unit.test_sources import write_textvqa

COMMIT = "0123456789abcdef" * 2 + "01234567"
Fetch = Callable[..., Path]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """A hub that has the second repository of TextVQA alone; what it was asked for."""
    asked: list[tuple[str, str | None]] = []
    snapshot = tmp_path / COMMIT
    path = write_textvqa(tmp_path / "made", rows=6)
    (snapshot / "data").mkdir(parents=True)
    path.rename(snapshot / "data" / "validation-00000-of-00001.parquet")

    def fetch(hub_id: str, revision: str | None, patterns: tuple[str, ...], *, kind: str) -> Path:
        assert (patterns, kind) == (("data/validation-*.parquet",), "dataset")
        asked.append((hub_id, revision))
        if hub_id != find_dataset("textvqa").hub[1].repository:
            raise HubError("it knows no such repository; check the id")
        return snapshot

    monkeypatch.setattr(sources, "fetch", fetch)
    return asked


def test_the_second_repository_stands_in_for_the_first(asked: list[tuple[str, str | None]]) -> None:
    samples = load_samples("textvqa", "hub")
    assert [hub_id for hub_id, _ in asked] == ["lmms-lab-encoder/textvqa", "lmms-lab/textvqa"]
    assert len(samples) == 6
    assert (samples.source, samples.revision) == ("lmms-lab/textvqa", COMMIT)


def test_an_id_with_a_revision(asked: list[tuple[str, str | None]]) -> None:
    load_samples("textvqa", "sample", override=f"lmms-lab/textvqa@{COMMIT}")
    assert asked == [("lmms-lab/textvqa", COMMIT)]


def test_every_cause_is_named_where_no_repository_answers(asked: list[tuple[str, str | None]]) -> None:
    with pytest.raises(DataError, match="cannot fetch textvqa from 'somebody/else': it knows no such repository"):
        load_samples("textvqa", "sample", override="somebody/else")


def test_a_repository_without_the_split(asked: list[tuple[str, str | None]], tmp_path: Path) -> None:
    next((tmp_path / COMMIT / "data").iterdir()).unlink()
    with pytest.raises(DataError, match=r"has no data/validation-\*.parquet; give another repository or a folder with"):
        load_samples("textvqa", "hub")
