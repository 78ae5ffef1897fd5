"""docs/protocols.md shows the presets as they are, and the splits as the datasets have them."""

from __future__ import annotations

import re
import tomllib

import pytest

from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.prompts import find_prompts, preset_names
from blip_fixtures.data.prompts.checking import SETTINGS, prompts_of
from tools.protocols_page import FAMILIES, PAGE, page, table

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_presets_as_they_are() -> None:
    assert page(TEXT) == TEXT, "write it again with python -m tools.protocols_page --write"


def test_every_preset_of_every_dataset_has_a_row_for_every_family() -> None:
    for preset in preset_names():
        for dataset in dataset_names():
            start = f"| `{preset}` | {find_dataset(dataset).label} | "
            families = ", ".join(
                line.removeprefix(start).partition(" | ")[0] for line in table().splitlines() if line.startswith(start)
            )
            assert families == "all" or sorted(families.split(", ")) == sorted(FAMILIES)


def test_every_setting_is_explained() -> None:
    assert [name for name in SETTINGS if f"`{name}`" not in TEXT] == []


def test_the_example_is_a_file_of_prompts() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    prompt = prompts_of(tomllib.loads(example))["textvqa"]
    found = [prompt.of_family(kinds) for kinds in FAMILIES.values()]
    assert [(one.length_penalty, one.parts[-1]) for one in found] == [
        (-1, "Short answer:"),
        (0, "Short answer:"),
        (-1, "Short answer:"),
        (0, "Answer:"),
    ]


@pytest.mark.parametrize("dataset", dataset_names())
def test_the_splits_are_those_of_the_dataset(dataset: str) -> None:
    for split in find_dataset(dataset).hub:
        assert f"| {find_dataset(dataset).label} | `{split.name}` | {split.samples:,} |" in TEXT


def test_the_page_shows_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.protocols_page.find_prompts", lambda _preset: find_prompts("seed"))
    assert page(TEXT) != TEXT
