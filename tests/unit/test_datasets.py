"""The registry of datasets, and what each of the suite's own says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blip_fixtures.data.datasets import dataset_names, find_dataset
from blip_fixtures.data.sources import load_samples
from blip_fixtures.spelling import did_you_mean

HEAVY = ("torch", "transformers", "datasets", "numpy", "PIL", "pyarrow", "msgspec", "blip_fixtures.quality")


def test_names_and_labels() -> None:
    assert {name: find_dataset(name).label for name in dataset_names()} == {
        "textvqa": "TextVQA",
        "coco": "COCO",
        "scienceqa": "ScienceQA",
    }
    assert [find_dataset(name).name for name in dataset_names()] == list(dataset_names())


@pytest.mark.parametrize(
    ("name", "hint"),
    [("vqav2", ""), ("textvqq", "; did you mean textvqa?"), ("science_qa", "; did you mean scienceqa?")],
)
def test_an_unknown_dataset(name: str, hint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its whole text is compared
        find_dataset(name)
    assert str(caught.value) == f"unknown dataset {name!r}; the suite knows textvqa, coco, scienceqa{hint}"


def test_a_hint_names_the_nearest_name_alone() -> None:
    assert did_you_mean("batch", ["batch_size", "batches", "image"]) == "; did you mean batches?"
    assert did_you_mean("batch", []) == ""
    assert did_you_mean("image", ["batches", "image"]) == "", "a name that is right is not what is wrong"


def test_every_dataset_is_known_without_loading_another_library() -> None:
    code = (
        "import sys\n"
        "from blip_fixtures.data.datasets import dataset_names, find_dataset\n"
        "print([find_dataset(name).label for name in dataset_names()])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['TextVQA', 'COCO', 'ScienceQA']", "[]"]


@pytest.mark.parametrize("name", dataset_names())
def test_what_is_always_filled_is_filled(name: str) -> None:
    dataset = find_dataset(name)
    for sample in load_samples(name, "sample"):
        assert all(getattr(sample, field) for field in dataset.always_filled)


@pytest.mark.parametrize("name", dataset_names())
def test_a_made_folder_has_the_columns_that_are_needed(name: str) -> None:
    dataset = find_dataset(name)
    assert dataset.missing(["image", *dataset.row_types]) == []


def test_one_captioned_image_has_a_note() -> None:
    (note,) = find_dataset("coco").notes(1)
    assert (note.code, note.scope) == ("one_image_no_cider", "quality")
    assert find_dataset("coco").notes(2) == ()
    assert find_dataset("textvqa").notes(1) == find_dataset("scienceqa").notes(1) == ()
