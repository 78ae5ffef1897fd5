"""The tokenizer of architectures that come without one: counts like T5's, ids that the model knows."""

from __future__ import annotations

import pytest

from blip_fixtures.checkpoints.processor import generic_tokenizer, load_processor
from blip_fixtures.checkpoints.resolve import find_architecture
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.inference import BatchMaker

XL = "Salesforce/instructblip-flan-t5-xl"
# Sentences whose token counts under T5's own tokenizer, end token included, stand in the documentation of transformers.
T5_COUNTS = {
    "translate English to German: The house is wonderful.": 11,
    "Studies have been shown that owning a dog is good for you": 15,
    "Hello, my dog is cute": 7,
    "summarize: studies have shown that owning a dog is good for you": 16,
}


@pytest.mark.parametrize(("text", "count"), T5_COUNTS.items())
def test_counts_are_about_those_of_t5(text: str, count: int) -> None:
    assert len(generic_tokenizer(32128)(text).input_ids) == pytest.approx(count, rel=0.2)


def test_ids_are_known_to_the_model_and_never_reserved() -> None:
    words = " ".join(f"w{letter}{other}" for letter in "abcdefghij" for other in "klmnopqrst")
    ids = generic_tokenizer(40, reserved=(7, 30))(words).input_ids
    assert set(ids) <= set(range(1, 40)) - {7, 30}
    assert len(set(ids)) > 20


def test_the_same_text_has_the_same_ids_in_every_process() -> None:
    assert generic_tokenizer(32128)("what is this?").input_ids == [25960, 1028, 26921, 19786, 1]


def test_padding_and_truncation_are_the_librarys() -> None:
    tokens = generic_tokenizer(32128)(
        ["what is this?", "yes"], padding="longest", truncation=True, max_length=4, return_tensors="pt"
    )
    assert tokens.input_ids.tolist()[0][-1] == 1
    assert tokens.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert tokens.input_ids.tolist()[1][1:] == [1, 0, 0]


def test_a_bert_like_one_has_a_token_at_each_end() -> None:
    ids = generic_tokenizer(30523, cls=True)("one two").input_ids
    assert (ids[0], ids[-1], len(ids)) == (3, 1, 4)


def test_batches_of_the_full_size_architecture() -> None:
    checkpoint = find_architecture(XL, "random")
    processor = load_processor(checkpoint)
    assert (processor.num_query_tokens, processor.image_processor.size["height"]) == (32, 224)
    maker = BatchMaker(processor, checkpoint)
    samples, prompt = load_samples("scienceqa", "sample", 4), find_prompts("paper").of("scienceqa")
    batch = maker.batch(samples, 0, batch_size=4, image_size=336, text_limit=50, prompt=prompt)
    assert batch.inputs["pixel_values"].shape == (4, 3, 336, 336)
    assert int((batch.inputs["input_ids"] == 32100).sum()) == 4 * 32
    assert batch.facts.padded_text_tokens <= 50
    assert any(batch.facts.truncated)
