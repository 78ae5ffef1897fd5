"""Checkpoints from outside: what a configuration or a folder may not ask for, and bounds before anything is built."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from blip_fixtures.checkpoints import foreign
from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.fitting import check_weights
from blip_fixtures.checkpoints.resolve import (
    PACKAGED,
    Checkpoint,
    CheckpointError,
    files_digest,
    find_architecture,
    resolve_checkpoint,
)
from blip_fixtures.engine.fit import Estimator, Size
from blip_fixtures.engine.flops import BatchShape, FlopCounter
from blip_fixtures.families import FAMILIES, family_of
from blip_fixtures.families.blip import Blip
from blip_fixtures.families.settings import PARTS, Whole
from tests.unit.twins import CONFIGS

VALUES: list[Any] = [None, 0, -1, 3, 10**6, 10**30, 2.5, 1e308, True, "", "a/b", [], [1], {}, {"a": 1}]
GONE = object()
SEED, BUILT = 17, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable copy of the packaged checkpoint."""
    packaged = find_architecture(PACKAGED).folder
    assert packaged is not None
    return Path(shutil.copytree(packaged, tmp_path / "copy"))


def packaged_config() -> dict[str, Any]:
    return copy.deepcopy(find_architecture(PACKAGED).config)


# A configuration of each family; that of the package stands for the first.
OF_FAMILY = {**CONFIGS, "instructblip-t5": packaged_config()}


OWN_PARTS = {
    "instructblip-vicuna": ("text_config",),
    "blip2-t5": ("qformer_config",),
    "blip2-opt": ("text_config",),
}


def changed(path: tuple[str, ...], value: Any, family: str = "instructblip-t5") -> dict[str, Any]:
    """The configuration of a family with another value at `path`, or with none."""
    config = copy.deepcopy(OF_FAMILY[family])
    holder = config
    for key in path[:-1]:
        holder = holder[key]
    if value is GONE:
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = value
    return config


def leaves(value: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        yield (*above, key)
        if isinstance(inner, dict):
            yield from leaves(inner, (*above, key))


def written(folder: Path, config: Any) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def refusal(name: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        find_architecture(name)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 700
    return said


@pytest.mark.parametrize("family", OF_FAMILY)
def test_every_setting_with_any_value_is_refused_or_taken(tmp_path: Path, family: str) -> None:
    """Each of some hundred files; of those that are taken some are built, which takes longer."""
    taken = []
    # What a family shares with the first is walked there.
    own = [path for path in leaves(OF_FAMILY[family]) if family == "instructblip-t5" or path[0] in OWN_PARTS[family]]
    mutations = [(path, value) for path in own for value in [*VALUES, GONE]]
    for path, value in mutations:
        try:
            taken.append(find_architecture(written(tmp_path, changed(path, value, family))))
        except CheckpointError as error:
            said = str(error)
            assert said.isprintable()
            assert len(said) < 700
    assert len(mutations) / 10 < len(taken) < len(mutations) / 1.5
    for checkpoint in random.Random(SEED).sample(taken, BUILT):
        try:
            estimator = Estimator(checkpoint.config, "float32")
        except ValueError as error:
            said = str(error)
            assert said.startswith("its configuration makes no model (")
            continue
        size = checkpoint.image_size
        assert estimator.need(Size(1, size, 1, 3)).total > 0
        assert FlopCounter(checkpoint).count(BatchShape(1, size, 1, 1, 3)).total > 0


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("vision_config", "patch_size"), 0, "vision_config.patch_size is 0, and a whole number from 1 to 8,192"),
        (("vision_config", "patch_size"), None, "vision_config.patch_size is None, and a whole number"),
        (("vision_config", "patch_size"), "14", "vision_config.patch_size is '14', and a whole number"),
        (("vision_config", "patch_size"), 448, "patch_size is 448, which is more than its image_size of 224"),
        (
            ("vision_config",),
            {**packaged_config()["vision_config"], "image_size": 8192, "patch_size": 1},
            "8,192 patches",
        ),
        (("vision_config", "image_size"), [224, 224], "vision_config.image_size is [224, 224], and a whole number"),
        (("vision_config", "num_attention_heads"), 0, "vision_config.num_attention_heads is 0, and a whole number"),
        (("vision_config", "num_attention_heads"), 3, "hidden_size is 128, which is no multiple of its 3 heads"),
        (("qformer_config", "num_attention_heads"), 5, "hidden_size is 128, which is no multiple of its 5 heads"),
        (("qformer_config", "cross_attention_frequency"), 0, "cross_attention_frequency is 0, and a whole number"),
        (("text_config", "d_kv"), None, "text_config.d_kv is None, and a whole number from 1 to 65,536 is needed"),
        (("text_config", "num_layers"), None, "text_config.num_layers is None, and a whole number from 1 to 128"),
        (("text_config", "num_layers"), 10**6, "num_layers is 1000000, and a whole number from 1 to 128 is needed"),
        (("text_config", "num_decoder_layers"), 10**6, "num_decoder_layers is 1000000, and a whole number from 1 to"),
        (("text_config", "vocab_size"), 10**9, "text_config.vocab_size is 1000000000, and a whole number from 1 to"),
        (("text_config", "d_model"), -128, "text_config.d_model is -128, and a whole number from 1 to 65,536"),
        (("text_config", "num_labels"), 10**8, "text_config.num_labels is 100000000, and a whole number from 0 to"),
        (("text_config", "eos_token_id"), 288, "eos_token_id is 288, and an id below its vocab_size of 288 is needed"),
        (("text_config", "eos_token_id"), [], "text_config.eos_token_id is empty, and an answer would never end"),
        (("text_config", "decoder_start_token_id"), None, "decoder_start_token_id is None, and an id below its"),
        (("text_config", "relative_attention_max_distance"), 16, "max_distance is 16, and more than 16 is needed"),
        (("text_config", "dropout_rate"), 1e308, "text_config.dropout_rate is 1e+308, and a number from 0 to 1"),
        (("num_query_tokens",), 10**6, "num_query_tokens is 1000000, and a whole number from 1 to 4,096 is needed"),
        (("image_token_index",), 288, "image_token_index is 288, which is not below the vocab_size of 288"),
        (("image_token_index",), True, "image_token_index is True, and a whole number"),
        (("image_token_index",), None, "names no image_token_index, and without it generate ignores the image"),
        (("vision_config",), [], "has no vision_config"),
        (("model_type",), ["instructblip"] * 9, "is of model type ['instructblip', 'instructblip', 'instructblip',"),
    ],
)
def test_a_configuration_that_makes_no_model(tmp_path: Path, path: tuple[str, ...], value: Any, complaint: str) -> None:
    assert complaint in refusal(written(tmp_path, changed(path, value)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: "-".join(family.kinds))
def test_what_a_configuration_lacks_is_what_transformers_takes(family: Blip) -> None:
    from transformers import AutoConfig

    defaults = family.config_class()(text_config=AutoConfig.for_model(family.language.model_type).to_dict())
    for part, rules in family.rules.items():
        found = getattr(defaults, part) if part else defaults
        for name, rule in rules.items():
            if isinstance(rule, Whole) and rule.default is not None:
                assert getattr(found, name) == rule.default, f"{part}.{name}"


@pytest.mark.parametrize("part", PARTS)
def test_settings_that_are_missing_are_no_fault(tmp_path: Path, part: str) -> None:
    """Older files leave out what has its default."""
    config = {**packaged_config(), part: {"model_type": packaged_config()[part]["model_type"]}}
    if part == "qformer_config":
        config[part]["encoder_hidden_size"] = 128
    checkpoint = find_architecture(written(tmp_path, config))
    assert Estimator(checkpoint.config, "float32").need(Size(1, checkpoint.image_size, 3, 3)).total > 0
    assert checkpoint.max_text_tokens > 0


@pytest.mark.parametrize("config", CATALOG.values(), ids=list(CATALOG))
def test_published_configurations_are_within_bounds(config: dict[str, Any]) -> None:
    assert family_of(config)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "it is no JSON ("),
        (b"[" * 50_000, "it is nested too deeply"),
        (b'{"a": NaN}', "it is no JSON ("),
        (b'{"a": "\\ud800"}', "it is no JSON ("),
        (b"[1]", "it is no object"),
        (b"\xff\xfe", "it is no JSON ("),
        (b"", "it is no JSON ("),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "it has more than 1 MiB, the most that is read"),
        (b'{"a": ' * 30 + b"1" + b"}" * 30, "is nested more than 16 deep"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert complaint in refusal(str(tmp_path))


@pytest.mark.parametrize("key", foreign._ATTENTION_SETTINGS)
@pytest.mark.parametrize("place", ["", *PARTS])
@pytest.mark.parametrize(
    "value", ["somebody/kernel", "kernels-community/flash-attn2@main", "paged|sdpa", 5, [], {"": "a/b"}]
)
def test_attention_of_somebody_is_refused_wherever_it_is_named(
    tmp_path: Path, key: str, place: str, value: Any
) -> None:
    said = refusal(written(tmp_path, changed((place, key) if place else (key,), value)))
    assert f"config.json asks by {key} for the attention " in said
    assert "and only eager, sdpa, flash_attention_2 are known; mend it, or save the checkpoint again" in said


@pytest.mark.parametrize("value", [None, "eager", "sdpa", {"text_config": "eager", "": None}])
def test_attention_of_the_suites_own_is_taken(tmp_path: Path, value: Any) -> None:
    config = {**packaged_config(), "attn_implementation": value, "_attn_implementation": value}
    assert find_architecture(written(tmp_path, config)).config["attn_implementation"] == value


@pytest.mark.parametrize("key", foreign._REFUSED)
@pytest.mark.parametrize("place", ["", *PARTS])
def test_what_is_never_done_is_refused_wherever_it_is_asked_for(tmp_path: Path, key: str, place: str) -> None:
    said = refusal(written(tmp_path, changed((place, key) if place else (key,), {"a": "b"})))
    assert f"config.json asks by {key} for {foreign._REFUSED[key]}" in said
    assert find_architecture(written(tmp_path, changed((place, key) if place else (key,), None)))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("adapter_config.json", "is an adapter, which goes into the model where peft is installed: merge it"),
        (
            "shard-00000-model-00001-of-00001.safetensors",
            "is a part of a distributed checkpoint, which is read in place",
        ),
    ],
)
def test_files_that_change_what_is_loaded(folder: Path, name: str, complaint: str) -> None:
    (folder / name).write_text("{}")
    assert complaint in refusal(str(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "spiece.model", "qformer_tokenizer/vocab.txt"])
def test_a_file_of_text_that_is_too_large(folder: Path, name: str) -> None:
    """A file that is all holes: it takes no room, and reading it would take all memory."""
    with (folder / name).open("wb") as file:
        file.truncate(2**40)
    assert f"{folder / name} has more than 256 MiB, the most that is read" in refusal(str(folder))


def test_a_name_that_is_no_text(folder: Path, checkpoint: Checkpoint) -> None:
    plain = files_digest(dataclasses.replace(checkpoint, folder=folder))
    (folder / os.fsdecode(b"\xff.json")).write_text("{}")
    assert files_digest(find_architecture(str(folder))) != plain == files_digest(checkpoint)


CODE = "import pathlib\npathlib.Path({marker!r}).write_text('ran')\n"


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"),
        "qformer_tokenizer/tokenizer_config.json",
    ],
)
def test_code_of_a_checkpoint_is_never_run(folder: Path, tmp_path: Path, name: str) -> None:
    marker, path = tmp_path / "marker", folder / name
    (path.parent / "code.py").write_text(CODE.format(marker=str(marker)))
    settings = json.loads(path.read_text()) if path.exists() else {}
    auto = {"AutoConfig": "code.A", "AutoTokenizer": ["code.A", "code.B"], "AutoProcessor": "code.A"}
    path.write_text(json.dumps({**settings, "auto_map": auto}))
    assert "asks by auto_map for code of its own, which is never run" in refusal(str(folder))
    assert not marker.exists()


def files_of(folder: Path) -> list[str]:
    read = [path for pattern in ("*.json", "*.safetensors") for path in folder.rglob(pattern)]
    return sorted(path.relative_to(folder).as_posix() for path in read)


PACKAGED_FILES = files_of(find_architecture(PACKAGED).folder or Path())


@pytest.mark.parametrize("name", [*PACKAGED_FILES, "qformer_tokenizer", "spiece.model", "vocab.txt", "elsewhere"])
@pytest.mark.parametrize("kind", ["absolute", "relative", "broken", "loop", "pipe"])
def test_a_file_that_leads_out_of_its_folder(folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    path, outside = folder / name, tmp_path / "outside" / name
    outside.parent.mkdir(parents=True)
    if not path.exists():
        path.mkdir() if "." not in name else path.write_text("")
    is_folder = path.is_dir()
    path.rename(outside)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        there = {"absolute": outside, "broken": tmp_path / "nowhere", "loop": path}
        path.symlink_to(there.get(kind, Path(os.path.relpath(outside, path.parent))))
    if is_folder and kind in ("pipe", "broken", "loop"):
        # Nothing can be read there, and what needs it says so.
        return
    said = refusal(str(folder))
    if name == "config.json" and kind in ("broken", "loop"):
        assert "has no config.json in" in said or "too many levels of symbolic links" in said
    else:
        assert f"{path} is no file of {folder}, or a link that leads out of it" in said


def test_the_layout_of_the_hubs_cache_is_read(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "c0ffee", tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    for number, name in enumerate(files_of(folder)):
        blob = blobs / f"{number:040x}"
        (folder / name).rename(blob)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
    assert resolve_checkpoint(str(snapshot)).revision == resolve_checkpoint(PACKAGED).revision
    (snapshot / "config.json").unlink()
    for stray in (blobs / "config.json", tmp_path / "config.json", blobs / "deeper" / ("0" * 40)):
        stray.parent.mkdir(exist_ok=True)
        stray.write_text(json.dumps(packaged_config()))
        (snapshot / "config.json").symlink_to(stray)
        assert "or a link that leads out of it" in refusal(str(snapshot))
        (snapshot / "config.json").unlink()


@pytest.mark.parametrize(
    "name",
    [
        *("../model.safetensors", "/etc/passwd", "a/model.safetensors", "..\\model.safetensors", "model.bin", ""),
        *("model.safetensors\0", "..", "."),
    ],
)
def test_shards_stand_beside_their_index(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match=r"index\.json lists '.*', which is no safetensors file beside it; fetch"):
        resolve_checkpoint(str(folder))


@pytest.mark.parametrize("index", [{}, [], {"weight_map": []}, {"weight_map": {"a": 5}}, {"weight_map": {"a": None}}])
def test_an_index_that_is_none(folder: Path, index: Any) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"cannot read .*index\.json: it (has no weight_map|is no object)"):
        resolve_checkpoint(str(folder))


def test_shards_that_are_there_are_taken(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"query_tokens": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert resolve_checkpoint(str(folder)).revision


@pytest.mark.parametrize(
    "name",
    [
        *("query_tokens", "language_projection.weight", "vision_model.embeddings.patch_embedding.weight"),
        *("language_model.shared.weight", "qformer.embeddings.word_embeddings.weight"),
    ],
)
def test_weights_of_another_shape(folder: Path, checkpoint: Checkpoint, name: str) -> None:
    """Told from the file's header; loading it would end each case."""
    check_weights(checkpoint)
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name][..., :-1].contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    other = dataclasses.replace(checkpoint, model="other", folder=folder)
    with pytest.raises(CheckpointError, match=rf"the weights of 'other' do not fit its configuration: {name} in model"):
        check_weights(other)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "a/" + "b" * 5000])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(CheckpointError):
        find_architecture(name, "random")
