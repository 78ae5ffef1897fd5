"""The energy pass of a case: joules by domain, over the batches that fit a window."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from blip_fixtures.devices import synchronize
from blip_fixtures.engine.energy import WINDOWS, Call, energy_pass, window_s
from blip_fixtures.engine.passes.answers import ANSWERS
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.meters import absent, own_domain
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Domain, EnergyMode, EnergyStatus, PassName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blip_fixtures.case import NewTokens
    from blip_fixtures.engine.workload import BatchAnswers
    from blip_fixtures.meters import Meter
    from blip_fixtures.record import Energy


class EnergyPass(Pass):
    """All batches lie on the device before the first window begins."""

    name = PassName.ENERGY
    needs = (PassName.LATENCY, ANSWERS)
    reads_answers = True

    def run(self, context: Context) -> None:
        """Fill `energy`: a domain without a meter says why, a meter that was lost is not tried again."""
        job, found = context.job, context.found
        if not job.reads_energy:
            self._disable(context, Reason.of("energy_off"))
            return
        meters = context.tools.meters(job)
        measured: Mapping[Domain, Energy] = {}
        if meters:
            measured = self._measure(context, meters)
            for domain, entry in measured.items():
                if entry.status == EnergyStatus.LOST and entry.reason is not None:
                    context.tools.give_up(job, domain, entry.reason)
        found.energy = {**context.tools.absent_meters(job), **measured}

    def leave_out(self, context: Context) -> None:
        """The device's own domain says that nobody asked."""
        asked = context.job.energy != EnergyMode.OFF
        self._disable(context, Reason.of("not_asked_for" if asked else "energy_off"))

    def _disable(self, context: Context, reason: Reason) -> None:
        domain = own_domain(context.job.case.device)
        context.found.energy = {domain: absent(EnergyStatus.DISABLED, reason)}

    def _measure(self, context: Context, meters: Mapping[Domain, Meter]) -> Mapping[Domain, Energy]:
        job, workload, found = context.job, context.workload, context.found
        idle = context.tools.idle_watts(job)
        fastest_s = min(context.latency().rounds_s)
        used = min(workload.batches, WINDOWS * math.ceil(window_s(meters) / fastest_s))
        context.meet_shapes(range(used))
        calls = [
            Call(
                partial(workload.generate, workload.inputs(number)),
                samples=job.case.batch_size,
                tokens=_new_tokens(found.walked[number], job.new_tokens),
            )
            for number in range(used)
        ]
        result = energy_pass(meters, calls, idle, partial(synchronize, job.case.device))
        found.missing |= result.missing
        found.notes += result.notes
        if used < workload.batches:
            found.notes.append(
                Reason.of("energy_on_first_batches", scope="energy", used=used, batches=workload.batches)
            )
        return result.energy


def _new_tokens(batch: BatchAnswers, new_tokens: NewTokens) -> int:
    if new_tokens.fixed:
        return new_tokens.limit * len(batch.answers.new_tokens)
    return sum(batch.answers.new_tokens)
