"""The limit: bytes, floors, ratios and shares, by hand."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blip_fixtures.checkpoints.catalog import CATALOG
from blip_fixtures.checkpoints.loading import LoadedModel
from blip_fixtures.checkpoints.resolve import Checkpoint
from blip_fixtures.engine.flops import BatchShape, FlopCount, FlopCounter
from blip_fixtures.engine.limits import (
    CacheShape,
    Floor,
    Rates,
    bounds,
    floors,
    is_below,
    mean_phases_s,
    round_ratios,
    shares,
    weights_read,
)
from blip_fixtures.words import Bound, Phase

SHAPE = BatchShape(batch_size=2, image_size=224, qformer_tokens=5, text_tokens=6, steps=4)
RATES = Rates(flops_per_s=dict.fromkeys(Phase, 100.0), bytes_per_s=dict.fromkeys(Phase, 10.0))
WEIGHTS = {Phase.VISION: 30, Phase.QFORMER: 20, Phase.PREFILL: 50, Phase.DECODE: 40}
CACHE = CacheShape(token_bytes=1, query_tokens=4)


@pytest.fixture(scope="module")
def counter(checkpoint: Checkpoint) -> FlopCounter:
    return FlopCounter(checkpoint)


def test_floors() -> None:
    (floor,) = floors([(SHAPE, FlopCount(1000, 100, 400, 200))], WEIGHTS, CACHE, RATES)
    # Three later steps read 40 of weights each, 2 x 10 of the prompt's cache each, and 2 x (1 + 2 + 3) of the answer's.
    decode_s = (3 * 40 + 2 * (3 * 10 + 6)) / 10
    assert floor.phases_s == {Phase.VISION: 10, Phase.QFORMER: 2, Phase.PREFILL: 5, Phase.DECODE: decode_s}
    assert floor.seconds == pytest.approx(17 + decode_s)
    assert bounds([floor]) == {
        Phase.VISION: Bound.ARITHMETIC,
        Phase.QFORMER: Bound.MEMORY,
        Phase.PREFILL: Bound.MEMORY,
        Phase.DECODE: Bound.MEMORY,
    }


def test_the_floor_of_several_batches_is_their_mean() -> None:
    light, heavy = FlopCount(1000, 0, 0, 0), FlopCount(3000, 0, 0, 0)
    one, two, both = (
        mean_phases_s(floors([(SHAPE, count) for count in counts], WEIGHTS, CACHE, RATES))
        for counts in ([light], [heavy], [light, heavy])
    )
    assert both == pytest.approx({phase: (one[phase] + two[phase]) / 2 for phase in Phase})


def test_one_token_is_bound_by_nothing_in_decoding() -> None:
    single = BatchShape(batch_size=2, image_size=224, qformer_tokens=5, text_tokens=6, steps=1)
    found = floors([(single, FlopCount(1, 1, 1, 0))], WEIGHTS, CACHE, RATES)
    assert Phase.DECODE not in bounds(found)
    assert Phase.DECODE not in bounds(found, busy_share=0.0)


@pytest.mark.parametrize(
    ("busy_share", "bound"),
    [(None, Bound.MEMORY), (1.0, Bound.MEMORY), (0.5, Bound.MEMORY), (0.49, Bound.HOST), (0.0, Bound.HOST)],
)
def test_a_device_that_is_idle_for_most_of_decoding_waits_for_the_host(busy_share: float | None, bound: Bound) -> None:
    found = floors([(SHAPE, FlopCount(1000, 100, 400, 200))], WEIGHTS, CACHE, RATES)
    plain = bounds(found)
    assert bounds(found, busy_share) == {**plain, Phase.DECODE: bound}


def floor_of(seconds: float) -> Floor:
    return Floor({**dict.fromkeys(Phase, 0.0), Phase.VISION: seconds}, dict.fromkeys(Phase, 0.0))


def test_each_round_is_held_against_the_least_time_of_its_own_batch() -> None:
    assert round_ratios([2.0, 30.0, 4.0], [floor_of(1.0), floor_of(10.0)]) == [2.0, 3.0, 4.0]
    assert round_ratios([2.0], [floor_of(0.0)]) == [0.0]


@given(
    least=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8),
    slower=st.lists(st.floats(1.0, 1e3), min_size=1, max_size=20),
)
def test_uneven_batches_alone_never_push_the_ratio_below_one(least: list[float], slower: list[float]) -> None:
    """The median latency over the mean floor did: with two short answers and a long one it is far below their mean."""
    rounds_s = [factor * least[number % len(least)] for number, factor in enumerate(slower)]
    ratios = round_ratios(rounds_s, [floor_of(seconds) for seconds in least])
    assert median(ratios) >= 1 - 1e-9
    assert not is_below([max(ratio, 1.0) for ratio in ratios])


@pytest.mark.parametrize(
    ("ratios", "below"),
    [
        ([0.9, 0.95, 0.97, 0.99], True),
        ([0.9, 0.95, 0.97, 1.2], False),
        ([0.99, 0.99, 1.01, 1.02], False),
        ([2.0, 3.0], False),
        ([0.5], True),
        ([1.0], False),
    ],
)
def test_rounds_are_below_the_limit_where_more_than_three_of_four_are(ratios: list[float], below: bool) -> None:
    assert is_below(ratios) is below


def test_the_share_of_the_kernels_by_hand() -> None:
    machine = [Floor(dict.fromkeys(Phase, 1.0), dict.fromkeys(Phase, 0.5))]
    own = [Floor({**dict.fromkeys(Phase, 2.0), Phase.DECODE: 0.5}, dict.fromkeys(Phase, 1.0))]
    share, by_phase = shares(machine, own)
    assert share == pytest.approx(4 / 7)
    assert by_phase == {Phase.VISION: 0.5, Phase.QFORMER: 0.5, Phase.PREFILL: 0.5, Phase.DECODE: 1.0}


@given(
    counts=st.lists(st.tuples(*[st.integers(0, 10**12)] * 4), min_size=1, max_size=4),
    slower=st.lists(st.floats(1.0, 1e4), min_size=8, max_size=8),
)
def test_a_share_lies_between_nothing_and_all(counts: list[tuple[int, ...]], slower: list[float]) -> None:
    batches = [(SHAPE, FlopCount(*count)) for count in counts]
    own = Rates(
        {phase: RATES.flops_per_s[phase] / factor for phase, factor in zip(Phase, slower[:4], strict=True)},
        {phase: RATES.bytes_per_s[phase] / factor for phase, factor in zip(Phase, slower[4:], strict=True)},
    )
    share, by_phase = shares(*(floors(batches, WEIGHTS, CACHE, rates) for rates in (RATES, own)))
    assert share is not None
    assert all(0 < each <= 1 for each in (share, *by_phase.values()))


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
