"""The engine: a job becomes a record without pytest, with a model and clocks that are none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from blip_fixtures.case import Case, NewTokens
from blip_fixtures.data.prompts import Prompt, Variant
from blip_fixtures.engine import Job, PreflightError, SampleSource, Session
from blip_fixtures.engine.fit import Estimator
from blip_fixtures.engine.loop import PlainLoop
from blip_fixtures.engine.passes import PASSES, Context, Pass, needed, run_passes
from blip_fixtures.engine.passes.attention import AttentionPass
from blip_fixtures.engine.stock import Stock
from blip_fixtures.meters import Conditions
from blip_fixtures.meters.clocks import Clocks
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Generation, Record, RecordError, validated
from blip_fixtures.words import Decoding, EnergyMode, PassName, Status, Weights
from tests.unit.fake_cards import CARDS, cards_at_hand
from tests.unit.fakes import FakeModels, FakeTime
from tests.unit.test_device_errors import OF_CUDA, OUT_OF_MEMORY, said

# What architectures, samples and processors are read once for.
STOCK = Stock()
QUICK: dict[str, Any] = {
    "samples": SampleSource(limit=4),
    "rounds": 3,
    "warmup_rounds": 1,
    "energy": EnergyMode.OFF,
    "passes": ("latency", "phases", "quality"),
}


def make_job(
    *,
    batch_size: int = 2,
    optimization: str = "fp32",
    device: str = "cpu",
    sequence_length: int = 50,
    weights: Weights = Weights.TRAINED,
    **settings: Any,
) -> Job:
    case = Case(
        model="instructblip-tiny",
        dataset="textvqa",
        device=device,
        optimization=optimization,
        batch_size=batch_size,
        image_size=224,
        sequence_length=sequence_length,
        weights=weights,
    )
    return Job.of(case, **{**QUICK, **settings})


class Bench:
    """A session over fakes."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.models = FakeModels(self.time)
        self.rounds = 0
        self.session = Session(
            load=self.models.load, timer=self.time.timer, stock=STOCK, on_round=self._count, facts={"commit": "abc"}
        )

    def _count(self) -> None:
        self.rounds += 1

    def measure(self, **settings: Any) -> Record:
        return self.session.measure(make_job(**settings))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_record_of_a_job(bench: Bench) -> None:
    record = bench.measure()
    assert record.status == Status.OK
    assert record.latency is not None
    # Two parts of 2 and 3 s, and three tokens of 1 s each.
    assert record.latency.rounds_s == (8.0, 8.0, 8.0)
    assert len(record.latency.reference_s) == 3
    assert record.phases is not None
    assert (record.phases.vision_s, record.phases.qformer_s, record.phases.prefill_s) == (2.0, 3.0, 1.0)
    assert record.phases.decode_per_token_s == 1.0
    assert record.phases.latency_ratio == 1.0
    assert record.tokens is not None
    assert (record.tokens.output_mean, record.tokens.output_max) == (3, 3)
    assert record.model_load_s == 0.5
    assert len(record.predictions) == 4
    assert record.sample_ids == tuple(sample.id for sample in STOCK.samples(make_job())[:4])
    assert record.environment["commit"] == "abc"
    assert record.missing["flops"] == Reason.of("not_asked_for")
    # A warm-up, three timed rounds, and the phase pass up to the call that makes ten seconds of it.
    assert bench.rounds == 1 + 3 + 2


LONG = Prompt(
    ("Question: {question}",),
    min_new_tokens=2,
    max_new_tokens=10,
    variants=(
        Variant(("encoder_decoder",), (("max_new_tokens", 9), ("ocr_limit", 3), ("ocr_source", "Tesseract 5"))),
        Variant(("decoder_only",), (("num_beams", 5),)),
    ),
)


def test_the_protocol_of_the_checkpoints_family_is_what_runs_and_what_is_recorded(bench: Bench) -> None:
    record = bench.measure(prompt=LONG)
    assert record.generation == Generation(
        new_tokens=9,
        fixed=False,
        prompt_parts=("Question: {question}",),
        decoding=Decoding.GREEDY,
        min_new_tokens=2,
        ocr_limit=3,
        ocr_source="Tesseract 5",
    )
    assert {(most, least) for most, least, _ in bench.models.loaded[0].runner.asked} == {(9, 2)}
    job = make_job(prompt=LONG)
    assert record.config_hash == bench.session.config_hash(STOCK.resolved(job)) == bench.session.config_hash(job)
    assert bench.measure(prompt=LONG, new_tokens=NewTokens(7)).generation.new_tokens == 7  # type: ignore[union-attr]
    assert STOCK.prompt(job).variants == ()


def test_fewer_tokens_than_the_protocol_asks_for_are_refused_before_a_model_is_loaded(bench: Bench) -> None:
    with pytest.raises(PreflightError, match="ask for at least 2 new tokens and an answer may have 1; give --blip-new"):
        bench.session.prepare([make_job(prompt=LONG, new_tokens=NewTokens(1))])
    assert bench.measure(prompt=LONG, new_tokens=NewTokens(1, fixed=True)).status == Status.OK
    assert len(bench.models.loaded) == 1


def test_what_is_not_greedy_is_no_row_of_an_optimization_that_is_and_loads_nothing(bench: Bench) -> None:
    protocol = Prompt(("{question}",), repetition_penalty=1.5)
    record = bench.measure(optimization="compile", prompt=protocol)
    assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "greedy_without_penalty")
    job = make_job(optimization="compile", prompt=protocol)
    with pytest.raises(PreflightError, match="no case can run: compile decodes without a repetition penalty and the"):
        bench.session.prepare([job])
    bench.session.prepare([job, make_job(prompt=protocol)])
    assert not bench.models.loaded


def test_one_model_is_loaded_for_all_jobs_of_its_key(bench: Bench) -> None:
    for job in ({}, {"batch_size": 1}, {"optimization": "fp32", "rounds": 1}):
        bench.measure(**job)
    assert len(bench.models.loaded) == 1
    bench.session.close()
    assert bench.models.loaded[0].runner.closed


def test_another_optimization_evicts_the_model(bench: Bench) -> None:
    first = bench.measure()
    failed = bench.measure(optimization="bf16")
    assert first.status == Status.OK
    # The fake's eight numbers are fp32, so bf16 did not take effect.
    assert (failed.status, failed.reason and failed.reason.args["kind"]) == (Status.FAILED, "NotApplied")
    assert [loaded.optimization for loaded in bench.models.loaded] == ["fp32", "bf16"]
    assert bench.models.loaded[0].runner.closed


def test_an_error_is_a_record_and_an_outcome(bench: Bench) -> None:
    bench.models.fails_with = RuntimeError("no such kernel")
    outcome = bench.session.attempt(make_job())
    assert outcome.record.status == Status.FAILED
    assert str(outcome.record.reason) == "RuntimeError: no such kernel"
    assert outcome.error is bench.models.fails_with
    assert bench.measure().status == Status.FAILED


# What counts as one is in test_device_errors.py.
@pytest.mark.parametrize("error", OUT_OF_MEMORY[:3], ids=said)
def test_a_lack_of_memory_is_an_answer_and_the_next_job_loads_again(bench: Bench, error: Exception) -> None:
    bench.models.fails_with = error
    outcome = bench.session.attempt(make_job())
    assert (outcome.record.status, outcome.error) == (Status.OUT_OF_MEMORY, None)
    bench.models.fails_with = None
    assert bench.measure(batch_size=1).status == Status.OK
    assert len(bench.models.loaded) == 2


OPTIONAL = [each for each in PASSES if each.name != PassName.LATENCY]
PARTS = {"answers": "tokens", "attention kernels": "", "counts": ""}


@pytest.mark.parametrize("error", [MemoryError("no room"), OUT_OF_MEMORY[2]], ids=said)
@pytest.mark.parametrize("out", OPTIONAL, ids=lambda each: each.name)
def test_a_pass_that_runs_out_of_memory_costs_its_own_part_and_those_that_need_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, out: Pass, error: Exception
) -> None:
    def exhaust(_self: Pass, context: Context) -> None:
        # What a pass had found until then is not half a part of the record.
        context.found.missing["made up"] = Reason.verbatim("half done")
        context.found.notes.append(Reason.verbatim("half done"))
        raise error

    # The limit needs a model that has layers.
    monkeypatch.setattr(type(PASSES[-1]), "run", lambda *_: None)
    monkeypatch.setattr(type(out), "run", exhaust)
    outcome = bench.session.attempt(make_job(passes=tuple(PassName)))
    record = outcome.record
    assert (record.status, outcome.error) == (Status.OK, None)
    assert record.latency is not None
    assert record.latency.rounds_s == (8.0, 8.0, 8.0)
    assert record.model_load_s == 0.5
    lost = {each.name for each in PASSES if out.name in needed([each.name])}
    for each in OPTIONAL:
        part = PARTS.get(each.name, each.name)
        if not part or (each.name == PassName.LIMIT and each.name not in lost):
            continue
        if each.name in lost:
            assert not getattr(record, part), part
            reason = record.missing[part]
            assert (reason.code, reason.args["name"]) == ("pass_out_of_memory", out.name)
            assert str(error).splitlines()[0] in str(reason)
        else:
            assert getattr(record, part), part
            assert part not in record.missing
    assert "made up" not in record.missing
    assert Reason.verbatim("half done") not in record.notes
    # The next job does not find the model as that pass left it.
    assert bench.models.loaded[0].runner.closed
    monkeypatch.undo()
    assert bench.measure(rounds=1).status == Status.OK
    assert len(bench.models.loaded) == 2


def test_no_memory_to_see_the_attention_kernels_costs_only_these(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(_self: Pass, _context: Context) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(AttentionPass, "run", exhaust)
    record = bench.measure()
    assert (record.status, record.latency is not None) == (Status.OK, True)
    assert record.missing["applied.attention_kernels"].code == "pass_out_of_memory"
    assert bench.models.loaded[0].runner.closed


@pytest.mark.parametrize("out", OPTIONAL, ids=lambda each: each.name)
def test_another_error_in_a_pass_is_a_failed_case(bench: Bench, monkeypatch: pytest.MonkeyPatch, out: Pass) -> None:
    def fail(_self: Pass, _context: Context) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(type(PASSES[-1]), "run", lambda *_: None)
    monkeypatch.setattr(type(out), "run", fail)
    assert bench.measure(passes=tuple(PassName)).status == Status.FAILED


def test_a_latency_that_runs_out_of_memory_is_no_record_of_the_rest(bench: Bench) -> None:
    bench.models.fails_with = MemoryError()
    record = bench.measure(passes=tuple(PassName))
    assert (record.status, record.memory, record.missing) == (Status.OUT_OF_MEMORY, None, {})


@pytest.fixture
def on_cards(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The bench on a machine with two CUDA devices, whose tensors stay on the host."""
    monkeypatch.setattr("blip_fixtures.engine.tools.ReferenceKernel", lambda _: lambda: 0.0)
    monkeypatch.setattr("blip_fixtures.engine.inference.to_device", lambda batch, *_: batch.inputs)
    with cards_at_hand():
        yield bench


@pytest.mark.parametrize("error", OF_CUDA, ids=said)
def test_after_an_error_that_leaves_cuda_unusable_its_other_jobs_are_not_tried(
    on_cards: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    def poison(**_: Any) -> Any:
        for name in ("synchronize", "empty_cache", "mem_get_info", "get_device_name", "get_device_properties"):
            monkeypatch.setattr(torch.cuda, name, broken)
        raise error

    session = on_cards.session
    quick: dict[str, Any] = {"passes": (PassName.LATENCY,)}
    assert on_cards.measure(device="cuda:0", **quick).status == Status.OK
    monkeypatch.setattr(on_cards.models.loaded[-1].runner, "generate", poison)
    failed = session.attempt(make_job(device="cuda:0", **quick))
    assert (failed.record.status, failed.error) == (Status.FAILED, error)
    assert failed.record.case.device_name == "no card"
    later = make_job(device="cuda:0", batch_size=1, **quick)
    session.prepare([later])
    record = session.measure(later)
    assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "cuda_lost")
    assert failed.record.case_id in str(record.reason)
    assert str(error).splitlines()[0] in str(record.reason)
    again = session.measure(make_job(device="cuda:0", again=True, **quick))
    assert (again.status, again.reason) == (Status.UNAVAILABLE, record.reason)
    # CUDA's errors are those of the process.
    assert session.why_unavailable(make_job(device="cuda:1", **quick)) == record.reason
    assert len(on_cards.models.loaded) == 1
    # Nor is anything asked of CUDA when the processor's turn comes.
    assert on_cards.measure().status == Status.OK
    session.close()


@pytest.mark.parametrize("name", ["fp16+int4", "fp32+int4", "fp16+compile+int4", "fp32+flash_attention_2"])
@pytest.mark.parametrize("device", CARDS)
def test_a_dtype_without_kernels_is_refused_before_a_model_is_loaded(on_cards: Bench, name: str, device: str) -> None:
    record = on_cards.measure(device=device, optimization=name)
    assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "dtype_of_kernels")
    planned = on_cards.session.planned(make_job(device=device, optimization=name))
    assert (planned.status, planned.reason) == (Status.UNAVAILABLE, record.reason)
    assert on_cards.models.loaded == []


@pytest.mark.parametrize("weights", list(Weights))
def test_a_card_with_room_is_of_no_use_where_the_host_cannot_hold_the_weights(
    on_cards: Bench, monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    """Weights of a file go through it; synthetic ones are made on the card."""
    config = STOCK.architecture(make_job()).config
    host = Estimator(config, "float32").weights - 1
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda device: host if device == "cpu" else 2**40)
    new_tokens = NewTokens(3, fixed=True)
    fp32, fp16 = (
        make_job(device="cuda:1", optimization=name, weights=weights, new_tokens=new_tokens)
        for name in ("fp32", "fp16")
    )
    session = on_cards.session
    session.prepare([fp32, fp16])
    assert session.why_unavailable(fp16) is None
    reason = session.why_unavailable(fp32)
    assert (reason and reason.code) == ("too_large_for_host" if weights == Weights.TRAINED else None)


def test_a_model_on_the_processor_gives_the_host_back(on_cards: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    needed_bytes = Estimator(STOCK.architecture(make_job()).config, "float32").weights
    assert on_cards.measure().status == Status.OK
    monkeypatch.setattr(on_cards.models.loaded[-1], "weights_bytes", needed_bytes)
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda device: 0 if device == "cpu" else 2**40)
    assert on_cards.measure(device="cuda:0", passes=(PassName.LATENCY,)).status == Status.OK


def test_an_error_that_cuda_recovers_from_ends_its_own_job_alone(on_cards: Bench) -> None:
    on_cards.models.fails_with = RuntimeError("CUDA error: invalid argument")
    assert on_cards.measure(device="cuda:0", passes=(PassName.LATENCY,)).status == Status.FAILED
    on_cards.models.loaded[-1].runner.fails_with = None
    assert on_cards.measure(device="cuda:0", passes=(PassName.LATENCY,)).status == Status.OK


@pytest.mark.parametrize("optimization", ["fp32", "bf16"])
def test_loading_that_runs_out_frees_what_it_took(monkeypatch: pytest.MonkeyPatch, optimization: str) -> None:
    taken: list[weakref.ref[Any]] = []
    freed: list[bool] = []

    class HalfAModel:
        """What a load had made when it ran out."""

    def load(*_: Any) -> Any:
        half = HalfAModel()
        taken.append(weakref.ref(half))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with cards_at_hand():
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(taken[-1]() is None))
        session = Session(load=load, timer=FakeTime().timer, stock=STOCK)
        outcome = session.attempt(make_job(device="cuda:1", optimization=optimization))
    assert (outcome.record.status, outcome.error) == (Status.OUT_OF_MEMORY, None)
    assert freed == [True]


@pytest.mark.parametrize("again", [False, True])
def test_the_clocks_of_a_gpu_are_in_the_record_of_its_latency(
    on_cards: Bench, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    class Slowed(Clocks):
        def __enter__(self) -> Any:
            return self

        def note(self) -> None:
            facts = {"sm_clock_mhz": len(self.readings), "memory_clock_mhz": 2619, "temperature_c": 61}
            self.readings.append(Conditions(facts, (Reason.of("gpu_hw_thermal"),)))

    quick: dict[str, Any] = {"device": "cuda:0", "again": again, "passes": (PassName.LATENCY,)}
    unknown = on_cards.measure(**quick)
    monkeypatch.setattr("blip_fixtures.engine.clocks.Clocks", Slowed)
    record = on_cards.measure(**quick)
    assert record.latency is not None
    clocks = [facts["sm_clock_mhz"] for facts in record.latency.conditions]
    assert clocks == [2, 3, 4], "each read after its round"
    assert [note.code for note in record.notes if note.scope == PassName.LATENCY][:2] == [
        "gpu_hw_thermal",
        "clocks_in_rounds",
    ]
    assert unknown.latency is not None
    assert unknown.latency.conditions == ()
    assert unknown.notes[0].code == "clocks_not_read"


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_every_shape_runs_once_before_the_timed_rounds_of_cuda(on_cards: Bench, device: str) -> None:
    """The processor's kernels plan nothing for a shape."""
    job = make_job(
        device=device,
        batch_size=1,
        sequence_length=200,
        samples=SampleSource(limit=8),
        rounds=9,
        passes=(PassName.LATENCY,),
    )
    workload = on_cards.session.workload(job)
    shapes = {workload.batch(number).shapes for number in range(workload.batches)}
    assert 1 < len(shapes) < workload.batches
    record = on_cards.session.measure(job)
    assert record.latency is not None
    assert record.latency.rounds_s == (8.0,) * 9
    asked = on_cards.models.loaded[-1].runner.asked
    if device != "cpu":
        asked = asked[:-1]  # the last call is the proof's, which looks for the attention kernels
    before, timed = asked[: -1 - 9], asked[-1 - 9 :]
    assert len(before) == (0 if device == "cpu" else len(shapes))
    assert len({shape for *_, shape in before}) == len(before)
    # As many steps as a round can have, for each has a shape of its own.
    assert all(most == least for most, least, _ in before)
    assert all(least is None for _, least, _ in timed)


def test_a_job_that_the_machine_cannot_run_says_why_and_loads_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    job = make_job()
    elsewhere = Job.of(Case(**{**job.case.__dict__, "device": "cuda:0"}), **QUICK)
    record = bench.session.measure(elsewhere)
    assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "no_cuda_build")
    assert not bench.models.loaded


def test_jobs_that_nothing_could_run_are_refused(bench: Bench) -> None:
    with pytest.raises(PreflightError, match="no case can run: 4 textvqa samples do not fill a batch of 8"):
        bench.session.prepare([make_job(batch_size=8)])
    bench.session.prepare([make_job(), make_job(batch_size=8)])
    assert bench.measure(batch_size=8).status == Status.UNAVAILABLE


def test_a_job_that_cannot_run_is_a_record_whether_it_was_prepared_or_not(bench: Bench) -> None:
    record = bench.measure(batch_size=8)
    assert (record.status, record.reason and record.reason.code) == (Status.UNAVAILABLE, "too_few_samples")
    assert bench.measure().status == Status.OK


def test_facts_that_json_does_not_have_fail_their_case_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blip_fixtures.optimizations.Optimization.proof", lambda *_: {"share": float("nan")})
    outcome = bench.session.attempt(make_job())
    assert (outcome.record.status, type(outcome.error)) == (Status.FAILED, RecordError)


def test_other_files_of_a_checkpoint_are_another_hash(bench: Bench, tmp_path: Path) -> None:
    folder = bench.session.stock.checkpoint(make_job()).folder
    assert folder is not None
    hashes = set()
    for scale in ("0.26130258", "0.3", "0.3"):
        shutil.copytree(folder, tmp_path / "mine", dirs_exist_ok=True)
        config = tmp_path / "mine" / "processor_config.json"
        config.write_text(config.read_text().replace("0.26130258", scale))
        case = Case(**{**make_job().case.__dict__, "model": str(tmp_path / "mine")})
        hashes.add(Session(stock=Stock()).planned(Job.of(case, **QUICK)).config_hash)
    assert len(hashes) == 2


def test_a_loaded_model_is_no_memory_that_the_next_job_lacks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another, jobs fit where each of them fits alone."""
    room = 20 * 2**20

    def free(_device: str) -> int:
        live = bench.models.loaded[-1:]
        return room - sum(loaded.weights_bytes for loaded in live)

    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", free)
    monkeypatch.setattr("tests.unit.fakes.FakeLoaded.weights_bytes", 12 * 2**20)
    assert bench.measure().status == Status.OK
    assert bench.measure(batch_size=1).status == Status.OK
    assert bench.session.measure(make_job().second_timing()).status == Status.OK


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_size": 225}, "image size 225 is not a multiple of the 28 pixel patches"),
        ({"model": "instructblip-tinny"}, "unknown checkpoint 'instructblip-tinny'.*did you mean instructblip-tiny"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_loads(bench: Bench, change: dict[str, Any], said: str) -> None:
    job = make_job()
    with pytest.raises(PreflightError, match=said):
        bench.session.measure(Job.of(Case(**{**job.case.__dict__, **change}), **QUICK))
    assert not bench.models.loaded


def test_the_second_timing_is_a_record_of_its_own(bench: Bench) -> None:
    job = make_job()
    first = bench.session.measure(job)
    again = bench.session.measure(job.second_timing())
    assert (first.again, again.again) == (False, True)
    assert again.latency is not None
    assert first.latency is not None
    assert again.latency.rounds_s == first.latency.rounds_s
    assert (again.case_id, again.tokens, again.phases, again.missing) == (first.case_id, None, None, {})
    assert again.config_hash != first.config_hash


def test_a_planned_record_knows_its_conditions_and_is_never_stored(bench: Bench) -> None:
    planned = bench.session.planned(make_job())
    assert (planned.status, planned.latency) == (Status.PLANNED, None)
    assert planned.config_hash == bench.measure().config_hash
    with pytest.raises(RecordError, match="planned"):
        validated(planned)


def test_records_do_not_change(bench: Bench) -> None:
    record = bench.measure()
    with pytest.raises(AttributeError):
        record.status = Status.FAILED  # type: ignore[misc]


def test_latency_alone_asks_the_model_for_no_answer(bench: Bench) -> None:
    record = bench.measure(passes=("latency",), rounds=1)
    assert bench.models.loaded[0].runner.calls == 1 + 1
    assert record.tokens is not None
    assert record.tokens.input_mean
    assert record.missing["tokens.output_mean"] == Reason.of("not_asked_for")


def test_what_the_rounds_answered_is_known_whether_it_was_asked_for_or_not(bench: Bench) -> None:
    record = bench.measure(passes=("latency",))
    assert bench.models.loaded[0].runner.calls == 1 + 3
    assert record.tokens is not None
    assert (record.tokens.output_mean, record.tokens.output_max) == (3, 3)
    assert "tokens.output_mean" not in record.missing


def test_fixed_tokens_need_no_answer_for_their_costs(bench: Bench) -> None:
    record = bench.measure(passes=("flops",), new_tokens=NewTokens(2, fixed=True))
    assert bench.models.loaded[0].runner.calls == 1 + 3
    assert record.flops is not None
    assert record.tokens is not None
    assert record.tokens.output_mean == 2


@pytest.mark.parametrize("name", list(PassName))
def test_what_a_pass_needs_runs_before_it(name: PassName) -> None:
    order = [each.name for each in PASSES]
    for each in PASSES:
        assert all(order.index(need) < order.index(each.name) for need in each.needs)
    assert set(needed([name])) <= set(order)
    assert PassName.LATENCY in make_job(passes=(name,)).passes


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any optimization takes effect on a model that is none."""
    monkeypatch.setattr("blip_fixtures.optimizations.Optimization.proof", lambda *_: {})


@pytest.mark.usefixtures("unproven")
def test_a_row_is_timed_in_turns_with_the_first_one(bench: Bench) -> None:
    first = bench.measure(optimization="fp16", passes=("latency",))
    assert first.turns is None
    assert "turns" not in first.missing
    loaded = len(bench.models.loaded)
    job = make_job(passes=("latency",), turns_with=make_job(optimization="fp16").case)
    record = bench.session.measure(job)
    assert record.turns is not None
    assert record.turns.first == first.case_id
    assert record.turns.own_s == record.turns.first_s == (8.0,) * 5
    assert [each.optimization for each in bench.models.loaded[loaded:]] == ["fp32", "fp16"], "side by side"
    assert bench.models.loaded[loaded].runner.calls == 1 + 3 + 1 + 5
    alone = make_job(passes=("latency",))
    assert record.config_hash == bench.session.config_hash(alone), "what stands beside is no condition"
    other = make_job(optimization="bf16", passes=("latency",), turns_with=job.turns_with)
    assert bench.session.measure(other).turns is not None
    assert [each.optimization for each in bench.models.loaded[loaded + 2 :]] == ["bf16"], "the first row stays"
    assert bench.session.measure(job.in_process(2)).turns is not None
    assert bench.session.measure(job.second_timing()).turns is None


def test_a_row_without_room_for_the_first_one_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(passes=("latency",), turns_with=make_job(optimization="fp16").case)
    bench.session.prepare([job])
    monkeypatch.setattr("blip_fixtures.engine.preflight.free_bytes", lambda _device: 0)
    record = bench.session.measure(job)
    assert (record.status, record.turns) == (Status.OK, None)
    assert record.missing["turns"].code == "no_room_for_turns"
    assert "free" in str(record.missing["turns"])


def test_a_first_row_that_takes_the_last_memory_costs_the_turns_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(checkpoint: Any, device: str, optimization: str) -> Any:
        if optimization == "fp16":
            raise OUT_OF_MEMORY[0]
        return bench.models.load(checkpoint, device, optimization)

    bench.session._first._load = load
    job = make_job(passes=("latency",), turns_with=make_job(optimization="fp16").case)
    record = bench.session.measure(job)
    assert (record.status, record.turns) == (Status.OK, None)
    assert record.missing["turns"].code == "turns_out_of_memory"
    assert record.latency is not None
    assert not bench.session._models.is_held, "the next job must not find the model as this left it"


def untimed(**settings: Any) -> Job:
    return make_job(passes=("quality",), timed=False, samples=SampleSource(limit=9), **settings)


def test_answers_in_pieces_are_those_of_the_whole(bench: Bench) -> None:
    timed = bench.measure(passes=("quality",), samples=SampleSource(limit=9), rounds=None)
    whole = bench.session.measure(untimed())
    assert (whole.status, whole.latency, whole.throughput) == (Status.OK, None, None)
    assert whole.missing["latency"] == Reason.of("not_timed")
    pieces: dict[int, Any] = {}
    for numbers in ([3], range(2), [2]):
        outcome, answers = bench.session.answer(untimed(), numbers)
        assert outcome.record.status == Status.OK
        assert list(answers) == list(numbers)
        pieces |= answers
    calls = bench.models.loaded[-1].runner.calls
    joined = bench.session.attempt(untimed(), answered=pieces).record
    assert bench.models.loaded[-1].runner.calls == calls, "nobody is asked again"
    for name in ("predictions", "sample_ids", "quality", "tokens", "data", "generation"):
        assert getattr(joined, name) == getattr(whole, name) == getattr(timed, name), name
    assert joined.config_hash == whole.config_hash != timed.config_hash


def test_an_answer_that_fails_says_so_as_a_measurement_does(bench: Bench) -> None:
    bench.session.answer(untimed(), [0])
    bench.models.loaded[-1].runner.fails_with = RuntimeError("it failed")
    outcome, answers = bench.session.answer(untimed(), [1])
    assert (outcome.record.status, answers) == (Status.FAILED, {})
    assert str(outcome.error) == "it failed"


def test_only_quality_goes_without_a_timing() -> None:
    with pytest.raises(ValueError, match=r"^a job that is not timed measures quality alone; leave the other passes ou"):
        make_job(timed=False)


def test_a_pass_is_one_entry_of_a_list(bench: Bench) -> None:
    class Echo(Pass):
        name = "echo"
        needs = (PassName.LATENCY,)

        def run(self, context: Context) -> None:
            context.found.notes.append(Reason.verbatim("heard", scope="latency"))

    # An outside pass has a name that `PassName` does not know.
    job = msgspec.structs.replace(make_job(), passes=(PassName.LATENCY, "echo"))
    context = Context(job, bench.session.workload(job), PlainLoop(bench.time.timer("cpu")), bench.session.tools)
    assert "heard" in [str(note) for note in run_passes(context, (*PASSES, Echo())).notes]


def test_the_documented_script_prints_a_record_and_loads_no_pytest() -> None:
    script = Path(__file__).parents[2] / "docs" / "measure_one_case.py"
    assert len([line for line in script.read_text().splitlines() if line.strip()]) <= 10
    watch = (
        "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__'); "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pytest', '_pytest', 'pytest_benchmark')]"
    )
    done = subprocess.run([sys.executable, "-c", watch, str(script)], capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["status"] == "ok"
    assert len(record["latency"]["rounds_s"]) == 5
    assert record["quality"]["vqa_accuracy"]["value"] > 0.5
