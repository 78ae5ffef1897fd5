"""Ranking: the log-likelihoods of a batch of options are those of one option at a time, in every family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from blip_fixtures.case import Case
from blip_fixtures.data.sources import load_samples
from blip_fixtures.engine.fit import Estimator, Size
from blip_fixtures.engine.flops import BatchShape
from blip_fixtures.engine.session import Session
from blip_fixtures.families.ranking import NAMES, options_of, tokenize_options
from blip_fixtures.job import Job, SampleSource
from blip_fixtures.record import Record
from blip_fixtures.words import Decoding, EnergyMode, Phase, Status
from tests.unit.test_twins import BATCH, LIMIT, Twin
from tests.unit.twins import CONFIGS, DECODER_ONLY, SIZE
from tools import ranking_merit

# Of different number and length; the last sample has one that is a beginning of another.
OPTIONS = [["sign", "what is on it"], ["a", "b", "c d e f g"], ["a short"], ["the sign", "the sign on the left", "x"]]


@pytest.fixture(scope="module", params=list(CONFIGS))
def twin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return Twin(request.param, tmp_path_factory.mktemp("ranked") / request.param)


def ranked(twin: Twin, options: list[list[str]]) -> Any:
    inputs = {**twin.inputs(0, len(options)), **twin.family.tokenize_options(twin.processor, options)}
    return twin.family.rank(twin.loaded.model, inputs, interpolate_pos_encoding=False)


def alone(twin: Twin, number: int, option: str) -> float:
    """One option of one sample through transformers' own `forward`: no cache, no padding, no other option."""
    inputs, tokenizer = twin.inputs(number, 1), twin.processor.tokenizer
    if twin.name in DECODER_ONLY:
        begins = " " if twin.name == "blip2-opt" else ""
        ids = tokenizer(begins + option, add_special_tokens=False, return_tensors="pt").input_ids
        joined = torch.cat([inputs["input_ids"], ids], dim=1)
        logits = twin.loaded.model(**{**inputs, "input_ids": joined, "attention_mask": torch.ones_like(joined)}).logits[
            :, -ids.shape[1] - 1 : -1
        ]
    else:
        ids = tokenizer(option, return_tensors="pt").input_ids
        logits = twin.loaded.model(**inputs, labels=ids).logits
    return float(logits.log_softmax(dim=-1).gather(2, ids[..., None]).sum())


def test_a_batch_of_options_scores_as_each_alone(twin: Twin) -> None:
    found = ranked(twin, OPTIONS)
    assert found.shape == (BATCH, 3)
    with torch.no_grad():
        for number, options in enumerate(OPTIONS):
            expected = [alone(twin, number, option) for option in options]
            assert found[number, : len(options)].tolist() == pytest.approx(expected, abs=1e-4)
            assert len({round(score, 3) for score in expected}) == len(options), "the options differ"
    assert found[0, 2] == found[2, 1] == float("-inf")


def test_the_order_of_options_changes_nothing_but_their_order(twin: Twin) -> None:
    forwards, backwards = ranked(twin, OPTIONS), ranked(twin, [options[::-1] for options in OPTIONS])
    for number, options in enumerate(OPTIONS):
        there, back = forwards[number, : len(options)], backwards[number, : len(options)]
        assert torch.allclose(there, back.flip(0), atol=1e-5)


def test_equal_options_score_alike(twin: Twin) -> None:
    found = ranked(twin, [["sign", "the left", "sign"]])
    assert found[0, 0] == found[0, 2]


@pytest.mark.parametrize(("batch", "tokens", "counts"), [(1, 6, (1,)), (2, 9, (3, 2)), (3, 4, (1, 4, 2))])
def test_flops_are_those_of_the_walk(twin: Twin, batch: int, tokens: int, counts: tuple[int, ...]) -> None:
    """Phase by phase; one option with a single token is the least."""
    model = twin.with_eager_attention
    option_tokens = max(counts)
    image_ids = torch.full((batch, twin.checkpoint.query_tokens), twin.checkpoint.image_token_id)
    ids = torch.cat([image_ids, torch.full((batch, tokens), 10)], dim=1)
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    inputs: dict[str, Any] = {
        "pixel_values": torch.zeros(batch, 3, SIZE, SIZE),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "qformer_input_ids": torch.full((batch, tokens), 10),
        "qformer_attention_mask": torch.ones(batch, tokens, dtype=torch.long),
        "option_ids": torch.full((len(rows), option_tokens), 10),
        "option_mask": torch.ones(len(rows), option_tokens, dtype=torch.long),
        "option_rows": torch.tensor(rows),
        "option_places": torch.zeros(batch, max(counts), dtype=torch.long),
    }
    with FlopCounterMode(display=False) as real:
        twin.family.rank(model, inputs, interpolate_pos_encoding=False)
    walk = twin.family.walk(build(twin))
    steps = [walk.vision(batch, SIZE), walk.qformer(batch, SIZE, tokens)]
    counted = {}
    for step in (*steps, *walk.ranking(batch, tokens, len(rows), option_tokens)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            step.run()
        counted[step.phase] = counter.get_total_flops()
    assert sum(counted.values()) == real.get_total_flops()
    assert (Phase.DECODE in counted) == (twin.name in DECODER_ONLY)


def build(twin: Twin) -> Any:
    from blip_fixtures.checkpoints.architecture import build_on_meta

    return build_on_meta(twin.checkpoint.config, attention="eager")


def test_an_option_without_a_token_is_refused() -> None:
    class Tokenizer:
        def __call__(self, text: str, **_: Any) -> Any:
            return type("Ids", (), {"input_ids": [5] * len(text)})

    with pytest.raises(ValueError, match="the option '' has no token, so that nothing can be scored"):
        tokenize_options(Tokenizer(), [["a", ""]], begins="", ends=False)


def test_options_of_a_batch_are_rows_of_their_samples() -> None:
    class Tokenizer:
        def __call__(self, text: str, add_special_tokens: bool) -> Any:
            return type("Ids", (), {"input_ids": [5] * len(text) + [1] * add_special_tokens})

    found = tokenize_options(Tokenizer(), [["a", "bbb"], ["cc"]], begins="", ends=True)
    assert tuple(found) == NAMES
    options = options_of(found)
    assert options.ids.tolist() == [[5, 1, 0, 0], [5, 5, 5, 1], [5, 5, 1, 0]]
    assert options.mask.sum(dim=1).tolist() == [2, 4, 3]
    assert options.rows.tolist() == [0, 0, 1]
    table = options.by_sample(torch.tensor([-1.0, -2.0, -3.0]))
    assert table.tolist() == [[-1.0, -2.0], [-3.0, float("-inf")]]


def test_flops_follow_from_few_that_were_counted(twin: Twin) -> None:
    """Whatever the lengths and the number of options, phase by phase."""
    walk = twin.family.walk(build(twin))
    for batch, tokens, options, option_tokens in ((1, 5, 3, 1), (2, 17, 7, 6)):
        shape = BatchShape(batch, SIZE, tokens, tokens, twin.family.ranking_steps, 1, options, option_tokens)
        count = twin.counter.count(shape)
        counted = dict.fromkeys((Phase.PREFILL, Phase.DECODE), 0)
        for step in walk.ranking(batch, tokens, options, option_tokens):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                step.run()
            counted[step.phase] = counter.get_total_flops()
        assert (count.prefill, count.decode) == (counted[Phase.PREFILL], counted[Phase.DECODE])


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One for all, so that the machine's rates are measured once."""
    with Session() as session:
        yield session


@pytest.fixture(scope="module")
def ranked_record(twin: Twin, session: Session) -> Record:
    case = Case(
        model=str(twin.checkpoint.folder),
        dataset="scienceqa",
        device="cpu",
        optimization="fp32",
        batch_size=4,
        image_size=SIZE,
        sequence_length=LIMIT,
        prompts="published",
    )
    samples = SampleSource(limit=8)
    return session.measure(Job.of(case, samples=samples, rounds=2, warmup_rounds=1, energy=EnergyMode.OFF))


def test_a_ranked_case_is_measured_as_a_whole(twin: Twin, ranked_record: Record) -> None:
    record = ranked_record
    assert record.status == Status.OK, str(record.reason)
    assert record.generation is not None
    assert record.generation.decoding == Decoding.RANK
    assert record.latency is not None
    assert "ranked" in [note.code for note in record.notes]
    samples = load_samples("scienceqa", "sample", 8)
    assert len(record.predictions) == 8
    for prediction, sample in zip(record.predictions, samples, strict=True):
        assert prediction in sample.choices
    assert record.quality["unparsed_share"].value == 0
    assert record.tokens is not None
    assert record.tokens.output_mean is None
    assert record.missing["tokens.output_mean"].code == "ranked_without_tokens"
    assert record.missing["throughput.tokens_per_s"].code == "ranked_without_tokens"
    assert record.flops is not None
    assert record.flops.total
    assert bool(record.flops.decode) == (twin.name in DECODER_ONLY)
    assert record.limit is not None
    assert record.limit.seconds
    assert record.phases is not None
    assert record.phases.decode_per_token_s is None
    assert record.missing["phases.decode_per_token_s"].code == "ranked_without_tokens"
    if twin.name not in DECODER_ONLY:
        assert record.missing["limit.bound_by.decode"].code == "ranked_without_tokens"


def test_options_need_memory_that_is_known_before(twin: Twin) -> None:
    estimator = Estimator(twin.checkpoint.config, "float32")
    plain, few, many = (estimator.need(Size(4, SIZE, 30, 8, options=options)).activations for options in (0, 2, 40))
    assert few < many
    assert many > plain


def test_options_of_the_packaged_checkpoint_score_as_each_alone() -> None:
    """In double precision only the method can differ; `python -m tools.ranking_merit` takes ten thousand pairs."""
    done, worst, _, _ = ranking_merit.compare(200, "float64")
    assert done >= 200
    assert worst < 1e-9
