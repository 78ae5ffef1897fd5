"""The limit pass: the least time of the timed batches, and how many times longer their median latency is."""

from __future__ import annotations

import math

import msgspec

from blip_fixtures.engine.limits import CacheShape, floor, weights_read
from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.engine.passes.flops import COUNTS
from blip_fixtures.reasons import Reason
from blip_fixtures.words import PassName, Phase


class LimitPass(Pass):
    """Both rates are measured before the first case that needs them."""

    name = PassName.LIMIT
    needs = (PassName.LATENCY, COUNTS)

    def run(self, context: Context) -> None:
        """Fill `limit`."""
        workload = context.workload
        loaded, counter = workload.loaded, context.tools.flop_counter(context.job)
        rates = context.tools.rates(workload)
        cache = CacheShape.of(loaded.checkpoint.config, loaded.pixel_dtype.itemsize)
        least = floor(context.found.counted, weights_read(loaded.model, counter.modules), cache, rates)
        ratio = (context.latency().median_s or 0) / (least.seconds or math.inf)
        context.found.limit = msgspec.structs.replace(least, ratio=ratio)
        if Phase.DECODE not in (least.bound_by or {}):
            context.found.missing["limit.bound_by.decode"] = Reason.of("one_token")
        if ratio < 1:
            context.found.notes.append(Reason.of("below_limit", scope="limit"))
