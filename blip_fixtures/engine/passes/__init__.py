"""The passes of a case, in their order. `--blip-measure` is this list; a pass of one's own is one more entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.engine.passes.answers import AnswersPass, QualityPass
from blip_fixtures.engine.passes.base import Context, Found, Pass, Tools
from blip_fixtures.engine.passes.energy import EnergyPass
from blip_fixtures.engine.passes.flops import CountPass, FlopsPass
from blip_fixtures.engine.passes.latency import LatencyPass
from blip_fixtures.engine.passes.limit import LimitPass
from blip_fixtures.engine.passes.memory import MemoryPass
from blip_fixtures.engine.passes.phases import PhasePass
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blip_fixtures.reasons import Reason

__all__ = ["PASSES", "Context", "Found", "Pass", "Tools", "needed", "run_passes"]

PASSES: tuple[Pass, ...] = (
    LatencyPass(),
    PhasePass(),
    AnswersPass(),
    QualityPass(),
    EnergyPass(),
    MemoryPass(),
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

    Before them the optimization is prepared for the case, behind them it proves that it took effect: raises
    `NotApplied` where it did not, and whatever the model raises. A second timing is a latency alone.
    """
    job, workload, found = context.job, context.workload, context.found
    context.optimization.prepare(workload.loaded, job.case.sequence_length, workload.probe)
    if job.again:
        LatencyPass().run(context)
        return found
    wanted = needed((*job.passes, AnswersPass.name), passes)
    context.needs_answers = PassName.QUALITY in wanted or (
        not job.new_tokens.fixed and any(each.reads_answers for each in passes if each.name in wanted)
    )
    for each in passes:
        if each.name in wanted:
            each.run(context)
        if each.name not in job.passes:
            each.leave_out(context)
    found.model_load_s = workload.loaded.load_s
    found.applied = context.optimization.proof(workload.loaded, workload.probe)
    found.notes = _in_order(found.notes, context.optimization.notes(found.applied))
    return found


# What a document's notes begin with; those of the optimization follow.
_FIRST = (PassName.LATENCY, PassName.QUALITY, "tokens")
_LAST = (PassName.PHASES, PassName.LIMIT, PassName.ENERGY)


def _in_order(notes: Sequence[Reason], of_optimization: Sequence[Reason]) -> list[Reason]:
    rank = {scope: place for place, scope in enumerate((*_FIRST, *_LAST))}
    ordered = sorted(notes, key=lambda note: rank.get(note.scope, len(rank)))
    first = [note for note in ordered if note.scope in _FIRST]
    return [*first, *of_optimization, *ordered[len(first) :]]
