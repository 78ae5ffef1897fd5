"""A row in turns with the first row of its table: of what drifts meanwhile both have the same share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.device_errors import is_out_of_memory, said_by
from blip_fixtures.optimizations import find_optimization
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Turns

if TYPE_CHECKING:
    from blip_fixtures.engine.passes.base import Context
    from blip_fixtures.engine.workload import Workload

# As many as tell a median from a chance one.
PAIRS = 5
FIELD = "turns"


def time_in_turns(context: Context) -> None:
    """Fill `turns`, or say why there are none; for a job that has such a first row.

    After everything else of the case: what the first row compiles, or asks of the memory, is no part of it.
    """
    if context.first_row is None:
        return
    found, reason = context.found, None
    try:
        first = context.first_row()
        if isinstance(first, Reason):
            reason = first
        else:
            found.turns = _timed(context, first)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = Reason.of("turns_out_of_memory", error=said_by(error))
        found.exhausted = True
    if reason is not None:
        found.missing[FIELD] = reason


def _timed(context: Context, first: Workload) -> Turns:
    own = context.workload
    timer = context.tools.timer(context.job.case.device)
    find_optimization(first.case.optimization).prepare(first.loaded, first.case.sequence_length, first.probe)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    # The pair before the first one is the warm-up.
    for number in range(-1, PAIRS):
        for is_first in (True, False) if number % 2 == 0 else (False, True):
            workload = first if is_first else own
            context.tools.on_round()
            inputs = workload.inputs(number)
            start_s = timer()
            workload.generate(inputs)
            if number >= 0:
                seconds[is_first].append(timer() - start_s)
            # Two batches must not lie on the device at once.
            del inputs
    named = context.job.turns_with
    assert named is not None
    return Turns(first=named.id, first_s=tuple(seconds[True]), own_s=tuple(seconds[False]))
