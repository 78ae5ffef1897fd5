"""A dataset that is no part of the package: one file, `shop_signs.py`, read, asked, scored and made from pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from blip_fixtures.data.__main__ import main as data_command
from blip_fixtures.data.datasets import dataset_names, find_dataset, register_dataset
from blip_fixtures.data.prompts import PromptsError, find_prompts
from blip_fixtures.data.sources import DataError, load_samples
from blip_fixtures.quality.__main__ import main as quality_command
from tests.unit.shop_signs import SHOP_SIGNS, write_signs

NAME = SHOP_SIGNS.name


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    undo = register_dataset(SHOP_SIGNS)
    yield
    undo()
    assert NAME not in dataset_names()


@pytest.fixture
def changed() -> Iterator[Any]:
    """Registers the dataset with other facts in its place."""
    undone = []

    def change(**facts: Any) -> None:
        dataset = dataclasses.replace(SHOP_SIGNS, name="other_signs", **facts)
        undone.append(register_dataset(dataset))

    yield change
    for undo in undone:
        undo()


def test_it_stands_behind_the_suites_own() -> None:
    assert dataset_names() == ("textvqa", "coco", "scienceqa", NAME)
    assert find_dataset(NAME) is SHOP_SIGNS
    with pytest.raises(
        ValueError, match="the suite knows textvqa, coco, scienceqa, shop_signs; did you mean shop_signs"
    ):
        find_dataset("shop-sign")


@pytest.mark.parametrize("name", ["coco", NAME])
def test_a_name_that_is_taken(name: str) -> None:
    with pytest.raises(ValueError, match=f"the dataset '{name}' is known already; give yours another name"):
        register_dataset(dataclasses.replace(SHOP_SIGNS, name=name))


@pytest.mark.parametrize("name", ["shop-signs", "a/b", "", "my signs"])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be called '.*'; use letters, digits and underscores"):
        dataclasses.replace(SHOP_SIGNS, name=name)


def test_a_dataset_without_pictures() -> None:
    with pytest.raises(ValueError, match="shop_signs has no column 'image'; name the column that holds its pictures"):
        dataclasses.replace(SHOP_SIGNS, columns={"goods": ("goods",)})


def test_samples_of_a_folder(tmp_path: Path) -> None:
    write_signs(tmp_path / NAME)
    samples = load_samples(NAME, str(tmp_path))
    assert [(sample.question, sample.references) for sample in samples][:2] == [
        ("goods 0", ("0",)),
        ("goods 1", ("1",)),
    ]
    assert samples[4].image.size == (16, 16)


def test_samples_of_its_own(tmp_path: Path, changed: Any) -> None:
    changed(samples=write_signs(tmp_path / "somewhere"))
    assert len(load_samples("other_signs", "sample")) == 5


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    write_signs(tmp_path / NAME, goods=None)
    with pytest.raises(
        DataError, match=r"signs.parquet, row 2 \(counted from 0\): goods is None where a text is needed"
    ):
        load_samples(NAME, str(tmp_path))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_signs(tmp_path / "coco").rename(tmp_path / "textvqa")
    with pytest.raises(
        DataError, match="has the columns cost, goods, photo; textvqa needs question, image, answers or"
    ):
        load_samples("textvqa", str(tmp_path))


def test_nothing_is_packaged() -> None:
    with pytest.raises(DataError, match=r"shop_signs has no packaged samples; give a folder with --blip-data, or one"):
        load_samples(NAME, "sample")


@pytest.mark.parametrize(("source", "override"), [("hub", None), ("sample", "somebody/signs")])
def test_no_repository_is_known(source: str, override: str | None) -> None:
    with pytest.raises(DataError, match=r"shop_signs is in no repository of the hub; give a folder or a parquet file"):
        load_samples(NAME, source, override=override)


def test_prompts_of_its_own(tmp_path: Path) -> None:
    write_signs(tmp_path / NAME)
    sample = load_samples(NAME, str(tmp_path))[1]
    prompt = find_prompts("paper").of(NAME)
    assert prompt.render(sample) == "Question: what do goods 1 cost? Short answer:"
    assert find_prompts("seed").of(NAME).render(sample) == "what do goods 1 cost?"
    with pytest.raises(PromptsError, match=r"the prompts lmms-eval have no table \[shop_signs\]; add one, or choose"):
        find_prompts("lmms-eval").of(NAME)


def test_prompts_of_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[shop_signs]\nparts = ['{question}?']\n\n[coco]\nparts = ['A picture of']\n")
    assert find_prompts(str(file)).of(NAME).parts == ("{question}?",)
    file.write_text("[coco]\nparts = ['A picture of']\n")
    with pytest.raises(PromptsError, match=r"the prompts mine@\w{8} have no table \[shop_signs\]"):
        find_prompts(str(file)).of(NAME)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"parts": ["{context}"]}, "[other_signs] would be an empty prompt for some rows"),
        ({"parts": ["{question}"], "jion": ""}, "[other_signs] has 'jion'; the settings are parts, join,"),
        ({"parts": "{question}"}, "[other_signs] parts is '{question}'; give a list of texts"),
    ],
)
def test_prompts_that_cannot_be(changed: Any, settings: dict[str, Any], complaint: str) -> None:
    changed(prompts={"seed": settings})
    with pytest.raises(PromptsError) as caught:
        find_prompts("seed").of("other_signs")
    assert str(caught.value).startswith(f"the prompts seed of other_signs: {complaint}")


def test_predictions_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "predictions.jsonl"
    rows = [{"prediction": "$5", "price": "5"}, {"prediction": "six", "price": "6"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert quality_command([NAME, str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"wer": 1.0, "right_price": 0.5}
    path.write_text(json.dumps({"prediction": "$5"}))
    assert quality_command([NAME, str(path)]) == 2
    assert "line 1: price is None where a text is needed; mend the line" in capsys.readouterr().err


def test_its_scores_have_their_notes() -> None:
    assert [(note.scope, note.say("en"), note.say("ru")) for note in SHOP_SIGNS.notes(2)] == [
        ("quality", "only 2 signs were read", "прочитано вывесок: 2")
    ]
    assert SHOP_SIGNS.notes(5) == ()


def test_a_folder_is_made_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    questions, out = tmp_path / "questions.json", tmp_path / "out"
    questions.write_text(json.dumps([{"image": "a.png", "goods": "eggs", "price": 3}]))
    arguments = ["make-folder", "--dataset", NAME, "--images", str(tmp_path), "--questions", str(questions)]
    assert data_command([*arguments, "--out", str(out)]) == 0
    (sample,) = load_samples(NAME, str(out))
    assert (sample.question, sample.references, sample.image.size) == ("eggs", ("3",), (20, 10))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        data_command(["make-folder", "--help"])
    assert "- shop_signs: ``goods`` and ``price``\n" in capsys.readouterr().out
