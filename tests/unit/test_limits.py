"""The limit: rates, bytes and the floor, by hand."""

from __future__ import annotations

import pytest

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.flops import BatchShape, FlopCount, FlopCounter
from blip_fixtures.engine.limits import CacheShape, Rates, floor, measure_rates, weights_read
from blip_fixtures.words import Bound, Phase

SHAPE = BatchShape(batch_size=2, image_size=224, qformer_tokens=5, text_tokens=6, steps=4)
RATES = Rates(flops_per_s=100.0, bytes_per_s=dict.fromkeys(Phase, 10.0))
WEIGHTS = {Phase.VISION: 30, Phase.QFORMER: 20, Phase.PREFILL: 50, Phase.DECODE: 40}
CACHE = CacheShape(token_bytes=1, query_tokens=4)


@pytest.fixture(scope="module")
def counter(checkpoint: Checkpoint) -> FlopCounter:
    return FlopCounter(checkpoint)


def test_floor() -> None:
    limit = floor([(SHAPE, FlopCount(1000, 100, 400, 200))], WEIGHTS, CACHE, RATES)
    # Three later steps read 40 of weights each, 2 x 10 of the prompt's cache each, and 2 x (1 + 2 + 3) of the answer's.
    decode_s = (3 * 40 + 2 * (3 * 10 + 6)) / 10
    assert limit.phases_s == {Phase.VISION: 10, Phase.QFORMER: 2, Phase.PREFILL: 5, Phase.DECODE: decode_s}
    assert limit.seconds == pytest.approx(17 + decode_s)
    assert limit.ratio is None
    assert limit.bound_by == {
        Phase.VISION: Bound.ARITHMETIC,
        Phase.QFORMER: Bound.MEMORY,
        Phase.PREFILL: Bound.MEMORY,
        Phase.DECODE: Bound.MEMORY,
    }
    assert (limit.flops_per_s, limit.bytes_per_s) == (100.0, dict.fromkeys(Phase, 10.0))


def test_the_floor_of_several_batches_is_their_mean() -> None:
    light, heavy = FlopCount(1000, 0, 0, 0), FlopCount(3000, 0, 0, 0)
    one, two, both = (
        floor([(SHAPE, count) for count in counts], WEIGHTS, CACHE, RATES)
        for counts in ([light], [heavy], [light, heavy])
    )
    assert both.seconds == pytest.approx(((one.seconds or 0) + (two.seconds or 0)) / 2)


def test_one_token_is_bound_by_nothing_in_decoding() -> None:
    single = BatchShape(batch_size=2, image_size=224, qformer_tokens=5, text_tokens=6, steps=1)
    limit = floor([(single, FlopCount(1, 1, 1, 0))], WEIGHTS, CACHE, RATES)
    assert limit.bound_by is not None
    assert Phase.DECODE not in limit.bound_by


def test_each_weight_is_read_once_and_embeddings_by_the_row(counter: FlopCounter, loaded: LoadedModel) -> None:
    read = weights_read(loaded.model, counter.modules)
    vision = sum(parameter.nbytes for parameter in loaded.model.vision_model.parameters())
    assert read[Phase.VISION] == vision
    language = loaded.model.language_model
    embeddings = language.shared.weight.nbytes + sum(
        stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.nbytes
        for stack in (language.encoder, language.decoder)
    )
    # The head is the word embeddings again here, and it is read in full.
    unique = {id(parameter): parameter.nbytes for parameter in language.parameters()}
    assert read[Phase.PREFILL] == sum(unique.values()) - embeddings + language.lm_head.weight.nbytes


def test_later_steps_take_the_images_keys_from_the_cache(counter: FlopCounter) -> None:
    first, later = set(counter.modules[Phase.PREFILL]), set(counter.modules[Phase.DECODE])
    assert later < first
    decoder = {path for path in first - later if path.startswith("language_model.decoder")}
    assert decoder
    assert {path.rpartition("EncDecAttention.")[2] for path in decoder} == {"k", "v"}


def test_the_cache_of_the_full_size_model() -> None:
    """2 x 24 layers x 32 heads x 64 numbers of two bytes."""
    cache = CacheShape.of(CATALOG["Salesforce/instructblip-flan-t5-xl"], itemsize=2)
    assert cache == CacheShape(token_bytes=2 * 24 * 32 * 64 * 2, query_tokens=32)
    assert cache.bytes_held(rows=3, text_tokens=13, new_tokens=50) == 3 * cache.token_bytes * 95
    one, three = (BatchShape(2, 224, 13, 13, 50, beams=beams) for beams in (1, 3))
    assert cache.bytes_read(three) == 3 * cache.bytes_read(one)


def test_rates_of_this_machine(counter: FlopCounter, loaded: LoadedModel) -> None:
    rates = measure_rates(loaded.model, counter.modules, "cpu", "float32")
    assert rates.flops_per_s > 1e8
    assert rates.bytes_per_s.keys() == set(Phase)
    assert min(rates.bytes_per_s.values()) > 1e8


def test_rates_are_the_best_of_what_was_seen(counter: FlopCounter, loaded: LoadedModel) -> None:
    """A clock that lets one product take a second and another a thousandth: the thousandth counts."""
    ticks = iter([0.0, 1.0, 0.001] * 10_000)
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += next(ticks)
        return now

    rates = measure_rates(loaded.model, counter.modules, "cpu", "float32", timer=clock)
    largest = max(
        module.in_features * module.out_features
        for module in loaded.model.modules()
        if hasattr(module, "in_features") and module is not loaded.model.language_model.lm_head
    )
    assert rates.flops_per_s <= 2 * 1024 * largest / 0.001 * (1 + 1e-6)
    assert rates.flops_per_s > 2 * 1024 * 128 * 128 / 1.0
