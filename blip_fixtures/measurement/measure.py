"""All passes of one case, in order: warm-up and latency, phases, quality, energy, memory, FLOPs and limit, proof."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from blip_fixtures import quality
from blip_fixtures.case import ENERGY, FLOPS, LATENCY, LIMIT, MEMORY, PHASES, QUALITY, RANDOM
from blip_fixtures.devices import synchronize, synchronizing_timer
from blip_fixtures.flops import COUNTER, BatchShape, mean_count
from blip_fixtures.limits import CacheShape, floor, weights_read
from blip_fixtures.measurement.energy import WINDOWS, Call, EnergyFound, energy_pass, window_s
from blip_fixtures.measurement.latency import latency_again, latency_pass
from blip_fixtures.measurement.memory import PeakMemory
from blip_fixtures.measurement.phases import phase_pass, summarize_phases
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.options import MIN_ROUNDS, NOT_ASKED_FOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

    from blip_fixtures.flops import FlopCount, FlopCounter
    from blip_fixtures.limits import Rates
    from blip_fixtures.measurement.workload import BatchAnswers, Workload
    from blip_fixtures.meters import Meter, MeterError
    from blip_fixtures.options import Options
    from blip_fixtures.record import Energy, Flops, Latency, LatencyAgain, Limit, Memory, Metric, Phases, Tokens


_NO_QUALITY = "the weights are synthetic, so the answers mean nothing"
_ONE_TOKEN = "no token was generated behind the first"
# Phases are measured apart from the latency; where both passes agree within this share nothing is said.
PHASES_AGREE = 0.05


@dataclass
class Measured:
    """What the passes of one case found: parts of its record."""

    latency: Latency
    quality: dict[str, Metric]
    tokens: Tokens
    memory: Memory | None
    flops: Flops | None
    phases: Phases | None
    limit: Limit | None
    applied: dict[str, Any]
    model_load_s: float
    predictions: list[str] = field(default_factory=list)
    energy: dict[str, Energy] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def measure_case(
    workload: Workload,
    benchmark: BenchmarkFixture,
    options: Options,
    *,
    reference: Callable[[], float],
    flop_counter: FlopCounter,
    rates: Callable[[], Rates],
    meters: Mapping[str, Meter],
    idle_watts: Callable[[], Mapping[str, float | MeterError]],
    on_round: Callable[[], None],
) -> Measured | None:
    """Run the passes of the case that `options.measure` asks for, that of energy only where `meters` has some.

    `None` where pytest-benchmark is disabled: then one batch ran, unmeasured. Raises `NotApplied`
    when the optimization did not take effect, and whatever the model raises.
    """
    rounds = options.rounds or max(MIN_ROUNDS, workload.batches)
    optimization, probe = find_optimization(workload.case.optimization), workload.probe(options.new_tokens)
    optimization.prepare(workload.loaded, workload.case.sequence_length, probe)
    latency = _latency(workload, benchmark, options, rounds, reference, on_round)
    if latency is None:
        return None
    asked = set(options.measure)
    missing = dict.fromkeys(
        (part for part in (PHASES, QUALITY, MEMORY, FLOPS, LIMIT) if part not in asked), NOT_ASKED_FOR
    )
    phases = _phases(workload, options, rounds, latency, reference, on_round) if PHASES in asked else None
    knows_language = workload.loaded.checkpoint.weights != RANDOM
    answered = knows_language and _needs_answers(asked, options)
    walked = workload.answers(options.new_tokens.limit, generate=answered)
    scored = answered and QUALITY in asked
    predictions = [text for batch in walked for text in batch.answers.texts] if scored else []
    tokens = _tokens(walked, options, known=answered or options.new_tokens.fixed)
    energy = _energy(workload, walked, latency, options, meters, idle_watts) if ENERGY in asked else EnergyFound()
    memory, memory_missing = _memory(workload, walked, options) if MEMORY in asked else (None, {})
    counted = _counted(workload, walked[:rounds], options, flop_counter) if asked & {FLOPS, LIMIT} else []
    missing |= {**memory_missing, **energy.missing}
    if rounds == 1:
        missing["latency.stddev_s"] = "one round has no spread"
    if phases is not None and phases["decode_per_token_s"] is None:
        missing["phases.decode_per_token_s"] = _ONE_TOKEN
    if tokens["output_mean"] is None:
        missing |= dict.fromkeys(("tokens.output_mean", "tokens.output_max"), NOT_ASKED_FOR)
    if not knows_language:
        missing[QUALITY] = _NO_QUALITY
    applied = optimization.proof(workload.loaded, probe)
    limit = _limit(workload, counted, flop_counter, rates(), latency) if LIMIT in asked else None
    if limit is not None and "decode" not in (limit["bound_by"] or {}):
        missing["limit.bound_by.decode"] = _ONE_TOKEN
    return Measured(
        latency=latency,
        quality=_quality(workload, walked, predictions) if predictions else {},
        predictions=predictions,
        tokens=tokens,
        memory=memory,
        flops=_flops(counted) if FLOPS in asked else None,
        phases=phases,
        limit=limit,
        applied=applied,
        model_load_s=workload.loaded.load_s,
        energy=energy.energy,
        notes=[
            *_notes(workload, rounds, scored=scored),
            *_optimization_notes(applied),
            *(_phase_notes(phases) if phases is not None else ()),
            *(_limit_notes(limit) if limit is not None else ()),
            *energy.notes,
        ],
        missing=missing,
    )


def _needs_answers(asked: set[str], options: Options) -> bool:
    """Whether a pass asks what the model answers, or how many tokens it generates."""
    return QUALITY in asked or (not options.new_tokens.fixed and not asked <= {LATENCY, PHASES})


def _latency(
    workload: Workload,
    benchmark: BenchmarkFixture,
    options: Options,
    rounds: int,
    reference: Callable[[], float],
    on_round: Callable[[], None],
) -> Latency | None:
    """Round i runs batch i modulo the number of batches; the warm-up runs the batches before batch 0."""
    return latency_pass(
        benchmark,
        lambda inputs: workload.generate(inputs, options.new_tokens),
        _inputs_in_turn(workload, range(-options.warmup_rounds, rounds), on_round),
        reference,
        rounds=rounds,
        warmup_rounds=options.warmup_rounds,
    )


def _inputs_in_turn(
    workload: Workload, numbers: Iterable[int], on_round: Callable[[], None]
) -> Callable[[], dict[str, Any]]:
    """Each call prepares the next of these batches; batch 0 where pytest-benchmark, disabled, asks for one more."""
    turn = iter(numbers)

    def next_inputs() -> dict[str, Any]:
        on_round()
        return workload.inputs(next(turn, 0))

    return next_inputs


def measure_again(
    workload: Workload, options: Options, *, reference: Callable[[], float], on_round: Callable[[], None]
) -> LatencyAgain:
    """The latency of a case that other cases are compared with, after these."""
    rounds = options.rounds or max(MIN_ROUNDS, workload.batches)
    find_optimization(workload.case.optimization).prepare(
        workload.loaded, workload.case.sequence_length, workload.probe(options.new_tokens)
    )
    return latency_again(
        lambda inputs: workload.generate(inputs, options.new_tokens),
        _inputs_in_turn(workload, range(-options.warmup_rounds, rounds), on_round),
        reference,
        synchronizing_timer(workload.case.device),
        rounds=rounds,
        warmup_rounds=options.warmup_rounds,
    )


def _phases(
    workload: Workload,
    options: Options,
    rounds: int,
    latency: Latency,
    reference: Callable[[], float],
    on_round: Callable[[], None],
) -> Phases:
    """The same batches as the latency pass, in the same order and behind the same work: they compare round by round."""
    in_turn = _inputs_in_turn(workload, range(rounds), on_round)

    def next_inputs() -> dict[str, Any]:
        inputs = in_turn()
        reference()
        return inputs

    times = phase_pass(
        workload.loaded.runner,
        lambda inputs: workload.generate(inputs, options.new_tokens),
        next_inputs,
        synchronizing_timer(workload.case.device),
        rounds=rounds,
    )
    phases = summarize_phases(times)
    phases["latency_ratio"] = phases["sum_s"] / fmean(latency["rounds_s"][: len(times)])
    return phases


def _quality(workload: Workload, walked: list[BatchAnswers], predictions: list[str]) -> dict[str, Metric]:
    # One sample at a time: each holds its encoded picture.
    samples = (workload.samples[number] for batch in walked for number in batch.batch.samples)
    questions = [quality.Question(sample.references, sample.choices, sample.answer_index) for sample in samples]
    digits_from_zero = workload.prompt.digits_from_zero
    return quality.score(workload.case.dataset, predictions, questions, digits_from_zero=digits_from_zero)


def _tokens(walked: list[BatchAnswers], options: Options, *, known: bool) -> Tokens:
    """Counts over the batches; what was generated is null where it is not `known`."""
    read = [count for batch in walked for count in batch.batch.text_tokens]
    cut = [flag for batch in walked for flag in batch.batch.truncated]
    written = [count for batch in walked for count in batch.answers.new_tokens]
    if options.new_tokens.fixed:
        written = [options.new_tokens.limit] * len(written)
    return {
        "input_mean": sum(read) / len(read),
        "input_max": max(read),
        "truncated_share": sum(cut) / len(cut),
        "output_mean": sum(written) / len(written) if known else None,
        "output_max": max(written) if known else None,
    }


def _energy(
    workload: Workload,
    walked: list[BatchAnswers],
    latency: Latency,
    options: Options,
    meters: Mapping[str, Meter],
    idle_watts: Callable[[], Mapping[str, float | MeterError]],
) -> EnergyFound:
    """The energy pass over the batches that fit a window, all of them on the device before the first begins."""
    if not meters:
        return EnergyFound()
    idle = idle_watts()
    fastest_s = min(latency["rounds_s"])
    used = min(workload.batches, WINDOWS * math.ceil(window_s(meters) / fastest_s))
    calls = [
        Call(
            partial(workload.generate, workload.inputs(number), options.new_tokens),
            samples=workload.case.batch_size,
            tokens=_new_tokens(walked[number], options),
        )
        for number in range(used)
    ]
    found = energy_pass(meters, calls, idle, partial(synchronize, workload.case.device))
    if used < workload.batches:
        found.notes.append(f"energy: measured on the first {used} of {workload.batches} batches")
    return found


def _new_tokens(batch: BatchAnswers, options: Options) -> int:
    if options.new_tokens.fixed:
        return options.new_tokens.limit * len(batch.answers.new_tokens)
    return sum(batch.answers.new_tokens)


def _memory(workload: Workload, walked: list[BatchAnswers], options: Options) -> tuple[Memory, dict[str, str]]:
    """Weights, and the peak while the batch with the most tokens is answered."""
    largest = max(range(len(walked)), key=lambda i: walked[i].batch.padded_text_tokens + walked[i].answers.steps)
    inputs = workload.inputs(largest)
    with PeakMemory(workload.case.device) as peak:
        workload.generate(inputs, options.new_tokens)
    weights_bytes = workload.loaded.weights_bytes
    memory: Memory = {
        "weights_bytes": weights_bytes,
        "peak_bytes": None if peak.growth_bytes is None else weights_bytes + peak.growth_bytes,
        "kind": f"weights + growth of {peak.kind} during generate",
    }
    return memory, {} if peak.reason is None else {"memory.peak_bytes": peak.reason}


def _counted(
    workload: Workload, timed: list[BatchAnswers], options: Options, counter: FlopCounter
) -> list[tuple[BatchShape, FlopCount]]:
    """The batches that were timed, each with the steps that it took and its FLOPs."""
    case = workload.case
    shapes = [
        BatchShape(
            batch_size=case.batch_size,
            image_size=case.image_size,
            qformer_tokens=batch.batch.qformer_tokens,
            text_tokens=batch.batch.padded_text_tokens,
            steps=options.new_tokens.limit if options.new_tokens.fixed else batch.answers.steps,
            beams=workload.prompt.num_beams,
        )
        for batch in timed
    ]
    return [(shape, counter.count(shape)) for shape in shapes]


def _flops(counted: list[tuple[BatchShape, FlopCount]]) -> Flops:
    mean = mean_count(count for _, count in counted)
    return {"total": mean.total, **asdict(mean), "counter": COUNTER}  # type: ignore[typeddict-item]  # asdict has no field types


def _limit(
    workload: Workload,
    counted: list[tuple[BatchShape, FlopCount]],
    counter: FlopCounter,
    rates: Rates,
    latency: Latency,
) -> Limit:
    """The floor of the timed batches, and how many times longer their median latency is."""
    loaded = workload.loaded
    cache = CacheShape.of(loaded.checkpoint.config, loaded.pixel_dtype.itemsize)
    limit = floor(counted, weights_read(loaded.model, counter.modules), cache, rates)
    limit["ratio"] = (latency["median_s"] or 0) / (limit["seconds"] or math.inf)
    return limit


def _limit_notes(limit: Limit) -> list[str]:
    if (limit["ratio"] or 0) >= 1:
        return []
    return ["limit: the latency is below it, so the machine was slower when the rates were measured than in the rounds"]


def _optimization_notes(applied: dict[str, Any]) -> list[str]:
    notes = []
    if "compile_s" in applied:
        notes.append(f"latency: compiling took {applied['compile_s']:.1f} s before the first round and is not in it")
    if "flash_attention_in" in applied:
        parts = ", ".join(applied["flash_attention_in"])
        same = (
            "; the default attention of this device runs the same kernels"
            if "same_kernel_as_default" in applied
            else ""
        )
        notes.append(f"latency: flash attention ran in {parts}{same}")
    return notes


def _phase_notes(phases: Phases) -> list[str]:
    ratio = phases["latency_ratio"] or 1
    if abs(ratio - 1) <= PHASES_AGREE:
        return []
    return [
        f"phases: their sum is {100 * ratio:.0f} % of the latency pass's mean: the machine was not equally fast in "
        "both passes, or waiting for the device between the phases costs that much"
    ]


def _notes(workload: Workload, rounds: int, *, scored: bool) -> list[str]:
    """What a reader must know beside what the record's fields tell."""
    notes = []
    if rounds < workload.batches:
        uses_all = "; quality uses all" if scored else ""
        notes.append(f"latency: timed on the first {rounds} of {workload.batches} batches{uses_all}")
    if scored and workload.case.dataset == "coco" and workload.batches * workload.case.batch_size == 1:
        notes.append("quality: with one image only, every word stands in all of them, so CIDEr is 0 by definition")
    if workload.loaded.checkpoint.folder is None:
        notes.append("tokens: counted by a generic tokenizer; T5's own counts differ by up to a fifth")
    return notes
