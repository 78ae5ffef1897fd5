"""The interface of a family: what the suite asks of one, on a second family that is unlike the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from blip_fixtures import families
from blip_fixtures.case import NewTokens
from blip_fixtures.checkpoints.architecture import build_on_meta
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.processor import load_processor
from blip_fixtures.checkpoints.resolve import PACKAGED, Checkpoint, CheckpointError, find_architecture
from blip_fixtures.checkpoints.synthetic import build_random
from blip_fixtures.data.prompts import Prompt, find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.fit import Estimator, Size
from blip_fixtures.engine.flops import BatchShape, FlopCounter
from blip_fixtures.engine.inference import Batch, BatchMaker, generate, read, to_device
from blip_fixtures.engine.limits import CacheShape, weights_read
from blip_fixtures.families import FAMILIES, family_of
from blip_fixtures.families.compiling import CompiledRunner
from blip_fixtures.families.runner import Part
from blip_fixtures.words import Component, Phase, Weights
from tests.unit.fake_family import CONFIG, FEATURES, PIXELS, QUERIES, WIDTH, WORDS, FakeFamily, FakeModel


@pytest.fixture(autouse=True)
def second_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, FakeFamily()))


@pytest.fixture
def fake(tmp_path: Path) -> Checkpoint:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return find_architecture(str(tmp_path))


@pytest.fixture
def fake_loaded(fake: Checkpoint) -> LoadedModel:
    return LoadedModel(fake, "cpu", "fp32", build_random(fake.config, "cpu", "float32"), 0.0)


def test_each_configuration_has_its_family(fake: Checkpoint) -> None:
    assert isinstance(fake.family, FakeFamily)
    assert find_architecture(PACKAGED).family is FAMILIES[0]


def test_a_configuration_that_no_family_takes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this checkpoint is of model type 'llava' and the suite measures"):
        family_of({"model_type": "llava"})
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(CheckpointError, match=rf"checkpoint '{tmp_path}' is of model type 'llava' and the suite mea"):
        find_architecture(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"qformer_config": None}, "the config.json of it has no qformer_config; give a folder that save_pretrained"),
        (
            {"text_config": {"model_type": "gpt2"}},
            "the language model of it is of type 'gpt2' and the suite measures 't5' and 'llama' with instructblip",
        ),
        ({"image_token_index": None}, "the config.json of it names no image_token_index, and without it generate igno"),
    ],
)
def test_what_the_family_of_t5_needs(checkpoint: Checkpoint, change: dict[str, Any], complaint: str) -> None:
    assert family_of(checkpoint.config) is FAMILIES[0]
    with pytest.raises(ValueError, match=complaint):
        family_of({**checkpoint.config, **change}, "it")


def test_sizes_that_are_impossible_are_the_familys(fake: Checkpoint) -> None:
    assert fake.why_impossible(8, 40) is None
    assert (fake.why_impossible(8, 41) or "").startswith("sequence length 41 is above the 40 positions of the fake lan")
    assert (fake.query_tokens, fake.image_token_id) == (QUERIES, 19)


def test_flops_are_those_of_the_walk(fake: Checkpoint) -> None:
    shape = BatchShape(batch_size=2, image_size=12, qformer_tokens=0, text_tokens=7, steps=5, beams=3)
    count = FlopCounter(fake).count(shape)
    rows, positions = 2 * 3, QUERIES + 7
    head = 2 * rows * WIDTH * WORDS
    assert count.vision == 2 * 2 * 9 * PIXELS * FEATURES
    assert count.qformer == 2 * 2 * QUERIES * FEATURES * WIDTH
    assert count.prefill == 2 * rows * (positions * WIDTH * WIDTH + WIDTH * positions) + head
    # The keys of later steps are one more each time.
    keys = sum(positions + step for step in range(1, 5))
    assert count.decode == 4 * (2 * rows * WIDTH * WIDTH + head) + 2 * rows * WIDTH * keys


def test_modules_are_those_that_the_walk_runs(fake: Checkpoint, fake_loaded: LoadedModel) -> None:
    modules = FlopCounter(fake).modules
    assert modules == {
        Phase.VISION: ("vision_model",),
        Phase.QFORMER: ("qformer",),
        Phase.PREFILL: ("language_model.block", "language_model.lm_head"),
        Phase.DECODE: ("language_model.block", "language_model.lm_head"),
    }
    assert weights_read(fake_loaded.model, modules)[Phase.VISION] == 4 * PIXELS * FEATURES


def test_needs_are_those_of_the_walk(fake: Checkpoint) -> None:
    estimator = Estimator(fake.config, "float16")
    # The head stays in fp32, as the model's plan says.
    weights = 2 * (PIXELS * FEATURES + FEATURES * WIDTH + WIDTH * WIDTH) + 4 * WIDTH * WORDS
    need = estimator.need(Size(batch_size=2, image_size=12, text_tokens=7, new_tokens=5))
    assert need.weights == weights
    # The widest moment: the block's output, the keys, and the product of both for the last position.
    positions = QUERIES + 7
    language = 2 * 2 * (positions * WIDTH + WIDTH * positions + positions)
    assert language > 2 * 2 * 9 * FEATURES, "the vision encoder holds less"
    assert need.activations == int(1.5 * language)
    assert need.cache == 2 * 2 * WIDTH * 2 * (QUERIES + 7 + 5)


def test_what_an_earlier_phase_left_counts_too(fake: Checkpoint) -> None:
    step = fake.family.walk(build_on_meta(fake.config)).qformer(2, 8, 0)
    assert step.held_bytes == 4 * 2 * QUERIES * FEATURES
    small = Estimator(fake.config, "float32").need(Size(batch_size=2, image_size=4, text_tokens=1, new_tokens=1))
    assert small.activations >= int(1.5 * (step.held_bytes + 4 * 2 * QUERIES * WIDTH))


def test_the_cache_is_the_familys(fake: Checkpoint) -> None:
    assert CacheShape.of(fake.config, 2) == CacheShape(token_bytes=2 * WIDTH * 2, query_tokens=QUERIES)


def test_a_step_runs_when_it_is_asked_to(checkpoint: Checkpoint) -> None:
    """Whoever counts watches one step alone."""
    walk = checkpoint.family.walk(build_on_meta(checkpoint.config))
    steps = []
    with FlopCounterMode(display=False) as before:
        steps += [walk.vision(1, 224), walk.qformer(1, 224, 2), next(walk.language(1, 2))]
    assert before.get_total_flops() == 0
    assert [step.phase for step in steps] == [Phase.VISION, Phase.QFORMER, Phase.PREFILL]
    for step in steps:
        with FlopCounterMode(display=False) as alone, torch.no_grad():
            step.run()
        assert alone.get_total_flops() > 0


@pytest.fixture
def fake_batch(fake: Checkpoint) -> tuple[Any, Batch]:
    processor = load_processor(Checkpoint(fake.model, None, "", fake.config, Weights.RANDOM))
    samples = load_samples("coco", "sample", 2)
    prompt = Prompt(parts=("a short one", "and longer"), join=" ")
    maker = BatchMaker(processor, fake)
    return processor, maker.batch(samples, 0, batch_size=2, image_size=8, text_limit=4, prompt=prompt)


def test_a_batch_holds_what_the_familys_generate_takes(fake_batch: tuple[Any, Batch]) -> None:
    _, batch = fake_batch
    assert tuple(batch.inputs) == FakeFamily.input_names
    assert batch.inputs["pixel_values"].shape == (2, 3, 8, 8)
    assert batch.inputs["input_ids"].shape == (2, QUERIES + 4)
    assert (batch.facts.text_tokens, batch.facts.qformer_tokens, batch.facts.truncated) == ((4, 4), 0, (True, True))


def test_an_answer_begins_where_the_family_says(fake_batch: tuple[Any, Batch], fake_loaded: LoadedModel) -> None:
    processor, batch = fake_batch
    inputs = to_device(batch, "cpu", fake_loaded.pixel_dtype)
    token_ids = generate(fake_loaded.runner, inputs, NewTokens(3))
    assert token_ids.shape == (2, QUERIES + 4 + 3)
    fake_loaded.model.generation_config.eos_token_id = [1, 2]
    answers = read(processor, fake_loaded, token_ids[:, fake_loaded.family.answer(inputs)])
    assert answers.new_tokens == (2, 3)
    assert answers.steps == 3
    assert answers.texts[1].startswith("<6>")


def test_parts_end_where_the_family_says(fake_batch: tuple[Any, Batch], fake_loaded: LoadedModel) -> None:
    _, batch = fake_batch
    ended: list[Part] = []
    with fake_loaded.runner.parts_ended(ended.append):
        generate(fake_loaded.runner, to_device(batch, "cpu", torch.float32), NewTokens(3))
    assert ended == [Part.VISION, Part.QFORMER, *[Part.STEP] * 3]


def test_components_are_those_that_the_model_has(fake_loaded: LoadedModel) -> None:
    assert list(fake_loaded.components) == [Component.VISION, Component.LANGUAGE_DECODER]


def test_synthetic_weights_keep_to_the_familys_rules(fake_loaded: LoadedModel) -> None:
    model = fake_loaded.model
    assert isinstance(model, FakeModel)
    assert float(model.qformer.weight.std()) == pytest.approx(0.5, rel=0.3)
    assert float(model.vision_model.weight.std()) == pytest.approx(PIXELS**-0.5, rel=0.3)
    assert model.generation_config.eos_token_id == 1


def test_compiled_generation_ends_at_any_of_several_end_tokens(
    checkpoint: Checkpoint, loaded: LoadedModel, processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transformers' own `generate` does. Its parts run as they are: compiling them takes most of ten seconds."""
    monkeypatch.setattr(CompiledRunner, "_compiled", lambda _runner, part, **_: part)
    samples, prompt = load_samples("coco", "sample", 4), find_prompts("paper").of("coco")
    maker = BatchMaker(processor, checkpoint)
    batch = maker.batch(samples, 0, batch_size=4, image_size=224, text_limit=60, prompt=prompt)
    inputs, new_tokens = to_device(batch, "cpu", torch.float32), NewTokens(6)
    first = generate(loaded.model, inputs, new_tokens)
    settings = loaded.model.language_model.generation_config
    monkeypatch.setattr(settings, "eos_token_id", [settings.eos_token_id, int(first[0, 3])])
    expected = generate(loaded.model, inputs, new_tokens)
    assert not torch.equal(expected, first)
    runner = checkpoint.family.compiled_runner(loaded.model, cuda=False)
    runner.prepare(60, lambda: generate(runner, inputs, new_tokens))
    try:
        assert torch.equal(generate(runner, inputs, new_tokens), expected)
    finally:
        runner.close()
