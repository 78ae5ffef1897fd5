"""Processors from outside: one that makes no batch, or none that the model can read, is found before the run."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blip_fixtures.case import Case
from blip_fixtures.checkpoints.fitting import check_generation, refusing
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import Checkpoint, CheckpointError
from blip_fixtures.engine.preflight import PreflightError
from blip_fixtures.engine.session import Session
from blip_fixtures.job import Job
from tests.unit.test_session import QUICK, make_job

VALUES: list[Any] = [None, 0, -1, 3, 2.5, 1e308, True, "", "x/y", "<image>", [], {}, 10**6, 10**30, [1]]
SEED, CHANGES = 17, 25
Place = tuple[str | int, ...]


@pytest.fixture
def copied(checkpoint: Checkpoint, tmp_path: Path) -> Checkpoint:
    assert checkpoint.folder is not None
    return dataclasses.replace(
        checkpoint, model="copy", folder=Path(shutil.copytree(checkpoint.folder, tmp_path / "copy"))
    )


def change(checkpoint: Checkpoint, name: str, *places_and_values: tuple[Place, Any]) -> None:
    assert checkpoint.folder is not None
    path = checkpoint.folder / name
    settings = json.loads(path.read_text())
    for place, value in places_and_values:
        holder = settings
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
    path.write_text(json.dumps(settings))


def leaves(value: Any, above: Place = ()) -> Iterator[Place]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*above, key))


FILES = [
    *("processor_config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"),
    *("qformer_tokenizer/tokenizer.json", "qformer_tokenizer/tokenizer_config.json"),
]


@pytest.mark.parametrize("name", FILES)
def test_any_value_anywhere_is_refused_or_makes_a_batch(copied: Checkpoint, name: str) -> None:
    assert copied.folder is not None
    path, draw = copied.folder / name, random.Random(f"{SEED} {name}")
    whole = json.loads(path.read_text())
    places = [place for place in leaves(whole) if place[:2] != ("model", "vocab")]
    for _ in range(CHANGES):
        settings = copy.deepcopy(whole)
        place = draw.choice(places)
        holder = settings
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = draw.choice(VALUES)
        path.write_text(json.dumps(settings))
        with contextlib.suppress(CheckpointError):
            processor = load_processor(copied)
            check_generation(copied)
            copied.family.tokenize(copied.config, processor, ["what?", "a b c " * 30, "\u2603"], 64)


@pytest.mark.parametrize(
    ("name", "place", "value", "complaint"),
    [
        ("tokenizer.json", ("model", "vocab", "the"), 288, "has a tokenizer with ids up to 288 where the model has"),
        (
            "qformer_tokenizer/tokenizer.json",
            ("model", "vocab", "the"),
            30_000,
            "has a qformer_tokenizer with ids up to 30000 where the model has embeddings for 288 only",
        ),
        ("tokenizer.json", ("model", "type"), "Nothing", "cannot load the processor of 'copy' ("),
        ("tokenizer.json", ("model", "unk_token"), "nowhere", "makes no batch ("),
        ("tokenizer.json", ("post_processor", "single", 1, "SpecialToken", "id"), "nowhere", "PanicException"),
        ("processor_config.json", ("image_processor", "do_resize"), False, "makes pixels of the shape (1, 3, 20, 10)"),
        ("processor_config.json", ("image_processor", "image_std"), [0, 0, 0], "makes pixels that are no numbers"),
        ("processor_config.json", ("image_processor", "image_mean"), "x", "makes no batch ("),
        (
            "processor_config.json",
            ("image_processor", "crop_size"),
            {"height": 10**6, "width": 10**6},
            "makes pictures of 1000000 pixels a side by its crop_size",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_part_that_does_not_fit_is_named(
    copied: Checkpoint, name: str, place: Place, value: Any, complaint: str
) -> None:
    change(copied, name, (place, value))
    with pytest.raises(CheckpointError) as caught:
        load_processor(copied)
    said = str(caught.value)
    assert complaint in said
    assert said.endswith("; save the checkpoint again with save_pretrained")
    assert said.isprintable()


def test_a_tokenizer_that_cannot_pad(copied: Checkpoint) -> None:
    change(copied, "tokenizer_config.json", (("pad_token",), None))
    with pytest.raises(CheckpointError, match="the processor of 'copy' makes no batch"):
        load_processor(copied)


@pytest.mark.parametrize("key", ["pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id"])
@pytest.mark.parametrize("value", ["x", [], {}, 2.5, True, ["x"], [None, {}]])
def test_settings_of_generation_that_name_no_token(copied: Checkpoint, key: str, value: Any) -> None:
    change(copied, "generation_config.json", ((key,), value))
    with pytest.raises(CheckpointError, match=rf"generation_config\.json has the {key} .*, which is no token's number"):
        check_generation(copied)


def test_settings_of_generation_that_are_no_json(copied: Checkpoint) -> None:
    assert copied.folder is not None
    check_generation(copied)
    (copied.folder / "generation_config.json").write_bytes(b"[" * 50_000)
    with pytest.raises(CheckpointError, match="it is nested too deeply; save the checkpoint again"):
        check_generation(copied)
    (copied.folder / "generation_config.json").unlink()
    check_generation(copied)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError(), OSError(12, "Cannot allocate")])
def test_what_is_no_fault_of_a_file_is_passed_on(error: BaseException) -> None:
    with pytest.raises(type(error)), refusing("it"):
        raise error


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("tokenizer.json", ("model", "type"), "Nothing"),
        ("processor_config.json", ("image_processor", "do_resize"), False),
        ("generation_config.json", ("eos_token_id",), "x"),
    ],
)
def test_it_is_found_before_the_first_case(copied: Checkpoint, name: str, place: Place, value: Any) -> None:
    change(copied, name, (place, value))
    job = make_job()
    broken = Job.of(Case(**{**dataclasses.asdict(job.case), "model": str(copied.folder)}), **QUICK)
    with pytest.raises(PreflightError, match="; save the checkpoint again with save_pretrained"):
        Session().prepare([broken])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (
            None,
            "names no num_query_tokens, and a prompt of 'copy' needs 16 image tokens; add the number",
        ),
        (
            12,
            "fills a prompt with 12 image tokens (num_query_tokens) where the configuration of 'copy' has 16; give",
        ),
        ("16", "fills a prompt with '16' image tokens (num_query_tokens) where the configuration of 'copy' has 16;"),
    ],
)
def test_image_tokens_that_do_not_fit_the_model(copied: Checkpoint, value: Any, complaint: str) -> None:
    change(copied, "processor_config.json", (("num_query_tokens",), value))
    with pytest.raises(CheckpointError) as caught:
        load_processor(copied)
    assert complaint in str(caught.value)


def test_a_checkpoint_from_before_the_setting_gets_the_models_number(copied: Checkpoint) -> None:
    assert copied.folder is not None
    settings = json.loads((copied.folder / "processor_config.json").read_text())
    (copied.folder / "preprocessor_config.json").write_text(json.dumps(settings["image_processor"]))
    (copied.folder / "processor_config.json").unlink()
    assert load_processor(copied).num_query_tokens == copied.query_tokens
