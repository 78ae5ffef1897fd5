"""Batches and generation: what reaches the model, and what comes back."""

from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import Prompt, find_prompts
from blip_fixtures.data.sources import SampleSet, load_samples
from blip_fixtures.engine.inference import Batch, BatchMaker, generate, read, to_device
from blip_fixtures.engine.workload import Workload
from blip_fixtures.families import InputError
from blip_fixtures.job import Job

PROMPT = find_prompts("paper").of("scienceqa")
CASE = Case(
    model="m",
    dataset="textvqa",
    device="cpu",
    optimization="fp32",
    batch_size=2,
    image_size=224,
    sequence_length=50,
)


@pytest.fixture(scope="module")
def scienceqa() -> SampleSet:
    return load_samples("scienceqa", "sample")


@pytest.fixture(scope="module")
def maker(checkpoint: Checkpoint, processor: Any) -> BatchMaker:
    return BatchMaker(processor, checkpoint)


def make(
    maker: BatchMaker,
    samples: SampleSet,
    index: int = 0,
    *,
    batch_size: int = 2,
    image_size: int = 224,
    text_limit: int = 200,
    prompt: Prompt = PROMPT,
) -> Batch:
    return maker.batch(
        samples, index, batch_size=batch_size, image_size=image_size, text_limit=text_limit, prompt=prompt
    )


@pytest.fixture(scope="module")
def batch(maker: BatchMaker, scienceqa: SampleSet) -> Batch:
    return make(maker, scienceqa, 1, batch_size=4, image_size=336)


def test_a_batch_holds_its_own_samples_at_the_asked_resolution(batch: Batch) -> None:
    assert batch.facts.samples == range(4, 8)
    assert batch.inputs["pixel_values"].shape == (4, 3, 336, 336)
    assert batch.inputs["pixel_values"].dtype == torch.float32


@pytest.mark.parametrize("limit", [200, 100, 50])
def test_the_limit_holds_for_both_tokenizers_without_the_query_tokens(
    maker: BatchMaker, scienceqa: SampleSet, processor: Any, limit: int
) -> None:
    batch = make(maker, scienceqa, batch_size=64, text_limit=limit)
    prompts = [PROMPT.render(sample) for sample in scienceqa]
    lengths = [len(ids) for ids in processor.tokenizer(prompts).input_ids]
    assert max(lengths) > 200, "the packaged prompts must exceed every limit of the sweep"
    assert batch.facts.text_tokens == tuple(min(length, limit) for length in lengths)
    assert batch.facts.truncated == tuple(length > limit for length in lengths)
    assert batch.inputs["input_ids"].shape == (64, processor.num_query_tokens + limit)
    assert batch.facts.qformer_tokens == limit


def test_uncut_inputs_are_those_of_the_processor(maker: BatchMaker, processor: Any, scienceqa: SampleSet) -> None:
    batch = make(maker, scienceqa, batch_size=4, text_limit=500)
    rows = scienceqa[:4]
    own = processor(
        images=[row.image for row in rows],
        text=[PROMPT.render(row) for row in rows],
        padding="longest",
        return_tensors="pt",
    )
    assert set(own) == set(batch.inputs)
    for name, tensor in own.items():
        assert torch.equal(batch.inputs[name], tensor), name


def test_prompts_are_padded_to_the_longest_only(maker: BatchMaker) -> None:
    batch = make(maker, load_samples("coco", "sample"), batch_size=4, prompt=find_prompts("paper").of("coco"))
    assert batch.facts.padded_text_tokens < 20


def test_every_row_holds_the_query_tokens_first(batch: Batch, checkpoint: Checkpoint) -> None:
    queries = checkpoint.config["num_query_tokens"]
    image_token = checkpoint.config["image_token_index"]
    assert (batch.inputs["input_ids"][:, :queries] == image_token).all()
    assert (batch.inputs["input_ids"][:, queries:] != image_token).all()


def test_a_foreign_image_token_is_an_error(checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet) -> None:
    question_token = processor.tokenizer("question").input_ids[0]
    foreign = dataclasses.replace(checkpoint, config={**checkpoint.config, "image_token_index": question_token})
    with pytest.raises(
        InputError, match=r"hold \d+ image tokens where 2 x 16 are needed, so generate would ignore the"
    ):
        make(BatchMaker(processor, foreign), scienceqa)


def test_a_batch_is_prepared_once(maker: BatchMaker, scienceqa: SampleSet) -> None:
    first = make(maker, scienceqa, text_limit=60)
    assert make(maker, scienceqa, text_limit=60) is first
    assert make(maker, scienceqa, text_limit=61) is not first


def test_prompts_of_several_sets_do_not_meet(maker: BatchMaker, scienceqa: SampleSet) -> None:
    first = make(maker, scienceqa)
    other = make(maker, scienceqa, prompt=Prompt(parts=("Say anything.",)))
    assert other.facts.text_tokens != first.facts.text_tokens
    assert make(maker, scienceqa, prompt=dataclasses.replace(PROMPT)) is first


def test_sets_of_one_dataset_do_not_meet(maker: BatchMaker, scienceqa: SampleSet) -> None:
    first = make(maker, scienceqa)
    assert make(maker, dataclasses.replace(scienceqa, source="another folder")) is not first
    assert make(maker, dataclasses.replace(scienceqa, revision="another digest")) is not first
    assert make(maker, dataclasses.replace(scienceqa, order=scienceqa.order[1:], skipped=1)) is not first


def test_kept_batches_stay_within_their_budget(
    checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet, batch: Batch
) -> None:
    maker = BatchMaker(processor, checkpoint, budget_bytes=int(2.5 * batch.nbytes))
    first, second, third = (make(maker, scienceqa, index, batch_size=4, image_size=336) for index in range(3))
    assert make(maker, scienceqa, 2, batch_size=4, image_size=336) is third
    assert make(maker, scienceqa, 1, batch_size=4, image_size=336) is second
    assert make(maker, scienceqa, 0, batch_size=4, image_size=336) is not first


def test_a_batch_above_the_budget_is_still_prepared(
    checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet
) -> None:
    maker = BatchMaker(processor, checkpoint, budget_bytes=1)
    assert make(maker, scienceqa, batch_size=1).facts.samples == range(1)


def test_pixels_take_the_models_dtype_and_ids_keep_theirs(batch: Batch) -> None:
    inputs = to_device(batch, "cpu", torch.float16)
    assert inputs["pixel_values"].dtype == torch.float16
    assert inputs["input_ids"].dtype == torch.int64


@pytest.mark.parametrize("count", [1, 7])
def test_fixed_generates_exactly_that_many_tokens(batch: Batch, loaded: LoadedModel, count: int) -> None:
    token_ids = generate(loaded.model, to_device(batch, "cpu", torch.float32), NewTokens(count, fixed=True))
    assert token_ids.shape == (4, 1 + count)


def test_counts_stop_at_the_end_token(loaded: LoadedModel, processor: Any) -> None:
    end, pad = loaded.model.generation_config.eos_token_id, loaded.model.generation_config.pad_token_id
    word = processor.tokenizer("red", add_special_tokens=False).input_ids[0]
    token_ids = torch.tensor([[pad, word, word, end], [pad, word, end, pad]])
    answers = read(processor, loaded, token_ids[:, loaded.family.answer({})])
    assert answers.new_tokens == (3, 2)
    assert answers.steps == 3
    assert answers.texts == ("red red", "red")


def test_any_of_several_end_tokens_ends_an_answer(
    loaded: LoadedModel, processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded.family.generation_config(loaded.model)
    end, pad = settings.eos_token_id, settings.pad_token_id
    word, other = processor.tokenizer("red blue", add_special_tokens=False).input_ids
    monkeypatch.setattr(settings, "eos_token_id", [end, other])
    token_ids = torch.tensor([[pad, word, other, end, word], [pad, end, word, word, word], [pad, *[word] * 4]])
    assert read(processor, loaded, token_ids[:, loaded.family.answer({})]).new_tokens == (2, 1, 4)


def test_one_sample_answers_the_same_alone_and_in_a_batch(
    maker: BatchMaker, scienceqa: SampleSet, loaded: LoadedModel, processor: Any
) -> None:
    def texts(batch_size: int, index: int) -> tuple[str, ...]:
        inputs = to_device(make(maker, scienceqa, index, batch_size=batch_size), "cpu", torch.float32)
        token_ids = generate(loaded.model, inputs, NewTokens(20))
        return read(processor, loaded, token_ids[:, loaded.family.answer(inputs)]).texts

    assert texts(4, 0) == tuple(text for index in range(4) for text in texts(1, index))


def test_what_is_kept_of_an_answered_batch_holds_no_tensor(
    checkpoint: Checkpoint, loaded: LoadedModel, processor: Any
) -> None:
    """The answers of a whole data set are kept until they are scored: pictures among them would fill the memory."""
    maker = BatchMaker(processor, checkpoint, budget_bytes=1)
    job = Job.of(CASE, new_tokens=NewTokens(3))
    workload = Workload(job, loaded, processor, load_samples("textvqa", "sample", 4), maker)
    walked = [(workload.facts(number), workload.answer(number)) for number in range(workload.batches)]
    assert len(pickle.dumps(walked)) < 2000


def test_a_probe_generates_as_the_rounds_do(
    checkpoint: Checkpoint, loaded: LoadedModel, processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a probe finds, such as the attention backends, is said of the rounds."""
    calls: list[dict[str, Any]] = []

    def noting(**settings: Any) -> None:
        calls.append({name: each for name, each in settings.items() if not torch.is_tensor(each)})

    monkeypatch.setattr(loaded.model, "generate", noting)
    beams = dataclasses.replace(PROMPT, num_beams=3, length_penalty=-1.0, repetition_penalty=1.5)
    job = Job.of(CASE, new_tokens=NewTokens(3, fixed=True), prompt=beams)
    samples = load_samples("textvqa", "sample", 4)
    workload = Workload(job, loaded, processor, samples, BatchMaker(processor, checkpoint))
    workload.generate(workload.inputs(0))
    workload.probe.run()
    workload.probe.run_eager()
    assert (calls[0]["num_beams"], calls[0]["length_penalty"], calls[0]["min_new_tokens"]) == (3, -1.0, 3)
    assert calls[0]["repetition_penalty"] == 1.5
    assert calls == calls[:1] * 3


@pytest.mark.parametrize(
    ("settings", "new_tokens", "said"),
    [
        ({}, NewTokens(5), {"min_new_tokens": None}),
        ({"penalty": {}, "min_new_tokens": 0}, NewTokens(5), {"min_new_tokens": None}),
        ({"penalty": {"repetition_penalty": 1.5}}, NewTokens(5), {"min_new_tokens": None, "repetition_penalty": 1.5}),
        ({"min_new_tokens": 2}, NewTokens(5), {"min_new_tokens": 2}),
        ({"min_new_tokens": 2}, NewTokens(5, fixed=True), {"min_new_tokens": 5}),
    ],
)
def test_the_model_is_told_what_the_protocol_says_and_no_more(
    settings: dict[str, Any], new_tokens: NewTokens, said: dict[str, Any]
) -> None:
    """A row without a penalty makes the very calls that it made before there were penalties."""
    calls: list[dict[str, Any]] = []
    model = SimpleNamespace(
        config=SimpleNamespace(vision_config=SimpleNamespace(image_size=224)),
        generate=lambda **given: calls.append(given),
    )
    generate(model, {"pixel_values": torch.zeros(1, 3, 224, 224)}, new_tokens, **settings)
    del calls[0]["pixel_values"]
    plain = {"interpolate_pos_encoding": False, "max_new_tokens": 5, "do_sample": False, "num_beams": 1}
    assert calls == [{**plain, **said}]


def test_a_repetition_penalty_changes_what_the_model_says(
    loaded: LoadedModel, processor: Any, checkpoint: Checkpoint
) -> None:
    samples, maker = load_samples("textvqa", "sample", 4), BatchMaker(processor, checkpoint)
    answers = {}
    for penalty in (1.0, 50.0):
        prompt = dataclasses.replace(PROMPT, repetition_penalty=penalty, min_new_tokens=8)
        job = Job.of(CASE, new_tokens=NewTokens(8), prompt=prompt)
        answers[penalty] = Workload(job, loaded, processor, samples, maker).answer(0)
    assert set(answers[1.0].new_tokens) == {8}, "the least number of tokens"
    assert answers[1.0].texts != answers[50.0].texts


def test_the_facts_of_a_batch_outlive_its_tensors(
    checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for the longest prompts of a large data set must not prepare all its pictures again and again."""
    maker = BatchMaker(processor, checkpoint, budget_bytes=1)
    kind: dict[str, Any] = {"batch_size": 2, "image_size": 224, "text_limit": 200, "prompt": PROMPT}
    first, second = (maker.facts(scienceqa, index, **kind) for index in range(2))
    assert first == make(maker, scienceqa, 0).facts
    monkeypatch.setattr(maker, "_prepare", lambda *_: pytest.fail("a batch was prepared again"))
    assert [maker.facts(scienceqa, index, **kind) for index in range(2)] == [first, second]
