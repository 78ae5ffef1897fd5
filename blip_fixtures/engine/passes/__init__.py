"""The passes of a case, in their order. `--blip-measure` is this list; a pass of one's own is one more entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.checkpoints.loading import release_memory
from blip_fixtures.device_errors import is_out_of_memory, said_by
from blip_fixtures.engine.passes.answers import AnswersPass, QualityPass
from blip_fixtures.engine.passes.attention import AttentionPass
from blip_fixtures.engine.passes.base import Context, Found, Pass, Tools
from blip_fixtures.engine.passes.energy import EnergyPass
from blip_fixtures.engine.passes.flops import CountPass, FlopsPass
from blip_fixtures.engine.passes.latency import LatencyPass
from blip_fixtures.engine.passes.limit import LimitPass
from blip_fixtures.engine.passes.memory import MemoryPass
from blip_fixtures.engine.passes.phases import PhasePass
from blip_fixtures.engine.passes.turns import time_in_turns
from blip_fixtures.engine.workload import BatchAnswers
from blip_fixtures.reasons import Reason
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["PASSES", "Context", "Found", "Pass", "Tools", "answer_batches", "needed", "run_passes"]

PASSES: tuple[Pass, ...] = (
    LatencyPass(),
    PhasePass(),
    AnswersPass(),
    QualityPass(),
    EnergyPass(),
    MemoryPass(),
    AttentionPass(),
    CountPass(),
    FlopsPass(),
    LimitPass(),
)


def needed(asked: Iterable[str], passes: Sequence[Pass] = PASSES) -> set[str]:
    """The names of what must run: what is asked for, and what that needs."""
    by_name = {each.name: each for each in passes}
    wanted: set[str] = set()
    waiting = list(asked)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += by_name[name].needs
    return wanted


def run_passes(context: Context, passes: Sequence[Pass] = PASSES) -> Found:
    """Each pass that the job asks for, or that another one needs; the others say that they were left out.

    Before them the optimization is prepared for the case, after them it proves that it took effect: raises
    `NotApplied` where it did not, and whatever the model raises. A further timing is a latency alone.

    A lack of memory costs a pass its own part and those that need it; without a latency there is no record of the case.
    """
    job, workload = context.job, context.workload
    context.optimization.prepare(workload.loaded, job.case.sequence_length, workload.probe)
    if job.again or job.process > 1:
        LatencyPass().run(context)
        time_in_turns(context)
        return context.found
    wanted = needed((*job.passes, AnswersPass.name, AttentionPass.name), passes)
    context.running = tuple(each for each in passes if each.name in wanted)
    lacking: dict[str, Reason] = {}
    for each in passes:
        if each.name in wanted:
            reason = next((lacking[need] for need in each.needs if need in lacking), None) or _attempt(each, context)
            if reason is not None:
                lacking[each.name] = reason
                each.give_up(context, reason)
        if each.name not in job.passes:
            each.leave_out(context)
    found = context.found
    found.model_load_s = workload.loaded.load_s
    found.applied |= context.optimization.proof(workload.loaded, workload.probe)
    _tell_cards(context)
    found.notes = _in_order(found.notes, context.optimization.notes(found.applied))
    time_in_turns(context)
    return found


def answer_batches(context: Context, numbers: Iterable[int]) -> dict[int, BatchAnswers]:
    """The answers of these batches, with the optimization prepared before and proven after, and nothing measured.

    Raises `NotApplied`, and whatever the model raises.
    """
    job, workload = context.job, context.workload
    context.optimization.prepare(workload.loaded, job.case.sequence_length, workload.probe)
    found = {number: BatchAnswers(workload.facts(number), workload.answer(number)) for number in numbers}
    context.optimization.proof(workload.loaded, workload.probe)
    return found


def _tell_cards(context: Context) -> None:
    """Of a model across several cards, which part of it lies where."""
    device, found = context.job.case.device, context.found
    if len(cards_of(device)) > 1:
        parts = context.workload.loaded.stretches
        found.applied["cards"] = {card: {"first": first, "last": last} for card, (first, last) in parts.items()}
        said = [f"{card}: {first} ... {last}" for card, (first, last) in parts.items()]
        found.notes.append(Reason.of("across_cards", scope=PassName.LATENCY, device=device, parts=said))


def _attempt(each: Pass, context: Context) -> Reason | None:
    """Run one pass; why it found nothing, where it ran out of memory. What it had found until then is taken back."""
    before = context.found.copy()
    try:
        each.run(context)
    except Exception as error:
        if each.name == PassName.LATENCY or not is_out_of_memory(error):
            raise
        said = said_by(error)
    else:
        return None
    # Only here, after the handler, has the error let go of the frames that hold the tensors of the pass.
    context.found = before
    context.found.exhausted = True
    release_memory(context.job.case.device)
    return Reason.of("pass_out_of_memory", name=each.name, error=said)


# What a document's notes begin with; those of the optimization follow.
_FIRST = (PassName.LATENCY, PassName.QUALITY, "tokens")
_LAST = (PassName.PHASES, PassName.LIMIT, PassName.ENERGY)


def _in_order(notes: Sequence[Reason], of_optimization: Sequence[Reason]) -> list[Reason]:
    rank = {scope: place for place, scope in enumerate((*_FIRST, *_LAST))}
    ordered = sorted(notes, key=lambda note: rank.get(note.scope, len(rank)))
    first = [note for note in ordered if note.scope in _FIRST]
    return [*first, *of_optimization, *ordered[len(first) :]]
