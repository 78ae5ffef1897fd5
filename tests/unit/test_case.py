"""Cases: their ids and the values they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from blip_fixtures.case import Case, axis_id, checkpoint_name


def make_case(**overrides: Any) -> Case:
    values: dict[str, Any] = {
        "model": "instructblip-tiny",
        "weights": "checkpoint",
        "dataset": "textvqa",
        "device": "cpu",
        "optimization": "fp16",
        "batch_size": 1,
        "image_size": 224,
        "sequence_length": 50,
        "prompts": "paper",
    }
    return Case(**{**values, **overrides})


def test_id_names_every_axis_with_padded_numbers() -> None:
    assert make_case().id == "textvqa-cpu-fp16-batch01-image0224-seq050"


def test_padding_keeps_one_batch_size_from_matching_another() -> None:
    assert axis_id("batch_size", 1) not in axis_id("batch_size", 16)


@pytest.mark.parametrize(("axis", "value", "shown"), [("batch_size", 128, "batch128"), ("other", 3, "3")])
def test_axis_ids(axis: str, value: object, shown: str) -> None:
    assert axis_id(axis, value) == shown


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"image_size": 22.4}, "image_size must be a whole number of at least 1, not 22.4"),
        ({"sequence_length": -50}, "sequence_length must be a whole number of at least 1, not -50"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, not True"),
    ],
)
def test_impossible_values_are_refused(override: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_case(**override)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("instructblip-tiny", "instructblip-tiny"),
        ("Salesforce/instructblip-flan-t5-xl", "instructblip-flan-t5-xl"),
        ("/models/mine/", "mine"),
    ],
)
def test_checkpoint_name(model: str, name: str) -> None:
    assert checkpoint_name(model) == name


def test_checkpoint_name_of_the_working_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint_name(".") == tmp_path.name
