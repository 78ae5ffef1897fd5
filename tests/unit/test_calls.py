"""How often a case asks the model, and for what: each answer is made once, and a pass takes what it can find."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import pytest
import torch

from blip_fixtures.case import NewTokens
from blip_fixtures.data.prompts import find_prompts
from blip_fixtures.engine import SampleSource
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import PASSES
from blip_fixtures.engine.passes import phases as phases_module
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Record, Throughput
from blip_fixtures.words import PassName, Status, Weights
from tests.unit.fakes import FakeRunner
from tests.unit.test_session import STOCK, Bench, bench, make_job, on_cards

__all__ = ["bench", "on_cards"]

OPTIONAL = [name for name in PassName if name != PassName.LATENCY]
SUBSETS = list(chain.from_iterable(combinations(OPTIONAL, size) for size in range(len(OPTIONAL) + 1)))
DEFAULT: dict[str, Any] = {
    "samples": SampleSource(),
    "batch_size": 16,
    "rounds": None,
    "warmup_rounds": 2,
    "passes": tuple(PassName),
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase pass takes every call that it may; the limit would need a model that has layers.

    Nothing is computed, the product before each round neither.
    """
    monkeypatch.setattr("blip_fixtures.engine.tools.ReferenceKernel", lambda _: lambda: 0.0)
    monkeypatch.setattr(phases_module, "ENOUGH_S", 1e9)
    monkeypatch.setattr(type(PASSES[-1]), "run", lambda *_: None)


def calls_of(bench: Bench, **settings: Any) -> tuple[Record, int]:
    """A record, and the calls of `generate` that it took."""
    before = bench.models.loaded[-1].runner.calls if bench.models.loaded else 0
    record = bench.measure(**settings)
    assert record.status == Status.OK, record.reason
    return record, bench.models.loaded[-1].runner.calls - before


def expected(passes: tuple[str, ...], *, rounds: int, batches: int, warmup: int, new_tokens: NewTokens) -> int:
    """By the rules of the passes, said once more."""
    calls = warmup + rounds
    if PassName.PHASES in passes:
        calls += min(rounds, max(batches, 2))
    if PassName.MEMORY in passes and warmup < 2:
        calls += 1
    if new_tokens.fixed:
        return calls + (batches if PassName.QUALITY in passes else 0)
    return calls + (max(batches - rounds, 0) if {PassName.QUALITY, PassName.ENERGY} & set(passes) else 0)


@pytest.mark.parametrize("new_tokens", [NewTokens(5), NewTokens(3, fixed=True)], ids=str)
@pytest.mark.parametrize(
    ("rounds", "warmup", "batch_size"), [(3, 2, 2), (1, 2, 2), (1, 0, 1), (3, 1, 4), (2, 3, 4)], ids=str
)
def test_every_subset_of_the_passes_makes_the_calls_it_needs(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
    warmup: int,
    batch_size: int,
    new_tokens: NewTokens,
) -> None:
    # Whether so many jobs fit the memory is a question of its own.
    monkeypatch.setattr("blip_fixtures.engine.preflight.prepare", lambda *_, **__: {})
    batches = 4 // batch_size
    for passes in SUBSETS:
        settings: dict[str, Any] = {"rounds": rounds, "warmup_rounds": warmup, "batch_size": batch_size}
        record, calls = calls_of(bench, passes=passes, new_tokens=new_tokens, **settings)
        wanted = expected(passes, rounds=rounds, batches=batches, warmup=warmup, new_tokens=new_tokens)
        assert calls == wanted, passes
        for name in (PassName.PHASES, PassName.QUALITY, PassName.MEMORY, PassName.FLOPS):
            assert bool(getattr(record, name)) == (name in passes), (name, passes)
        assert record.throughput is not None
        assert record.throughput.tokens_per_s is not None


def test_the_default_case_makes_sixteen(bench: Bench) -> None:
    record, calls = calls_of(bench, **DEFAULT)
    assert record.data is not None
    assert record.latency is not None
    assert (record.data.batches, len(record.latency.rounds_s)) == (4, 10)
    assert calls == 2 + 10 + 4


def test_a_second_timing_makes_those_of_its_rounds(bench: Bench) -> None:
    job = make_job(**DEFAULT)
    bench.session.measure(job)
    runner = bench.models.loaded[0].runner
    before = runner.calls
    again = bench.session.measure(job.second_timing())
    assert runner.calls - before == 2 + 10
    assert (again.memory, again.missing) == (None, {})
    assert again.throughput is not None


def test_a_try_out_is_one_call(bench: Bench) -> None:
    bench.session.try_out(make_job())
    assert bench.models.loaded[0].runner.calls == 1


Change = Callable[[int, Any], Any]


def change_answers(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let call number n, counted from 1, return ``change(n, what it would)``."""
    real = FakeRunner.generate

    def generate(runner: FakeRunner, **arguments: Any) -> Any:
        token_ids = real(runner, **arguments)
        return change(runner.calls, token_ids)

    monkeypatch.setattr(FakeRunner, "generate", generate)


def says(*words: str) -> Change:
    """The first calls say these words, each in every row, and the later ones the last of them."""
    tokenizer = STOCK.processor(make_job()).tokenizer
    ids = [tokenizer(word, add_special_tokens=False).input_ids[0] for word in words]

    def change(number: int, token_ids: Any) -> Any:
        return torch.full_like(token_ids[:, :2], ids[min(number, len(ids)) - 1])

    return change


def test_the_answers_are_those_of_the_first_rounds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    change_answers(monkeypatch, says("green", "red", "blue", "red", "blue", "green"))
    record, _ = calls_of(bench, rounds=4, warmup_rounds=1, passes=("quality",))
    assert record.predictions == ("red", "red", "blue", "blue")
    assert not [note for note in record.notes if note.code == "answers_not_repeatable"]


@pytest.mark.parametrize("passes", [("quality",), ("latency",), tuple(PassName)], ids="+".join)
@pytest.mark.parametrize("fixed", [False, True])
def test_a_round_that_answers_otherwise_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, passes: tuple[str, ...], fixed: bool
) -> None:
    change_answers(monkeypatch, says("green", "green", "red", "blue", "red", "green", "red"))
    record, _ = calls_of(bench, rounds=5, warmup_rounds=2, passes=passes, new_tokens=NewTokens(3, fixed=fixed))
    notes = [note for note in record.notes if note.code == "answers_not_repeatable"]
    assert notes == [Reason.of("answers_not_repeatable", scope="tokens", unlike=1, repeated=3)]


@pytest.mark.parametrize("longer", [False, True])
def test_more_tokens_than_before_are_another_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, longer: bool
) -> None:
    change_answers(monkeypatch, lambda number, ids: ids[:, : 3 if number > 2 and not longer else None])
    record, _ = calls_of(bench, rounds=4, warmup_rounds=0, passes=("latency",))
    assert ("answers_not_repeatable" in {note.code for note in record.notes}) == (not longer)


BEAMS: dict[str, Any] = {"warmup_rounds": 2, "rounds": 3}


def beams() -> Any:
    preset = find_prompts("paper").of("textvqa")
    return type(preset)(**{**preset.__dict__, "num_beams": 2})


@pytest.mark.parametrize(
    ("passes", "further"),
    [
        (("quality",), 0),
        (("quality", "energy", "memory"), 0),
        (("flops",), 2),
        (("quality", "flops"), 2),
        (("phases", "flops"), 2),
        (("phases", "quality", "flops"), 2),
        (("phases", "limit"), 2),
    ],
)
def test_with_beams_the_steps_are_counted_where_the_phases_were_or_in_one_call_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, passes: tuple[str, ...], further: int
) -> None:
    # The answer that won has two tokens, and the decoder took three steps.
    change_answers(monkeypatch, lambda _number, ids: ids[:, :3])
    record, calls = calls_of(bench, prompt=beams(), passes=passes, **BEAMS)
    assert calls == 2 + 3 + further
    assert record.tokens is not None
    assert record.tokens.output_mean == 2
    if "flops" in passes:
        greedy, _ = calls_of(bench, passes=("flops",), new_tokens=NewTokens(3, fixed=True), **BEAMS)
        assert record.flops is not None
        assert greedy.flops is not None
        assert record.flops.decode == 2 * (greedy.flops.decode or 0) > 0


def test_a_batch_that_the_phases_did_not_reach_is_watched_once_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases_module, "ENOUGH_S", 0.0)
    settings: dict[str, Any] = {"batch_size": 1, "rounds": 4, "warmup_rounds": 2, "passes": ("phases", "flops")}
    assert calls_of(bench, prompt=beams(), **settings)[1] == 2 + 4 + 2 + 2
    assert calls_of(bench, **settings)[1] == 2 + 4 + 2


def test_throughput_is_all_that_was_done_over_all_its_seconds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rounds 0 and 2 answer with two tokens, round 1 with one and its end; each takes eight seconds.
    end = 1

    def change(number: int, ids: Any) -> Any:
        ids = ids[:, :3].clone()
        if number == 3:
            ids[:, 1] = end
        return ids

    change_answers(monkeypatch, change)
    record, _ = calls_of(bench, rounds=3, warmup_rounds=1, passes=("latency",))
    assert record.throughput == Throughput(samples_per_s=2 * 3 / 24, tokens_per_s=2 * (2 + 1 + 2) / 24)
    assert not any(path.startswith("throughput") for path in record.missing)


@pytest.mark.parametrize(("weights", "fixed"), [(Weights.TRAINED, True), (Weights.RANDOM, False)])
def test_throughput_of_answers_whose_length_was_asked_for(bench: Bench, weights: Weights, fixed: bool) -> None:
    record, _ = calls_of(bench, weights=weights, new_tokens=NewTokens(3, fixed=fixed), passes=("latency",))
    assert record.throughput == Throughput(samples_per_s=2 / 8, tokens_per_s=2 * 3 / 8)


def test_a_loop_that_runs_elsewhere_brings_no_answers(bench: Bench) -> None:
    """The rounds may be timed in another process: then the model is asked here."""

    def loop(run: Any, setup: Any, rounds: int, warmup: int) -> list[float]:
        del run
        for _ in range(warmup + rounds):
            setup()
        return [8.0] * rounds

    job = make_job(passes=("quality", "flops"), rounds=3, warmup_rounds=2)
    record = bench.session.measure(job, loop=loop)
    assert record.throughput == Throughput(samples_per_s=0.25, tokens_per_s=None)
    assert record.missing["throughput.tokens_per_s"].code == "rounds_returned_nothing"
    assert bench.models.loaded[0].runner.calls == 2
    assert len(record.predictions) == 4
    assert record.flops is not None


class Watch:
    """A `PeakMemory` that notes between which calls it was."""

    seen: list[tuple[int, int]]
    runner: Callable[[], FakeRunner]
    kind, growth_bytes, graph_bytes, reserved_bytes, reason = "process_rss", 1000, 0, None, None

    def __init__(self, _device: str) -> None: ...

    def __enter__(self) -> Watch:
        self.before = self.runner().calls
        return self

    def __exit__(self, *_: object) -> None:
        self.seen.append((self.before, self.runner().calls))


@pytest.fixture
def watch(on_cards: Bench, monkeypatch: pytest.MonkeyPatch) -> type[Watch]:
    # Whether CUDA starts is a question of its own.
    monkeypatch.setattr("blip_fixtures.engine.preflight.why_unavailable", lambda _: None)
    monkeypatch.setattr("blip_fixtures.engine.recorder.why_unavailable", lambda _: None)
    monkeypatch.setattr("blip_fixtures.engine.passes.memory.PeakMemory", Watch)
    monkeypatch.setattr(Watch, "seen", [], raising=False)
    monkeypatch.setattr(Watch, "runner", lambda _watch: on_cards.models.loaded[-1].runner, raising=False)
    return Watch


@pytest.mark.parametrize("warmup", range(4))
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_memory_is_watched_in_the_last_warmup_of_a_cpu_and_never_in_a_first_or_timed_call(
    on_cards: Bench, watch: type[Watch], device: str, warmup: int
) -> None:
    job = make_job(device=device, samples=SampleSource(limit=8), rounds=3, warmup_rounds=warmup, passes=("memory",))
    record = on_cards.session.measure(job)
    assert record.memory is not None, record.reason
    assert record.memory.peak_bytes == 32 + 1000
    runner = on_cards.models.loaded[-1].runner
    (seen,) = watch.seen
    workload = on_cards.session.workload(job)
    if device == "cpu" and warmup >= 2:
        assert seen == (warmup - 1, warmup)
        assert runner.calls == warmup + 3
    else:
        met = 0 if device == "cpu" else len({workload.batch(number).shapes for number in range(3)})
        assert seen == (met + warmup + 3, met + warmup + 3 + 1)
    lengths = [workload.facts(number).padded_text_tokens for number in range(workload.batches)]
    assert len(set(lengths)) > 1
    queries = workload.loaded.checkpoint.config["num_query_tokens"]
    assert runner.asked[seen[0]][2] == (2, queries + max(lengths))


def test_warmups_run_the_batches_before_batch_0_where_no_memory_is_asked_for(
    on_cards: Bench, watch: type[Watch]
) -> None:
    job = make_job(samples=SampleSource(limit=8), rounds=4, warmup_rounds=3, passes=("phases",))
    on_cards.session.measure(job)
    assert not watch.seen
    asked = [shape for *_, shape in on_cards.models.loaded[-1].runner.asked]
    assert asked[:3] == asked[3 + 1 : 3 + 4]


def test_the_inputs_of_a_round_are_gone_when_the_next_are_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def to_device(batch: Any, *_: Any) -> dict[str, Any]:
        alive.append(sum(one() is not None for one in made))
        inputs = {name: tensor.clone() for name, tensor in batch.inputs.items()}
        made.append(weakref.ref(inputs["pixel_values"]))
        return inputs

    monkeypatch.setattr("blip_fixtures.engine.inference.to_device", to_device)
    job = make_job(**{**DEFAULT, "passes": ("memory",)})
    bench.session.measure(job, loop=PlainLoop(bench.time.timer("cpu")))
    assert len(alive) == 2 + 10
    assert set(alive) == {0}
    assert not [one for one in made if one() is not None]


def test_the_timed_call_does_nothing_but_generate_and_keep(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rounds return is neither read nor moved before the last of them has ended."""
    ended: list[int] = []

    class Kept:
        def __init__(self, token_ids: Any, number: int) -> None:
            self.token_ids, self.number = token_ids, number

        def __getitem__(self, place: Any) -> Any:
            ended.append(self.number)
            return self.token_ids[place]

    change_answers(monkeypatch, lambda number, ids: Kept(ids, number))
    _, calls = calls_of(bench, rounds=3, warmup_rounds=2, passes=("quality",))
    assert ended == [3, 4, 5]
    assert calls == 5


def test_every_pass_says_what_it_reads() -> None:
    reads = {each.name: (each.reads_answers, each.reads_steps) for each in PASSES}
    assert {name for name, (answers, _) in reads.items() if answers} == {PassName.QUALITY, PassName.ENERGY}
    assert {name for name, (_, steps) in reads.items() if steps} == {"counts"}
