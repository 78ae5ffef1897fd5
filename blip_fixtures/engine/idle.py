"""Idle watts: what the devices draw while a loaded model does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blip_fixtures.engine.energy import Timing, opened, window_s
from blip_fixtures.engine.window import WindowEnergy, energy_window
from blip_fixtures.meters import MeterError
from blip_fixtures.reasons import Reason
from blip_fixtures.words import EnergyStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blip_fixtures.meters import Meter
    from blip_fixtures.words import Domain

# A device that has just worked draws more than an idle one for a moment.
SETTLE_S = 0.5
# A GPU takes longer to let its clocks down: windows count when two in a row agree, within their bounds and this share.
SPREAD = 0.05
MOST_WINDOWS = 5


def measure_idle_watts(
    meters: Mapping[Domain, Meter], *, timing: Timing | None = None
) -> dict[Domain, float | MeterError]:
    """Watts of every domain while the loaded model does nothing, or the error that stands for them.

    They are those of the first two windows in a row that agree.
    """
    timing = timing or Timing()
    watts: dict[Domain, float | MeterError] = {}
    with opened(meters) as (ready, failed):
        watts |= failed
        seen: dict[Domain, list[WindowEnergy]] = {domain: [] for domain in ready}
        timing.sleep(SETTLE_S if ready else 0.0)
        while unsettled := {domain: meter for domain, meter in ready.items() if domain not in watts}:
            with energy_window(list(unsettled.values())) as spans:
                timing.sleep(window_s(unsettled))
            for domain, span in zip(unsettled, spans, strict=True):
                try:
                    seen[domain].append(span.energy())
                except MeterError as error:
                    watts[domain] = error
                else:
                    settled = _settled(seen[domain])
                    if settled is not None:
                        watts[domain] = settled
    return {domain: watts[domain] for domain in meters}


def _settled(windows: Sequence[WindowEnergy]) -> float | MeterError | None:
    """The watts of the last two windows where they agree, an error where too many did not, else `None`."""
    if len(windows) < 2:
        return None
    one, two = (window.joules / window.window_s for window in windows[-2:])
    bound = sum(window.error_bound_j / window.window_s for window in windows[-2:])
    if abs(one - two) <= bound + SPREAD * (one + two) / 2:
        return sum(window.joules for window in windows[-2:]) / sum(window.window_s for window in windows[-2:])
    if len(windows) < MOST_WINDOWS:
        return None
    reason = Reason.of("idle_windows_differ", windows=len(windows), percent=100 * SPREAD, first=one, second=two)
    return MeterError(EnergyStatus.UNRESOLVED, reason)
