"""The phase pass: where the seconds of a `generate` call go. Apart from the latency pass, since it stops the device.

A phase ends when its part of the model has returned and the device is idle, and the next one begins there: the vision
encoder, the Q-Former with the projection, the prefill (the language encoder and the first decoder step), decoding. So
the phases fill the call without a gap or an overlap; what `generate` does between two parts counts for the later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec

from blip_fixtures.engine.passes.base import Context, Pass
from blip_fixtures.families.runner import Part
from blip_fixtures.reasons import Reason
from blip_fixtures.record import Phases
from blip_fixtures.words import PassName

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.families.runner import Runner


# Calls that take seconds vary by few percent, and the fourth adds minutes to a sweep rather than knowledge.
ENOUGH_S = 10.0
# One call tells nothing of how much the next would differ.
LEAST_CALLS = 2
# Phases are measured apart from the latency; where both passes agree within this share nothing is said.
AGREE = 0.05


class PhasePass(Pass):
    """The batches of the latency pass once each, in the same order and after the same work as its first rounds.

    So they compare round by round. A single batch is taken twice.
    """

    name = PassName.PHASES
    needs = (PassName.LATENCY,)

    def run(self, context: Context) -> None:
        """Fill `phases`, and `steps` of the batches that it took."""
        device, batches = context.job.case.device, context.workload.batches
        calls = min(context.rounds, max(batches, LEAST_CALLS))
        in_turn, reference = context.inputs_in_turn(range(calls)), context.tools.reference(device)

        def next_inputs() -> Any:
            inputs = in_turn()
            reference()
            return inputs

        workload = context.workload
        times = phase_pass(
            workload.loaded.runner, workload.generate, next_inputs, context.tools.timer(device), rounds=calls
        )
        context.found.steps |= {number % batches: one.later_steps + 1 for number, one in enumerate(times)}
        phases = summarize_phases(times)
        ratio = (phases.sum_s or 0) / fmean(context.latency().rounds_s[: len(times)])
        ranks = context.workload.ranks
        if ranks:
            phases = msgspec.structs.replace(phases, decode_per_token_s=None)
            context.found.missing["phases.decode_per_token_s"] = Reason.of("ranked_without_tokens")
        context.found.phases = msgspec.structs.replace(phases, latency_ratio=ratio)
        if phases.decode_per_token_s is None and not ranks:
            context.found.missing["phases.decode_per_token_s"] = Reason.of("one_token")
        if abs(ratio - 1) > AGREE:
            context.found.notes.append(Reason.of("phases_disagree", scope="phases", percent=100 * ratio))


@dataclass(frozen=True)
class PhaseTimes:
    """Seconds of one call, by phase; `later_steps` are the decoder's steps after the first."""

    vision_s: float
    qformer_s: float
    prefill_s: float
    decode_s: float
    later_steps: int

    @property
    def total_s(self) -> float:
        """The whole call."""
        return self.vision_s + self.qformer_s + self.prefill_s + self.decode_s


def phase_pass(
    runner: Runner,
    generate: Callable[[Any], Any],
    next_inputs: Callable[[], Any],
    timer: Callable[[], float],
    *,
    rounds: int,
) -> list[PhaseTimes]:
    """Time `rounds` calls of ``generate(inputs)`` by phase, or as many as take `ENOUGH_S`, at least `LEAST_CALLS`.

    `timer` waits for the device before it reads the clock.
    """
    times: list[PhaseTimes] = []
    while len(times) < rounds and (len(times) < LEAST_CALLS or sum(one.total_s for one in times) < ENOUGH_S):
        inputs = next_inputs()
        ends = _Ends(timer)
        with runner.parts_ended(ends.note):
            start_s = timer()
            generate(inputs)
            end_s = timer()
        vision_s, qformer_s, first_step_s = (ends.first_s[part] for part in Part)
        times.append(
            PhaseTimes(
                vision_s=vision_s - start_s,
                qformer_s=qformer_s - vision_s,
                prefill_s=first_step_s - qformer_s,
                decode_s=end_s - first_step_s,
                later_steps=ends.steps - 1,
            )
        )
    return times


class _Ends:
    """The moment at which each part ended first, and the number of the decoder's steps."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self.first_s: dict[Part, float] = {}
        self.steps = 0

    def note(self, part: Part) -> None:
        self.steps += part == Part.STEP
        if part not in self.first_s:
            self.first_s[part] = self._timer()


def summarize_phases(times: list[PhaseTimes]) -> Phases:
    """Means over the calls. Decoding is per generated token after the first, null where no call had one."""
    later = sum(one.later_steps for one in times)
    vision_s, qformer_s, prefill_s = (
        fmean(getattr(one, name) for one in times) for name in ("vision_s", "qformer_s", "prefill_s")
    )
    return Phases(
        vision_s=vision_s,
        qformer_s=qformer_s,
        prefill_s=prefill_s,
        decode_per_token_s=sum(one.decode_s for one in times) / later if later else None,
        time_to_first_token_s=vision_s + qformer_s + prefill_s,
        decode_s=fmean(one.decode_s for one in times),
        sum_s=fmean(one.total_s for one in times),
        rounds=len(times),
    )
