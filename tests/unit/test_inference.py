"""Batches and generation: what reaches the model, and what comes back."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from blip_fixtures.case import Case
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import SampleSet, load_samples
from blip_fixtures.inference import Batch, BatchMaker, InputError, decode, generate, to_device
from blip_fixtures.measurement.workload import Workload
from blip_fixtures.options import NewTokens

PROMPTS = find_prompts("paper")


@pytest.fixture(scope="module")
def scienceqa() -> SampleSet:
    return load_samples("scienceqa", "sample")


@pytest.fixture(scope="module")
def maker(checkpoint: Checkpoint, processor: Any) -> BatchMaker:
    return BatchMaker(processor, checkpoint.config["image_token_index"], PROMPTS)


@pytest.fixture(scope="module")
def batch(maker: BatchMaker, scienceqa: SampleSet) -> Batch:
    return maker.batch(scienceqa, index=1, batch_size=4, image_size=336, text_limit=200)


def test_a_batch_holds_its_own_samples_at_the_asked_resolution(batch: Batch) -> None:
    assert batch.facts.samples == range(4, 8)
    assert batch.inputs["pixel_values"].shape == (4, 3, 336, 336)
    assert batch.inputs["pixel_values"].dtype == torch.float32


@pytest.mark.parametrize("limit", [200, 100, 50])
def test_the_limit_holds_for_both_tokenizers_without_the_query_tokens(
    maker: BatchMaker, scienceqa: SampleSet, processor: Any, limit: int
) -> None:
    batch = maker.batch(scienceqa, 0, batch_size=64, image_size=224, text_limit=limit)
    prompts = [PROMPTS.of("scienceqa").render(sample) for sample in scienceqa]
    lengths = [len(ids) for ids in processor.tokenizer(prompts).input_ids]
    assert max(lengths) > 200, "the packaged prompts must exceed every limit of the sweep"
    assert batch.facts.text_tokens == tuple(min(length, limit) for length in lengths)
    assert batch.facts.truncated == tuple(length > limit for length in lengths)
    assert batch.inputs["input_ids"].shape == (64, processor.num_query_tokens + limit)
    assert batch.facts.qformer_tokens == limit


def test_uncut_inputs_are_those_of_the_processor(maker: BatchMaker, processor: Any, scienceqa: SampleSet) -> None:
    batch = maker.batch(scienceqa, 0, batch_size=4, image_size=224, text_limit=500)
    rows = scienceqa[:4]
    own = processor(
        images=[row.image for row in rows],
        text=[PROMPTS.of("scienceqa").render(row) for row in rows],
        padding="longest",
        return_tensors="pt",
    )
    assert set(own) == set(batch.inputs)
    for name, tensor in own.items():
        assert torch.equal(batch.inputs[name], tensor), name


def test_prompts_are_padded_to_the_longest_only(maker: BatchMaker) -> None:
    batch = maker.batch(load_samples("coco", "sample"), 0, batch_size=4, image_size=224, text_limit=200)
    assert batch.facts.padded_text_tokens < 20


def test_every_row_holds_the_query_tokens_first(batch: Batch, checkpoint: Checkpoint) -> None:
    queries = checkpoint.config["num_query_tokens"]
    image_token = checkpoint.config["image_token_index"]
    assert (batch.inputs["input_ids"][:, :queries] == image_token).all()
    assert (batch.inputs["input_ids"][:, queries:] != image_token).all()


def test_a_foreign_image_token_is_an_error(checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet) -> None:
    question_token = processor.tokenizer("question").input_ids[0]
    maker = BatchMaker(processor, question_token, PROMPTS)
    with pytest.raises(
        InputError, match=r"hold \d+ image tokens where 2 x 16 are needed, so generate would ignore the"
    ):
        maker.batch(scienceqa, 0, batch_size=2, image_size=224, text_limit=200)


def test_a_batch_is_prepared_once(maker: BatchMaker, scienceqa: SampleSet) -> None:
    first = maker.batch(scienceqa, 0, batch_size=2, image_size=224, text_limit=60)
    assert maker.batch(scienceqa, 0, batch_size=2, image_size=224, text_limit=60) is first
    assert maker.batch(scienceqa, 0, batch_size=2, image_size=224, text_limit=61) is not first


def test_kept_batches_stay_within_their_budget(
    checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet, batch: Batch
) -> None:
    maker = BatchMaker(processor, checkpoint.config["image_token_index"], PROMPTS, budget_bytes=int(2.5 * batch.nbytes))
    first, second, third = (maker.batch(scienceqa, index, 4, 336, 200) for index in range(3))
    assert maker.batch(scienceqa, 2, 4, 336, 200) is third
    assert maker.batch(scienceqa, 1, 4, 336, 200) is second
    assert maker.batch(scienceqa, 0, 4, 336, 200) is not first


def test_a_batch_above_the_budget_is_still_prepared(
    checkpoint: Checkpoint, processor: Any, scienceqa: SampleSet
) -> None:
    maker = BatchMaker(processor, checkpoint.config["image_token_index"], PROMPTS, budget_bytes=1)
    assert maker.batch(scienceqa, 0, 1, 224, 200).facts.samples == range(1)


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
    answers = decode(processor, loaded.model, token_ids)
    assert answers.new_tokens == (3, 2)
    assert answers.steps == 3
    assert answers.texts == ("red red", "red")


def test_one_sample_answers_the_same_alone_and_in_a_batch(
    maker: BatchMaker, scienceqa: SampleSet, loaded: LoadedModel, processor: Any
) -> None:
    def texts(batch_size: int, index: int) -> tuple[str, ...]:
        batch = maker.batch(scienceqa, index, batch_size, image_size=224, text_limit=200)
        token_ids = generate(loaded.model, to_device(batch, "cpu", torch.float32), NewTokens(20))
        return decode(processor, loaded.model, token_ids).texts

    assert texts(4, 0) == tuple(text for index in range(4) for text in texts(1, index))


def test_what_is_kept_of_an_answered_batch_holds_no_tensor(
    checkpoint: Checkpoint, loaded: LoadedModel, processor: Any
) -> None:
    """The answers of a whole data set are kept until they are scored: pictures among them would fill the memory."""
    case = Case("m", "checkpoint", "textvqa", "cpu", "fp32", 2, 224, 50, "paper")
    maker = BatchMaker(processor, checkpoint.image_token_id, PROMPTS, budget_bytes=1)
    workload = Workload(case, loaded, processor, load_samples("textvqa", "sample", 4), maker, PROMPTS.of("textvqa"))
    walked = workload.answers(limit=3)
    assert len(pickle.dumps(walked)) < 2000
