"""Checkpoints by name: what is found, and what is refused in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from blip_fixtures.checkpoints.resolve import PACKAGED, CheckpointError, find_architecture, resolve_checkpoint
from blip_fixtures.hub import HubError, UnknownRepositoryError
from blip_fixtures.words import Weights


def packaged_folder() -> Path:
    folder = resolve_checkpoint(PACKAGED).folder
    assert folder is not None
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A writable copy of the packaged checkpoint."""
    return Path(shutil.copytree(packaged_folder(), tmp_path / "copy"))


def test_packaged() -> None:
    checkpoint = resolve_checkpoint(PACKAGED)
    assert (checkpoint.image_size, checkpoint.max_text_tokens) == (224, 512)
    assert [size % checkpoint.patch_size for size in (224, 336, 448)] == [0, 0, 0]
    assert sum(path.stat().st_size for path in packaged_folder().rglob("*") if path.is_file()) <= 6e6


def test_a_copy_has_the_revision_of_its_weights(copy: Path) -> None:
    assert resolve_checkpoint(str(copy)).revision == resolve_checkpoint(PACKAGED).revision
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert resolve_checkpoint(str(copy)).revision != resolve_checkpoint(PACKAGED).revision


def test_unknown_name() -> None:
    with pytest.raises(
        CheckpointError, match="unknown checkpoint 'instructblip-huge': it is neither a folder nor a hub"
    ):
        resolve_checkpoint("instructblip-huge")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("instructblip-tny", PACKAGED),
        ("instructblip-flan-t5-xxl", "Salesforce/instructblip-flan-t5-xxl"),
    ],
)
def test_a_misspelt_name(name: str, meant: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        find_architecture(name)
    said = str(raised.value)
    assert said.startswith(f"unknown checkpoint {name!r}: it is neither a folder nor a hub id (owner/name); give one")
    assert said.endswith(f"; did you mean {meant}?")


def test_a_name_like_no_other_has_no_hint() -> None:
    with pytest.raises(CheckpointError, match=r"instructblip-tiny for the packaged checkpoint$"):
        find_architecture("llava")


def test_a_misspelt_name_of_the_catalog() -> None:
    with pytest.raises(CheckpointError, match=r"; did you mean Salesforce/instructblip-flan-t5-xl\?$"):
        find_architecture("Salesforce/instructblip-flan-t5-x", Weights.RANDOM)


def repository_not_found(*_: object) -> Path:
    raise UnknownRepositoryError("the hub knows no such repository; check the id")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Salesforce/instructblip-flan-t5-x", "; did you mean Salesforce/instructblip-flan-t5-xl?"),
        ("nobody/nothing", ""),
    ],
)
def test_a_misspelt_hub_id(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setattr("blip_fixtures.checkpoints.resolve.fetch", repository_not_found)
    with pytest.raises(CheckpointError) as raised:
        find_architecture(name)
    assert str(raised.value) == (
        f"cannot fetch checkpoint {name!r}: the hub knows no such repository; check the id{hint}"
    )


def test_an_id_is_no_hint_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.checkpoints.resolve.fetch", repository_not_found)
    known = "Salesforce/instructblip-flan-t5-xl"
    with pytest.raises(CheckpointError) as raised:
        find_architecture(known)
    assert not str(raised.value).endswith(f"did you mean {known}?")


def test_a_broken_connection_is_no_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> Path:
        raise HubError("the hub cannot be reached; check the network")

    monkeypatch.setattr("blip_fixtures.checkpoints.resolve.fetch", unreachable)
    with pytest.raises(CheckpointError, match=r"check the network$"):
        find_architecture("Salesforce/instructblip-flan-t5-x")


def test_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config.json in .*; give a folder that save_pretrained wrote"):
        resolve_checkpoint(str(tmp_path))


def test_config_that_is_no_json(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cannot read .*config.json: .*; mend it, or save the checkpoint again"):
        resolve_checkpoint(str(copy))


def test_another_model_type(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "blip"}))
    with pytest.raises(CheckpointError, match="is of model type 'blip' and the suite measures 'instructblip' and"):
        resolve_checkpoint(str(copy))


def test_pickle_only(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"weights as pickle only \(pytorch_model.bin\) in .*; a pickle can run any code, so only"
    ):
        resolve_checkpoint(str(copy))


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        CheckpointError,
        match=r"cannot fetch checkpoint 'nobody/nothing': .* cannot be reached and the local cache lacks",
    ):
        resolve_checkpoint("nobody/nothing")
