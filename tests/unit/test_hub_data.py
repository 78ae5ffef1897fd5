"""Datasets of the hub: repositories tried in order, the commit recorded, nothing but the split fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blip_fixtures.data import sources
from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.datasets.base import Split
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.engine.conditions import data_of
from blip_fixtures.hub import HubError
from tests.unit.test_sources import picture, write_textvqa

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


KARPATHY = "namkha1032/coco-karpathy"


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """A hub that has every repository of COCO, with two captioned pictures in each file; what it was asked for."""
    asked: list[tuple[str, str | None, tuple[str, ...]]] = []
    folder = tmp_path / COMMIT / "data"
    folder.mkdir(parents=True)
    for split, captions in (("val", "answer"), ("test", "captions")):
        table = pa.table({"image": [picture()] * 2, captions: [["a dog", "the dog"]] * 2})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")

    def fetch(hub_id: str, revision: str | None, patterns: tuple[str, ...], *, kind: str) -> Path:
        assert kind == "dataset"
        asked.append((hub_id, revision, patterns))
        return folder.parent

    monkeypatch.setattr(sources, "fetch", fetch)
    return asked


@pytest.mark.parametrize(
    ("override", "asked", "split"),
    [
        (None, ("lmms-lab-encoder/COCO-Caption2017", None, ("data/val-*.parquet",)), ("val2017", 5_000)),
        ("hub", ("lmms-lab-encoder/COCO-Caption2017", None, ("data/val-*.parquet",)), ("val2017", 5_000)),
        ("hub:val2017", ("lmms-lab-encoder/COCO-Caption2017", None, ("data/val-*.parquet",)), ("val2017", 5_000)),
        ("hub:karpathy-test", (KARPATHY, None, ("data/test-*.parquet",)), ("karpathy-test", 5_000)),
        (f"{KARPATHY}@{COMMIT}", (KARPATHY, COMMIT, ("data/test-*.parquet",)), ("karpathy-test", 5_000)),
        ("my/copy@v1:karpathy-test", ("my/copy", "v1", ("data/test-*.parquet",)), ("karpathy-test", 5_000)),
        ("my/copy", ("my/copy", None, ("data/val-*.parquet",)), None),
    ],
)
def test_which_split_of_the_hub(
    coco: list[tuple[str, str | None, tuple[str, ...]]],
    override: str | None,
    asked: tuple[str, str | None, tuple[str, ...]],
    split: tuple[str, int] | None,
) -> None:
    samples = load_samples("coco", "hub", override=override)
    assert coco == [asked]
    assert samples.source == asked[0]
    assert samples[0].references == ("a dog", "the dog")
    found = data_of(samples, 1)
    assert (found.split, found.split_samples) == (split or (None, None))


def test_a_split_that_somebody_says(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path)
    for source in (path, path.parent):
        said = load_samples("textvqa", "sample", override=f"{source}:validation")
        assert (said.source, said.split and said.split.name) == (str(source), "validation")
        assert load_samples("textvqa", "sample", override=str(source)).split is None
    assert load_samples("textvqa", "sample", 1).split is None


def test_a_folder_with_a_colon_in_its_name(tmp_path: Path) -> None:
    path = write_textvqa(tmp_path / "mine:validation")
    assert load_samples("textvqa", "sample", override=str(path.parent)).split is None
    (tmp_path / "x:validation").mkdir()
    path.rename(tmp_path / "x:validation" / path.name)
    assert load_samples("textvqa", "sample", override=str(tmp_path / "x:validation")).split is None


@pytest.mark.parametrize("override", ["hub:karpathi-test", "my/copy:karpathi-test"])
def test_a_split_that_nobody_knows(override: str) -> None:
    with pytest.raises(DataError) as caught:
        load_samples("coco", "sample", override=override)
    assert str(caught.value) == (
        "there is no split 'karpathi-test' of coco for --blip-dataset; choose one of val2017, karpathy-test; did you "
        "mean karpathy-test?"
    )


def test_the_splits_of_the_suites_own_datasets() -> None:
    found = {(split.name, split.samples) for name in dataset_names() for split in find_dataset(name).hub}
    assert found == {("val2017", 5_000), ("karpathy-test", 5_000), ("validation", 5_000), ("test-img", 2_017)}
    assert [find_dataset(name).splits[0] for name in dataset_names()] == ["validation", "val2017", "test-img"]
    assert Split("a/b", "data", "dev").name == "dev"
    assert [name for name in dataset_names() if find_dataset(name).has_options] == ["scienceqa"]
