"""The phase pass: where the seconds of a `generate` call go. Apart from the latency pass, since it stops the device.

A phase ends when its part of the model has returned and the device is idle, and the next one begins there: the vision
encoder, the Q-Former with the projection, the prefill (the language encoder and the first decoder step), decoding. So
the phases fill the call without a gap or an overlap; what `generate` does between two parts counts for the later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from blip_fixtures.checkpoints.runner import PARTS, STEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from blip_fixtures.checkpoints.runner import Runner
    from blip_fixtures.record import Phases


# Calls that take seconds vary by few percent, and the fourth adds minutes to a sweep rather than knowledge.
ENOUGH_S = 10.0


@dataclass(frozen=True)
class PhaseTimes:
    """Seconds of one call, by phase; `later_steps` are the decoder's steps behind the first."""

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
    """Time `rounds` calls of ``generate(inputs)`` by phase, or as many as take `ENOUGH_S`, one at least.

    `timer` waits for the device before it reads the clock.
    """
    times: list[PhaseTimes] = []
    while len(times) < rounds and (not times or sum(one.total_s for one in times) < ENOUGH_S):
        inputs = next_inputs()
        ends = _Ends(timer)
        with runner.parts_ended(ends.note):
            start_s = timer()
            generate(inputs)
            end_s = timer()
        vision_s, qformer_s, first_step_s = (ends.first_s[part] for part in PARTS)
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
        self.first_s: dict[str, float] = {}
        self.steps = 0

    def note(self, part: str) -> None:
        self.steps += part == STEP
        if part not in self.first_s:
            self.first_s[part] = self._timer()


def summarize_phases(times: list[PhaseTimes]) -> Phases:
    """Means over the calls. Decoding is per generated token behind the first, null where no call had one."""
    later = sum(one.later_steps for one in times)
    vision_s, qformer_s, prefill_s = (
        fmean(getattr(one, name) for one in times) for name in ("vision_s", "qformer_s", "prefill_s")
    )
    return {
        "vision_s": vision_s,
        "qformer_s": qformer_s,
        "prefill_s": prefill_s,
        "decode_per_token_s": sum(one.decode_s for one in times) / later if later else None,
        "time_to_first_token_s": vision_s + qformer_s + prefill_s,
        "decode_s": fmean(one.decode_s for one in times),
        "sum_s": fmean(one.total_s for one in times),
        "rounds": len(times),
    }
