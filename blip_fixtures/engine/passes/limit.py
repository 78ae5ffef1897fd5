"""The limit pass: the least time of the timed batches, how many times longer they took, and what the kernels reach."""

from __future__ import annotations

from statistics import fmean, median
from typing import TYPE_CHECKING

import msgspec

from blip_fixtures.case import cards_of
from blip_fixtures.devices import device_name
from blip_fixtures.engine.busy import decoding_busy_share
from blip_fixtures.engine.limits import (
    CacheShape,
    bounds,
    floors,
    is_below,
    mean_phases_s,
    round_ratios,
    shares,
    weights_read,
)
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.engine.passes.flops import COUNTS
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Limit
from blip_fixtures.words import PassName, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.engine.limits import Floor, Rates
    from blip_fixtures.engine.rates import SeenRates
    from blip_fixtures.record import Phases


class LimitPass(Pass):
    """The rates are measured before the first case that needs them."""

    name = PassName.LIMIT
    needs = (PassName.LATENCY, COUNTS)

    def run(self, context: Context) -> None:
        """Fill `limit`; cards that are not alike have none together."""
        cards = cards_of(context.job.case.device)
        if len(cards) == 1:
            rates = context.tools.rates(context.workload)
            self._fill(context, rates.machine, rates)
            return
        names = list(dict.fromkeys(map(device_name, cards)))
        if len(names) > 1:
            reason = Reason.of("cards_differ", device=context.job.case.device, names=names)
            context.found.missing[self.name] = reason
            return
        self._fill(context, context.tools.rates_of_card(context.workload), None)
        context.found.missing["limit.share"] = Reason.of("own_rates_on_one_card")
        context.found.notes.append(Reason.of("limit_of_alike_cards", scope=self.name, card=cards[0]))

    def _fill(self, context: Context, machine: Rates, rates: SeenRates | None) -> None:
        """At the rates of the `machine`; `rates` has what the row's own kernels reach beside them."""
        loaded, found = context.workload.loaded, context.found
        weights = weights_read(loaded.model, context.tools.flop_counter(context.job).modules)
        cache = CacheShape.of(loaded.checkpoint.config, loaded.pixel_dtype.itemsize)
        least = floors(found.counted, weights, cache, machine)
        ratios = round_ratios(context.latency().rounds_s, least)
        phases_s = mean_phases_s(least)
        busy_share = self._busy_share(context)
        found.limit = Limit(
            seconds=sum(phases_s.values()),
            ratio=median(ratios),
            bound_by=bounds(least, busy_share),
            phases_s=phases_s,
            flops_per_s=max(machine.flops_per_s.values()),
            bytes_per_s=dict(machine.bytes_per_s),
            phases_ratio=None if found.phases is None else phase_ratios(found.phases, least),
            batches_s=tuple(floor.seconds for floor in least),
            busy_share=busy_share,
        )
        if not phases_s[Phase.DECODE]:
            is_ranked = context.workload.ranks
            found.missing["limit.bound_by.decode"] = Reason.of("ranked_without_tokens" if is_ranked else "one_token")
        if found.phases is None:
            found.missing["limit.phases_ratio"] = found.missing.get(PassName.PHASES, Reason.of("not_asked_for"))
        if is_below(ratios):
            found.notes.append(Reason.of("faster_than_measured", scope=self.name, percent=100 * median(ratios)))
        if rates is not None:
            found.limit = self._with_own(context, found.limit, rates, weights, cache, least)

    def _with_own(
        self,
        context: Context,
        limit: Limit,
        rates: SeenRates,
        weights: Mapping[Phase, int],
        cache: CacheShape,
        least: Sequence[Floor],
    ) -> Limit:
        """With what the row's own kernels reach of it."""
        found = context.found
        share, phases_share = shares(least, floors(found.counted, weights, cache, rates.own))
        if rates.has_gaps:
            found.notes.append(Reason.of("gaps_in_own_rates", scope=self.name))
        for kernel, error in rates.refused.items():
            found.notes.append(Reason.of("kernel_refused", scope=self.name, kernel=kernel, error=error))
        return msgspec.structs.replace(
            limit,
            share=share,
            phases_share=phases_share,
            own_flops_per_s=dict(rates.own.flops_per_s),
            own_bytes_per_s=dict(rates.own.bytes_per_s),
            products_per_s=dict(rates.products),
        )

    @staticmethod
    def _busy_share(context: Context) -> float | None:
        """On CUDA, of the batch with the most steps; without one, its reason is noted."""
        device, workload = context.job.case.device, context.workload
        share, reason = None, Reason.of("no_host_beside")
        steps = [shape.steps for shape, _ in context.found.counted]
        longest = steps.index(max(steps))
        decodes = steps[longest] > 1
        if device != "cpu":
            reason = Reason.of("kernels_not_seen") if decodes else Reason.of("one_token")
            if decodes:
                share = decoding_busy_share(
                    workload.loaded.runner,
                    lambda: workload.generate(workload.inputs(longest)),
                    device,
                    context.tools.timer(device),
                )
        if share is None:
            context.found.missing["limit.busy_share"] = reason
        return share


def phase_ratios(phases: Phases, least: Sequence[Floor]) -> dict[Phase, float]:
    """How many times longer each phase took than its least time, over the batches of the phase pass.

    It takes batches in the order of the rounds.
    """
    took_s = dict(zip(Phase, (phases.vision_s, phases.qformer_s, phases.prefill_s, phases.decode_s), strict=True))
    batches = [least[number % len(least)].phases_s for number in range(phases.rounds or len(least))]
    least_s = {phase: fmean(batch[phase] for batch in batches) for phase in Phase}
    return {phase: took / least_s[phase] for phase, took in took_s.items() if took is not None and least_s[phase]}
